"""Pictures of what `benchmarks/README.md` says."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurements import table
from style import WIDTH, Picture, Theme

_SOURCE = "benchmarks/README.md"
_ENGINES = ("torchMoji, float32", "torchMoji, bfloat16", "ONNX, float32", "ONNX, int8")


def _bars(axes: Axes, names: list[str], values: list[float], texts: list[str], colors: list[str]) -> None:
    """Horizontal bars, the first on top, each with its value behind it."""
    places = range(len(names))[::-1]
    axes.barh(places, values, height=0.62, color=colors)
    for place, value, text in zip(places, values, texts, strict=True):
        axes.text(value + 0.02 * max(values), place, text, va="center", fontsize=8.5)
    axes.set(xlim=(0, 1.28 * max(values)), xticks=[])
    axes.set_yticks(places, names)
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)


def speed(theme: Theme) -> Picture:
    """Texts a second of each engine, one text at a time and in batches."""
    measured = table(_SOURCE, "Speed")
    sizes = list(dict.fromkeys(measured.column("batch")))
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    grid = figure.subplots(1, len(sizes), sharey=True)
    described = []
    for axes, size in zip(grid, sizes, strict=True):
        rows = {row[1]: float(row[2]) for row in measured.rows if row[0] == size}
        plain = max(value for name, value in rows.items() if name.startswith("nn.LSTM"))
        values = [plain, *(rows[name] for name in _ENGINES)]
        names = ["torch.nn.LSTM", *_ENGINES]
        colors = [theme.first if value == max(values) else theme.second for value in values]
        _bars(axes, names, values, [f"{value:,.0f}" for value in values], colors)
        axes.set_title("one text at a time" if size == "1" else f"batches of {size}", loc="left")
        described.append(f"{size}: {', '.join(f'{value:.0f}' for value in values)}")
    figure.supxlabel("texts a second", fontsize=9, color=theme.muted)
    return Picture(figure, "texts a second, batches of " + "; ".join(described))


def agreement(theme: Theme) -> Picture:
    """How often int8 and bfloat16 give something else than float32."""
    measured = table(_SOURCE, "int8 and bfloat16 against float32")
    kinds = ("ONNX int8", "torch bfloat16")
    rows = {
        "another first guess": "same first guess",
        "another first five": "same first five",
        "another order of the five": "same first five in the same order",
    }
    figure = Figure(figsize=(WIDTH, 2.1), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.55, 1])
    described = []
    for number, (kind, color) in enumerate(zip(kinds, (theme.first, theme.second), strict=True)):
        shares = [round(100 - float(measured.row(row)[kind].rstrip("%")), 2) for row in rows.values()]
        places = [2 - row + 0.2 - 0.4 * number for row in range(len(rows))]
        left.barh(places, shares, height=0.34, color=color)
        for place, share in zip(places, shares, strict=True):
            left.text(share + 0.06, place, f"{share:.2f}%  {kind}", va="center", fontsize=8.5)
        described.append(f"{kind}: {', '.join(f'{share:.2f}%' for share in shares)}")
    left.set_yticks([2, 1, 0], list(rows))
    left.set(xlim=(0, 7.5), xticks=[])
    left.set_title("texts that differ from float32", loc="left")
    weights = measured.row("weights, MB")
    sizes = {name.split()[1]: float(weights[name]) for name in ("ONNX float32", *reversed(kinds))}
    labels = [f"{size:.0f} MB" for size in sizes.values()]
    _bars(right, list(sizes), list(sizes.values()), labels, [theme.muted, theme.second, theme.first])
    right.set_title("weights", loc="left")
    for axes in (left, right):
        axes.tick_params(length=0)
        axes.spines["bottom"].set_visible(False)
    return Picture(figure, "; ".join([*described, f"MB: {list(sizes.values())}"]))
