"""Pictures of the model: its layers, the hard sigmoid, packed sequences, the stages of chain-thaw."""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from style import WIDTH, Picture, Theme, canvas

from torchmoji import MojiPipeline
from torchmoji.emojis import EXAMPLE_TEXTS
from torchmoji.model_def import EMBEDDING_DIM, HIDDEN_SIZE
from torchmoji.plot.glyphs import emoji_image
from torchmoji.word_generator import WordGenerator

SENTENCE = EXAMPLE_TEXTS[0]
TEXTS = (*EXAMPLE_TEXTS[:5], "not again.. my train is late", "so tired")


def hard_sigmoid(theme: Theme) -> Picture:
    """The gates' function beside the two that it is mistaken for."""
    x = np.linspace(-5, 5, 501)
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(-2.5, 2.5, color=theme.soft, lw=0)
    axes.plot(x, np.clip(x / 6 + 0.5, 0, 1), color=theme.third, lw=1.8, ls=(0, (1, 1.2)))
    axes.plot(x, 1 / (1 + np.exp(-x)), color=theme.second, lw=1.8, ls=(0, (5, 2)))
    axes.plot(x, np.clip(0.2 * x + 0.5, 0, 1), color=theme.first, lw=2.6)
    axes.set(xlim=(-5, 5), ylim=(-0.06, 1.1), xlabel="x", yticks=[0, 0.5, 1])
    axes.set_xticks([-5, -2.5, 0, 2.5, 5], ["−5", "−2.5", "0", "2.5", "5"])
    axes.grid(alpha=0.8)
    for height, color, label in (
        (0.95, theme.first, "hard sigmoid of Keras 2\nclip(0.2 x + 0.5, 0, 1)"),
        (0.71, theme.second, "sigmoid\n1 / (1 + exp(−x))"),
        (0.47, theme.third, "Keras 3, torch's hardsigmoid\nclip(x / 6 + 0.5, 0, 1)"),
    ):
        axes.text(-4.85, height, label, color=color, va="top", fontsize=9)
    axes.text(0.12, 0.02, "linear from −2.5 to 2.5", color=theme.muted, fontsize=8.5, va="bottom")
    return Picture(figure, "clip(0.2 x + 0.5, 0, 1), 1 / (1 + exp(-x)) and clip(x / 6 + 0.5, 0, 1)")


# --- the layers -------------------------------------------------------------------------------------------


def _box(axes: Axes, x: float, y: float, width: float, height: float, color: str, fill: str) -> None:
    """A box with its centre at (x, y)."""
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc=fill, ec=color, lw=1.2))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(start, end, color=color, lw=1.1, **style))


def _elbow(axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str) -> None:
    """An arrow to the right, then up."""
    corner = (end[0], start[1])
    axes.plot([start[0], corner[0]], [start[1], corner[1]], color=color, lw=1.1, solid_capstyle="projecting")
    _arrow(axes, corner, end, color)


def _emoji(axes: Axes, emoji: str, x: float, y: float, size: float) -> None:
    """An emoji with its centre at (x, y)."""
    limits = axes.get_xlim(), axes.get_ylim()
    extent = (x - size / 2, x + size / 2, y - size / 2, y + size / 2)
    axes.imshow(emoji_image(emoji, 96), extent=extent, interpolation="none", zorder=3)
    axes.set(xlim=limits[0], ylim=limits[1])


def _features(axes: Axes, theme: Theme, x: float, y: float, width: float, height: float) -> None:
    """The parts b, a and x of a token's features, as wide as they have numbers."""
    sizes = (2 * HIDDEN_SIZE, 2 * HIDDEN_SIZE, EMBEDDING_DIM)
    left = x - width / 2
    for size, color in zip(sizes, (theme.first, theme.second, theme.third), strict=True):
        part = width * size / sum(sizes)
        axes.add_patch(Rectangle((left, y - height / 2), part, height, fc=color, ec="none"))
        left += part


