"""Pictures of what torchMoji gives, with matplotlib (`pip install "torchmoji[plot]"`).

Each function draws on the axes `ax`, or on those of a new figure of pyplot, and returns the axes. A script
shows new figures with `pyplot.show()`, a notebook by itself, and `ax.figure.savefig(path)` writes one; where
many are made in a loop, close each with `pyplot.close(ax.figure)` or pass `ax`. Emojis are drawn as pictures,
also in texts (`torchmoji.plot.glyphs`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from torchmoji.emojis import Guess
from torchmoji.pipeline.results import EmojiScore
from torchmoji.runtime.machine import require

try:
    from matplotlib.axes import Axes
except ModuleNotFoundError:
    require("matplotlib", "plot", "a picture")  # says what to install
    raise
from matplotlib.ticker import MaxNLocator

from torchmoji.plot.heatmap import attention_heatmap
from torchmoji.plot.lettering import (
    SERIES,
    class_ticks,
    ink_on,
    muted,
    new_axes,
    plain,
    put_title,
    size_in_points,
    text_width,
)
from torchmoji.plot.text_map import encoding_map

__all__ = ["attention_heatmap", "confusion_matrix", "emoji_bars", "encoding_map", "learning_curve"]

_OF_WHAT = {"true": "of the true class", "pred": "of the predicted class", "all": "of all texts"}


def emoji_bars(
    prediction: Sequence[EmojiScore | Guess], *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the likeliest emojis of a text as horizontal bars, the best on top.

    Args:
        prediction: Of one text: what `MojiPipeline.predict(text, top_k)` gives.
        title: By default the text; "" for none.
        ax: Where to draw.

    Returns:
        The axes.

    Raises:
        TypeError: `prediction` is not the prediction of one text.
        ValueError: It is empty, or a probability is not between 0 and 1.
    """
    scores = _scores_of_one_text(prediction)
    probabilities = [score.probability for score in scores]
    ax = ax or new_axes(5.6, 0.75 + 0.42 * len(scores))
    bars = ax.barh(range(len(scores)), probabilities, height=0.62, color=SERIES[0])
    ax.bar_label(bars, [_percent(value) for value in probabilities], padding=4, fontsize=11)
    ax.set_ylim(len(scores) - 0.4, -0.6)
    width, height = size_in_points(ax)
    ax.set_xlim(0, (max(probabilities) or 1) / max(0.3, 1 - 52 / width))  # room for the numbers
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(muted())
    points = min(22.0, 0.85 * height / (len(scores) + 0.2))
    class_ticks(ax, "y", [score.emoji for score in scores], points, size=11)
    text = getattr(prediction, "text", "") if title is None else title
    if text.strip():
        put_title(ax, text)
    return ax


def _scores_of_one_text(prediction: Any) -> list[EmojiScore | Guess]:
    scores = list(prediction) if isinstance(prediction, Sequence) else [prediction]
    for score in scores:
        if not isinstance(score, EmojiScore | Guess):
            raise TypeError(
                f"expected the prediction of one text, a list of EmojiScore, got {type(score).__name__}: "
                "use pipe.predict(text), or choose one, such as predictions[0]"
            )
        if not 0 <= score.probability <= 1:  # NaN too
            raise ValueError(f"{score.emoji} has the probability {score.probability}; it must be from 0 to 1")
    if not scores:
        raise ValueError("the prediction is empty: predict with top_k of 1 or more")
    return scores


def _percent(share: float) -> str:
    return "< 0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


# --- classifiers ------------------------------------------------------------------------------------------


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Sequence[Any] | None = None,
    normalize: Literal["true", "pred", "all"] | None = "true",
    ax: Axes | None = None,
) -> Axes:
    """Draw how often each true class (row) was taken for each class (column).

    Args:
        y_true: The classes (n,), of any type; emojis are drawn.
        y_pred: What was predicted (n,).
        labels: All classes, in the order of the axes; by default those that occur, sorted.
        normalize: Shares, in percent, of the texts of a true class ("true"), of those that were given a class
            ("pred") or of all ("all"); None for numbers of texts.
        ax: Where to draw.

    Returns:
        The axes.

    Raises:
        ValueError: The numbers of classes differ or are 0, a class is NaN or is not in `labels`, or
            `normalize` is another.
    """
    if normalize not in (None, *_OF_WHAT):
        raise ValueError(f"normalize is {normalize!r}; it must be one of {', '.join(_OF_WHAT)} or None")
    matrix, names = _counted(y_true, y_pred, labels, normalize)
    shares = 100 * matrix if normalize else matrix
    side = _cell_inches(len(names)) * len(names)
    ax = ax or new_axes(2.2 + side, 1.4 + side, layout="compressed")
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=None if shares.any() else 1)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03, aspect=25)
    bar.outline.set_visible(False)
    bar.set_label(f"% {_OF_WHAT[normalize]}" if normalize else "texts")
    ax.spines[:].set_visible(False)
    cell = size_in_points(ax)[0] / len(names)
    for axis in ("x", "y"):
        class_ticks(ax, axis, names, points=min(20, 0.8 * cell), size=min(10, 0.6 * cell))
    ax.set(xlabel="predicted class", ylabel="true class")
    cell = size_in_points(ax)[0] / len(names)  # what the names left
    decimals = 1 if normalize == "all" else 0
    written = [[f"{value:.{decimals}f}" for value in row] for row in shares]
    widest = max(text_width(number, 10) for row in written for number in row)
    size = min(11.0, 0.45 * cell, 10 * 0.85 * cell / widest)
    for (row, column), value in np.ndenumerate(shares):
        colour = ink_on(image.cmap(image.norm(value)))
        ax.text(column, row, written[row][column], ha="center", va="center", color=colour, fontsize=size)
    return ax


