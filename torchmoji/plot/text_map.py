"""Encodings of texts as points in the plane."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from torchmoji.emojis import alias
from torchmoji.plot.glyphs import emoji_image, has_image
from torchmoji.plot.lettering import (
    SERIES,
    muted,
    new_axes,
    plain,
    put,
    shortened,
    size_in_points,
    text_box,
    text_options,
    text_width,
)
from torchmoji.sentence_tokenizer import check_is_text

Array = npt.NDArray[Any]

METHODS = ("pca", "tsne")
_MARKERS = "osD^vPX*"
_LONGEST_TEXT = 40
_TEXT_SIZE = 8.0
_TRIED = 20  # points looked at for each text to be written
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""From a point to its text, the best first: right, left, above, below, and between these."""
_BEFORE_TSNE = 50  # components of PCA that t-SNE starts from, as its authors advise


def encoding_map(
    encodings: npt.ArrayLike,
    texts: Sequence[str],
    *,
    labels: Sequence[Any] | None = None,
    method: Literal["pca", "tsne"] = "pca",
    annotate: int = 20,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw encodings as points in two dimensions, some with their texts beside them.

    Args:
        encodings: Float (n, F), as `MojiPipeline.encode` gives them.
        texts: The text of each row.
        labels: A class for each row. Emojis are drawn in place of points, such as the likeliest of each text;
            others have colours, shapes and a legend.
        method: "pca" (distances over the whole map mean something) or "tsne" (neighbours do).
        annotate: Write at most so many texts, far from each other, where there is room.
        seed: Of what is random in them, such as the PCA of many texts. NumPy's global state stays as it is.
        ax: Where to draw.

    Returns:
        The axes.

    Raises:
        ValueError: The encodings are not (n, F) with n and F of 2 or more (n of 3 for t-SNE), all equal, or
            not finite; the numbers of texts or labels are others; `method` or `annotate` is not as described.
    """
    rows = _checked(encodings, method, annotate)
    for what, given in {"texts": texts, "labels": texts if labels is None else labels}.items():
        if isinstance(given, str) or len(given) != len(rows):
            raise ValueError(f"there are {len(rows)} encodings, but {len(given)} {what}: give one for each")
    texts = list(texts)  # by place, which a Series is not
    for place, text in enumerate(texts):
        check_is_text(text, place)
    points, names = _plane(rows, method, seed)
    ax = ax or new_axes(8.2, 6.2)
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    ax.spines[:].set_color(muted())
    radius = _mark(ax, points, [None] * len(points) if labels is None else [str(label) for label in labels])
    ax.margins(0.1)
    ax.autoscale_view()
    _write_texts(ax, points, texts, annotate, radius)
    return ax


def _checked(encodings: Any, method: str, annotate: int) -> Array:
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    if annotate < 0:
        raise ValueError(f"annotate must be 0 or more, got {annotate}")
    rows = np.asarray(encodings, dtype=np.float64)
    least = 3 if method == "tsne" else 2
    if rows.ndim != 2 or len(rows) < least or rows.shape[1] < 2:
        raise ValueError(
            f"{method} wants encodings (n, F) of {least} texts or more, got the shape {rows.shape}: "
            "use pipe.encode(texts)"
        )
    if not np.isfinite(rows).all():
        broken = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ValueError(
            f"the encoding of text {broken} is not finite: check the model, or leave the text out"
        )
    if (rows == rows[0]).all():
        raise ValueError("all encodings are equal, so there is nothing to map: give different texts")
    return rows


def _plane(rows: Array, method: str, seed: int) -> tuple[Array, list[str]]:
    """Points (n, 2) and the names of the axes."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca":
        pca = PCA(2, random_state=seed)
        points = pca.fit_transform(rows)
        shares = pca.explained_variance_ratio_
        return points, [f"component {n} ({part:.0%} of the variance)" for n, part in enumerate(shares, 1)]
    if min(rows.shape) > _BEFORE_TSNE:
        rows = PCA(_BEFORE_TSNE, random_state=seed).fit_transform(rows)
    perplexity = min(30, (len(rows) - 1) / 3)
    kind: Any = "exact" if len(rows) <= 200 else "barnes_hut"  # as fast for few
    tsne = TSNE(2, perplexity=perplexity, init="pca", method=kind, random_state=seed)
    return tsne.fit_transform(rows), ["t-SNE 1", "t-SNE 2"]


# --- points -----------------------------------------------------------------------------------------------


class EmojiMarkers(Artist):
    """One emoji drawn at many points; a box of its own for each would take milliseconds to draw.

    It must have a picture. `points` are in the data's coordinates (n, 2), `size` is width and height in
    points of print.
    """

    def __init__(self, emoji: str, points: Array, size: float) -> None:
        super().__init__()
        self.emoji, self.points, self.size = emoji, points, size
        self.set_zorder(2)
        self.set_in_layout(False)  # they are within the axes

    def draw(self, renderer: Any) -> None:
        """Draw them; for a PDF or SVG the picture has as many pixels as the figure's dpi say."""
        if not self.get_visible() or self.axes is None:
            return
        side = renderer.points_to_pixels(self.size)
        scale = renderer.get_image_magnification()
        picture = emoji_image(self.emoji, max(1, round(side * scale)))[::-1]
        context = renderer.new_gc()
        context.set_clip_rectangle(self.axes.bbox)
        for x, y in self.axes.transData.transform(self.points) - side / 2:
            renderer.draw_image(context, x, y, picture)
        context.restore()
        self.stale = False


def _mark(ax: Axes, points: Array, labels: Sequence[str | None]) -> float:
    """Draw emojis or points, and give their radius in points of print."""
    size = float(np.clip(220 / np.sqrt(len(points)), 9, 18))
    known: list[Any] = list(dict.fromkeys(labels))
    pictured = [label for label in known if label is not None and has_image(label)]
    others = sorted((label for label in known if label not in pictured), key=str)
    styles = cycle((colour, marker) for marker in _MARKERS for colour in SERIES)
    for label in others + pictured:
        chosen = points[[label == one for one in labels]]
        if label in pictured:
            ax.add_artist(EmojiMarkers(label, chosen, size))
            continue
        colour, marker = next(styles)
        name = None if label is None else plain(shortened(alias(label), 24))
        ax.scatter(chosen[:, 0], chosen[:, 1], s=(0.45 * size) ** 2, color=colour, marker=marker, label=name)
    ax.update_datalim(points)
    if others and None not in others:
        font = {"family": text_options("".join(map(str, others)), 10)["fontfamily"]}
        ax.legend(
            loc="upper left", bbox_to_anchor=(1, 1), frameon=False, ncols=1 + len(others) // 24, prop=font
        )
    return size / 2 if pictured else 0.225 * size


# --- texts ------------------------------------------------------------------------------------------------


def _write_texts(ax: Axes, points: Array, texts: Sequence[str], most: int, radius: float) -> None:
    """Write texts beside their points, none over another, and first those that lie on no point."""
    page, taken = Bbox.from_bounds(0, 0, *size_in_points(ax)), dict[int, Bbox]()
    places = ax.transAxes.inverted().transform(ax.transData.transform(points)) * page.size  # points of print
    for covering in (0, 1):  # other points that a text may lie on
        for number in _spread(places, _TRIED * most):
            text = shortened(texts[number], _LONGEST_TEXT)
            if len(taken) == most or number in taken or not text:
                continue
            others = np.delete(places, number, axis=0)
            size = np.array([text_width(text, _TEXT_SIZE) + 2, 1.4 * _TEXT_SIZE])
            for direction in np.array(_DIRECTIONS):
                shift = direction * (radius + 2) * (0.7 if direction.all() else 1)
                align = (1 - direction) / 2
                box = Bbox.from_bounds(*(places[number] + shift - align * size), *size)
                is_free = not any(box.overlaps(other) for other in taken.values())
                is_inside = bool(np.all(box.min >= page.min) and np.all(box.max <= page.max))
                if is_free and is_inside and box.padded(radius).count_contains(others) <= covering:
                    taken[number] = box
                    _write(ax, text, points[number], shift, align)
                    break


def _write(ax: Axes, text: str, point: Array, shift: Array, align: Array) -> None:
    ground = {"facecolor": ax.get_facecolor(), "alpha": 0.75, "linewidth": 0, "boxstyle": "square,pad=0"}
    place = {"xybox": tuple(shift), "boxcoords": "offset points", "box_alignment": tuple(align)}
    put(ax, text_box(text, _TEXT_SIZE), (point[0], point[1]), frameon=True, bboxprops=ground, **place)


def _spread(places: Array, most: int) -> list[int]:
    """Numbers of points, each time the one farthest from those before; the first is the leftmost."""
    order = [int(places[:, 0].argmin())]
    distances = np.full(len(places), np.inf)
    while len(order) < min(most, len(places)):
        distances = np.minimum(distances, np.hypot(*(places - places[order[-1]]).T))
        distances[order[-1]] = -1
        order.append(int(distances.argmax()))
    return order