def architecture(theme: Theme) -> Picture:
    """The layers over a sentence, with the attention and the probabilities of the default model."""
    prediction = MojiPipeline.from_pretrained(backend="onnx").predict(SENTENCE, top_k=64)
    words = prediction.words
    figure, axes = canvas(6.75)
    columns = [0.95 + 1.27 * number for number in range(len(words))]
    middle = sum(columns) / len(columns)
    rows = {"words": 0.2, "x": 0.85, "a": 1.72, "b": 2.59, "z": 3.4, "w": 4.1, "sum": 4.95, "out": 5.92}
    notes = 5.62

    for column, word in zip(columns, words, strict=True):
        axes.text(column, rows["words"], word.word, ha="center", va="center", fontsize=11, weight="bold")
        _arrow(axes, (column, 0.36), (column, rows["x"] - 0.16), theme.muted)
        _box(axes, column, rows["x"], 0.46, 0.32, theme.third, theme.soft)
        axes.text(column, rows["x"], "x", ha="center", va="center", color=theme.third, style="italic")
        for name, below, color in (("a", "x", theme.second), ("b", "a", theme.first)):
            bottom = rows[below] + (0.16 if below == "x" else 0.23)
            _arrow(axes, (column, bottom), (column, rows[name] - 0.23), theme.muted)
            for shift, sign in ((-0.175, "→"), (0.175, "←")):
                _box(axes, column + shift, rows[name], 0.31, 0.46, color, theme.soft)
                axes.text(column + shift, rows[name], sign, ha="center", va="center", color=color)
        # what goes side by side: b from below, a and x past the layers above them
        _arrow(axes, (column - 0.175, rows["b"] + 0.23), (column - 0.175, rows["z"] - 0.12), theme.first)
        _elbow(axes, (column + 0.33, rows["a"]), (column + 0.4, rows["z"] - 0.12), theme.second)
        _elbow(axes, (column + 0.23, rows["x"]), (column + 0.516, rows["z"] - 0.12), theme.third)
        _features(axes, theme, column, rows["z"], 1.16, 0.22)
        axes.plot([column, column], [rows["z"] + 0.12, rows["w"]], color=theme.line, lw=1, zorder=0)
        radius = 0.34 * float(np.sqrt(word.weight))
        axes.add_patch(Circle((column, rows["w"]), radius, fc=theme.ink, ec="none"))
        small: dict[str, Any] = {"fontsize": 8.5, "color": theme.muted}
        axes.text(column + 0.25, rows["w"], f"{word.weight:.0%}", va="center", **small)
        end = (middle + 0.4 * (column - middle), rows["sum"] - 0.14)
        _arrow(axes, (column, rows["w"] + radius + 0.04), end, theme.muted)
    for name, color in (("a", theme.second), ("b", theme.first)):
        for left, right in pairwise(columns):
            for height, ends in ((0.12, (left + 0.33, right - 0.33)), (-0.12, (right - 0.33, left + 0.33))):
                start, end = ((place, rows[name] + height) for place in ends)
                _arrow(axes, start, end, color)

    _features(axes, theme, middle, rows["sum"], 3.4, 0.26)
    _arrow(axes, (middle, rows["sum"] + 0.14), (middle, rows["out"] - 0.42), theme.muted)
    by_class = sorted(prediction, key=lambda score: score.index)
    highest = max(score.probability for score in by_class)
    for number, score in enumerate(by_class):
        height = 0.03 + 0.62 * score.probability / highest
        left = middle - 1.92 + 0.06 * number
        color = theme.first if score.probability == highest else theme.muted
        axes.add_patch(Rectangle((left, rows["out"] - 0.38), 0.042, height, fc=color, ec="none"))
        if score is prediction[0]:
            top = rows["out"] - 0.38 + height
            _emoji(axes, score.emoji, left + 0.021, top + 0.2, 0.26)
            axes.text(left + 0.2, top + 0.2, f"{highest:.0%}", va="center", fontsize=9)

    for row, title, text in (
        ("x", "embedding", f"{EMBEDDING_DIM} numbers\na word, tanh"),
        ("a", "bi-LSTM 0", f"2 × {HIDDEN_SIZE}"),
        ("b", "bi-LSTM 1", f"2 × {HIDDEN_SIZE}"),
        ("z", "side by side", f"b, a, x: {4 * HIDDEN_SIZE + EMBEDDING_DIM}"),
        ("w", "attention", "one weight a word"),
        ("sum", "weighted sum", f"the encoding, {4 * HIDDEN_SIZE + EMBEDDING_DIM}"),
        ("out", "linear, softmax", "64 emojis"),
    ):
        axes.text(notes, rows[row] + 0.02, title, weight="bold", va="bottom")
        axes.text(notes, rows[row] - 0.02, text, color=theme.muted, va="top", fontsize=8.5)
    weights = ", ".join(f"{word.word} {word.weight:.2f}" for word in words)
    return Picture(figure, f"attention: {weights}; likeliest class {prediction[0].index}, {highest:.2f}")