def _counted(
    y_true: Any, y_pred: Any, labels: Sequence[Any] | None, normalize: str | None
) -> tuple[np.ndarray[Any, Any], list[str]]:
    """The matrix (C, C) and the names of the classes."""
    from sklearn import metrics

    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim != 1 or true.shape != predicted.shape or not len(true):
        raise ValueError(
            "y_true and y_pred must be classes (n,), one of each for each text, "
            f"got the shapes {true.shape} and {predicted.shape}"
        )
    pairs = true.tolist(), predicted.tolist()
    occurring = {label for part in pairs for label in part}
    if missing := [label for label in occurring if label is None or label != label]:
        raise ValueError(f"each text must have a class in y_true and in y_pred, got {missing[0]}")
    try:
        names = sorted(occurring) if labels is None else list(labels)
    except TypeError as error:
        raise ValueError(
            f"classes cannot be sorted ({error}): give them as labels, in the order you want"
        ) from error
    unknown = sorted(map(repr, occurring.difference(names)))
    if unknown or len(set(names)) < len(names):
        raise ValueError(
            f"labels must have each class once, got {names}, lacking {', '.join(unknown) or 'none'}"
        )
    true_codes, predicted_codes = ([names.index(label) for label in part] for part in pairs)
    codes = range(len(names))
    matrix = metrics.confusion_matrix(true_codes, predicted_codes, labels=codes, normalize=normalize)
    return matrix, [str(label) for label in names]


def _cell_inches(classes: int) -> float:
    return 0.8 if classes <= 4 else 0.55 if classes <= 10 else max(0.25, min(0.42, 9 / classes))


def learning_curve(history: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the losses over the epochs of a fine-tuning, the best epoch marked.

    Args:
        history: A fitted `TorchMojiClassifier` or its `history_`: for each epoch `stage`, `train_loss` and
            `val_loss`. Other numbers, such as `val_accuracy`, are drawn on an axis at the right.
        ax: Where to draw.

    Returns:
        The axes of the losses.

    Raises:
        TypeError: `history` is neither.
        ValueError: It has no epochs, or a loss is missing or not finite.
    """
    rows = _epochs(history)
    epochs = range(1, len(rows) + 1)
    metrics = [name for name in rows[0] if name not in ("stage", "train_loss", "val_loss")]
    ax = ax or new_axes(6.8, 4.2)
    training, losses = ([row[name] for row in rows] for name in ("train_loss", "val_loss"))
    best = int(np.argmin(losses))
    label = f"best epoch: {best + 1} ({losses[best]:.3g})"
    star: dict[str, Any] = {"color": SERIES[1], "markersize": 15, "markeredgecolor": "white"}
    lines = ax.plot(epochs, training, "--o", color=SERIES[0], label="training loss", markersize=4)
    lines += ax.plot(epochs, losses, "-s", color=SERIES[1], label="validation loss", markersize=4)
    lines += ax.plot([best + 1], [losses[best]], "*", label=label, zorder=4, linestyle="none", **star)
    ax.axvline(best + 1, color=muted(), linewidth=0.8, linestyle=":", zorder=0)
    ax.set(xlabel="epoch", ylabel="loss", xlim=(0.5, len(rows) + 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.spines["top"].set_visible(False)
    if metrics:
        right = ax.twinx()
        right.spines["top"].set_visible(False)
        names = [name.replace("val_", "validation ").replace("_", " ") for name in metrics]
        right.set_ylabel(", ".join(names))
        for number, (metric, name) in enumerate(zip(metrics, names, strict=True)):
            values, colour = [row[metric] for row in rows], SERIES[2 + number % (len(SERIES) - 2)]
            lines += right.plot(epochs, values, "-.^", color=colour, label=name, markersize=4)
    else:
        ax.spines["right"].set_visible(False)
    _mark_stages(ax, [str(row.get("stage", "")) for row in rows])
    columns = len(lines) if len(lines) < 4 else 2
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 3.8}
    ax.legend(handles=lines, frameon=False, ncols=columns, **below)
    return ax


def _epochs(history: Any) -> list[Mapping[str, Any]]:
    rows = getattr(history, "history_", history)
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(
            f"expected a fitted TorchMojiClassifier or its history_, got {type(history).__name__}: "
            "call fit first"
        )
    if not rows:
        raise ValueError("the history has no epochs: fit with epochs of 1 or more")
    for number, row in enumerate(rows, start=1):
        for name in {"train_loss", "val_loss", *rows[0]} - {"stage"}:
            value = row.get(name)
            if not isinstance(value, int | float | np.number) or not np.isfinite(value):
                raise ValueError(f"epoch {number} has {name}={value!r}; it must be a finite number")
    return list(rows)


def _mark_stages(ax: Axes, stages: Sequence[str]) -> None:
    """Where there are several stages, a line at the beginning of each and its name."""
    starts = [number for number, stage in enumerate(stages) if number == 0 or stage != stages[number - 1]]
    if len(starts) == 1:
        return
    for start in starts:
        if start:
            ax.axvline(start + 0.5, color=muted(), linewidth=0.6, alpha=0.5, zorder=0)
        name = stages[start].rpartition(", ")[2]
        ax.annotate(
            plain(name),
            (start + 0.5 if start else 1, 1),
            xycoords=("data", "axes fraction"),
            rotation=35,
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8,
            color=muted(),
        )
