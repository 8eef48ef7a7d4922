"""The words of texts, shaded by attention."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Rectangle

from torchmoji.pipeline.results import Prediction
from torchmoji.plot.glyphs import has_image
from torchmoji.plot.lettering import (
    emoji_box,
    ink_on,
    muted,
    new_axes,
    pieces,
    put,
    shortened,
    size_in_points,
    text_box,
    text_width,
)

# in points
_WIDTHS = (210.0, 540.0)  # of a new figure, at least, as the colour bar has to fit, and at most
_SIZES = (11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0)  # of the font: the first at which all words are in the axes
_BAR = 46.0  # height of the colour bar with its label
_LINE = 1.9  # height of a line, in font sizes
_LONGEST_WORD = 28
_INVISIBLE = "·"  # written for a word of control characters alone


class _Cell(NamedTuple):
    """A word and its place in points, from the left and from the top down; other texts have no weight."""

    text: str
    weight: float | None
    x: float
    y: float
    width: float


class _Layout(NamedTuple):
    """Where everything is, in points; `size` is that of the font."""

    size: float
    left: float
    width: float
    height: float
    cells: list[_Cell]


def attention_heatmap(predictions: Prediction | Sequence[Prediction], *, ax: Axes | None = None) -> Axes:
    """Draw the words of one or several texts in cells shaded by attention.

    Each text begins a line, behind its likeliest emoji; a long one goes on in the next line. On given axes
    the words are as large as there is room for.

    Args:
        predictions: What `MojiPipeline.predict` gives for a text or several.
        ax: Where to draw. Its ticks and frame are taken away, its limits are points.

    Returns:
        The axes.

    Raises:
        TypeError: They are not predictions.
        ValueError: There are none, or a weight is not between 0 and 1.
    """
    several = _several(predictions)
    weights = [word.weight for prediction in several for word in prediction.words]
    if ax is None:
        layout = _laid_out(several, _WIDTHS[1], _SIZES[0])
        width, height = max(layout.width, _WIDTHS[0]), layout.height + _BAR
        ax = new_axes(width / 72, height / 72, pad=0)
    else:
        width, height = size_in_points(ax)
        for size in _SIZES:
            layout = _laid_out(several, width, size)
            if layout.height + _BAR <= height and layout.width <= width:
                break
        else:
            raise ValueError(
                f"the axes have {width:.0f} x {height:.0f} points, but in the smallest font the words want "
                f"{layout.width:.0f} x {layout.height + _BAR:.0f}: give larger axes, fewer texts, or no ax"
            )
    ax.axis("off")
    ax.set(xlim=(0, width), ylim=(height, 0))
    norm, colours = Normalize(0, max(weights, default=0.0) or 1.0), colormaps["Oranges"]
    _draw(ax, layout, norm, colours)
    length = min(150, width - 2 * layout.left)
    bar = ax.inset_axes((layout.left, layout.height, length, 8), transform=ax.transData)
    ax.figure.colorbar(ScalarMappable(norm, colours), cax=bar, orientation="horizontal", label="attention")
    return ax


def _several(predictions: Any) -> list[Prediction]:
    several = [predictions] if isinstance(predictions, Prediction) else predictions
    if not isinstance(several, Sequence) or not all(isinstance(one, Prediction) for one in several):
        raise TypeError(f"expected predictions, got {type(predictions).__name__}: use pipe.predict(texts)")
    if not several:
        raise ValueError("there are no predictions: give one or more")
    for word in (word for prediction in several for word in prediction.words):
        if not 0 <= word.weight <= 1:  # NaN too
            raise ValueError(f"the attention of {word.word!r} is {word.weight}; it must be from 0 to 1")
    return list(several)


def _laid_out(predictions: Sequence[Prediction], width: float, size: float) -> _Layout:
    """Put the words one behind the other, in lines of at most `width` points."""
    line, gap, margin = _LINE * size, 2.0, 6.0
    pictured = any(has_image(prediction[0].emoji) for prediction in predictions if prediction)
    left = margin + (2.2 * size if pictured else 0)
    cells, y = list[_Cell](), margin
    for prediction in predictions:
        x, top = left, y
        for name, weight in _written(prediction):
            needed = text_width(name, size) + 0.9 * size
            if x + needed > width - margin and x > left:
                x, y = left, y + line + gap
            cells.append(_Cell(name, weight, x, y, needed))
            x += needed + gap
        if x == left:
            cells.append(_Cell("(no words)", None, left, y, text_width("(no words)", size)))
        y += line
        if prediction and has_image(prediction[0].emoji):
            cells.append(_Cell(prediction[0].emoji, None, margin, (top + y - line) / 2, 1.7 * size))
        y += 0.8 * size
    right = max(cell.x + cell.width for cell in cells) + margin
    return _Layout(size, left, right, y, cells)


def _written(prediction: Prediction) -> list[tuple[str, float]]:
    """The words as in the text, with their weights; those that share a place in it, as they were read."""
    places = Counter((word.start, word.end) for word in prediction.words)
    found = []
    for word, weight, start, end in prediction.words:
        name = prediction.text[start:end] if places[start, end] == 1 else word
        found.append((shortened(name, _LONGEST_WORD) if pieces(name) else _INVISIBLE, weight))
    return found


def _draw(ax: Axes, layout: _Layout, norm: Normalize, colours: Colormap) -> None:
    line = _LINE * layout.size
    for text, weight, x, y, width in layout.cells:
        middle = y + line / 2
        if weight is None:
            box = emoji_box(text, width) if has_image(text) else text_box(text, layout.size, muted())
            put(ax, box, (x, middle), box_alignment=(0, 0.5))
            continue
        colour = colours(norm(weight))
        ax.add_patch(Rectangle((x, y), width, line, facecolor=colour, edgecolor="0.8", linewidth=0.5))
        put(ax, text_box(text, layout.size, ink_on(colour)), (x + width / 2, middle))