# --- packed sequences -------------------------------------------------------------------------------------


def packed(theme: Theme) -> Picture:
    """Sentences in a padded grid, and packed: longest first, a step at a time, no padding."""
    generator = WordGenerator(None, allow_unicode_text=True, ignore_emojis=False)
    sentences = [generator.get_words(text) for text in TEXTS]
    longest, tokens = max(map(len, sentences)), sum(map(len, sentences))
    figure, axes = canvas(5.1)
    left, width, height, gap = 0.15, 0.66, 0.235, 0.03

    def cell(column: int, top: float, row: int, word: str | None, color: str) -> None:
        x, y = left + column * (width + gap), top - row * (height + gap)
        is_token = word is not None
        axes.add_patch(
            Rectangle(
                (x, y),
                width,
                height,
                fc=color if is_token else "none",
                ec="none" if is_token else theme.line,
                ls="-" if is_token else (0, (2, 2)),
                lw=0.8,
                alpha=0.3 if is_token else 1,
            )
        )
        if word is not None:
            axes.text(x + width / 2, y + height / 2, word, ha="center", va="center", fontsize=7.5)

    cells = longest * len(sentences)
    bold: dict[str, Any] = {"weight": "bold", "va": "center"}
    axes.text(left, 4.86, f"Padded: {len(sentences)} × {longest} = {cells} cells", **bold)
    axes.text(left, 2.42, f"Packed: {tokens} cells, {1 - tokens / cells:.0%} less", **bold)
    for row, words in enumerate(sentences):
        for column in range(longest):
            cell(column, 4.42, row, words[column] if column < len(words) else None, theme.second)
    for row, words in enumerate(sorted(sentences, key=len, reverse=True)):
        for column, word in enumerate(words):
            cell(column, 1.98, row, word, theme.first)
    sizes = [sum(len(words) > step for words in sentences) for step in range(longest)]
    bottom = 1.98 - len(sentences) * (height + gap) + 0.1
    for step, size in enumerate(sizes):
        axes.text(left + step * (width + gap) + width / 2, bottom, str(size), ha="center", **bold)
    axes.text(
        left + longest * (width + gap) + 0.06,
        bottom,
        "texts in\nthe step",
        va="center",
        fontsize=8,
        color=theme.muted,
    )
    return Picture(figure, f"{cells} cells padded, {tokens} packed; texts in each step: {sizes}")


# --- fine-tuning ------------------------------------------------------------------------------------------


def chain_thaw(theme: Theme) -> Picture:
    """Which layers each stage of chain-thaw trains."""
    layers = ["embedding", "bi-LSTM 0", "bi-LSTM 1", "attention", "output layer"]
    stages = [[4], [0], [1], [2], [3], [0, 1, 2, 3, 4]]
    figure, axes = canvas(2.55)
    width, height = 0.8, 0.3
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    for row, layer in enumerate(layers):
        y = 0.55 + row * (height + 0.1)
        axes.text(1.35, y + height / 2, layer, ha="right", va="center")
        for stage, trained in enumerate(stages):
            is_trained = row in trained
            x = 1.55 + stage * (width + 0.12)
            color = theme.first if is_trained else theme.soft
            style = "round,pad=0,rounding_size=0.06"
            axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, fc=color, ec="none"))
            if is_trained:
                rate = "0.001" if stage == 0 else "0.0001"
                ink = "#ffffff" if theme.ending == "" else "#1e2129"
                axes.text(x + width / 2, y + height / 2, rate, fontsize=8, color=ink, **middle)
    for stage in range(len(stages)):
        axes.text(1.55 + stage * (width + 0.12) + width / 2, 0.33, f"stage {stage + 1}", **middle)
    note = "coloured: trained in this stage, with its learning rate"
    axes.text(1.55, 0.1, note, color=theme.muted, fontsize=8)
    return Picture(figure, f"layers {layers}, trained in the stages: {stages}")
