"""The rooms of the library, and the ways of a text and of two kinds of training through them."""

from matplotlib.patches import FancyBboxPatch
from style import WIDTH, Picture, Theme, canvas

_COLUMNS = (0.12, 1.56, 3.0, 4.44, 5.88)
_BOX = (1.2, 0.62)
_HEIGHT = 4.3
_ROOMS = {
    # name: (column, height, what it holds); imports point to the left
    "text modules": (0, 3.35, "text to token ids"),
    "files": (0, 2.2, "tables, whole files"),
    "corpus": (0, 1.05, "texts to shards"),
    "weights": (1, 2.2, "files of weights"),
    "model modules": (1, 3.35, "ids to features"),
    "onnx": (2, 3.35, "engine without torch"),
    "training": (2, 2.2, "loop, data, scores"),
    "pretraining": (2, 1.05, "shards to a model"),
    "pipeline": (3, 3.35, "MojiPipeline"),
    "estimator": (3, 2.2, "scikit-learn"),
    "batch": (3, 1.05, "files to many parts"),
    "plot, server": (4, 2.2, "pictures, the page"),
    "cli": (4, 1.05, "the command"),
}
_WAYS = {
    "a text": "cli, pipeline, text modules, onnx, pipeline",
    "a fine-tuning run": "cli, files, estimator, text modules, model modules, training, weights",
    "a pretraining run": "cli, files, corpus, text modules, corpus, pretraining, model modules, weights",
}


def rooms(theme: Theme) -> Picture:
    """Boxes for the rooms; on their edges, the stations of each way by number."""
    figure, axes = canvas(_HEIGHT, WIDTH)
    width, height = _BOX
    for name, (column, bottom, what) in _ROOMS.items():
        left = _COLUMNS[column]
        shape = "round,pad=0,rounding_size=0.08"
        axes.add_patch(FancyBboxPatch((left, bottom), width, height, shape, fc=theme.soft, ec=theme.line))
        axes.text(left + width / 2, bottom + 0.33, name, ha="center", weight="bold", fontsize=9)
        axes.text(left + width / 2, bottom + 0.1, what, ha="center", fontsize=7.5, color=theme.muted)
    taken = dict.fromkeys(_ROOMS, 0)
    for index, (name, stations) in enumerate(_WAYS.items()):
        color = (theme.first, theme.second, theme.third)[index]
        for number, room in enumerate(stations.split(", "), start=1):
            column, bottom, _ = _ROOMS[room]
            x, y = _COLUMNS[column] + 0.16 + 0.22 * taken[room], bottom + height + 0.05
            taken[room] += 1
            disc = {"boxstyle": "circle,pad=0.2", "fc": color, "ec": theme.paper}
            style = {"ha": "center", "va": "center", "fontsize": 7.5, "weight": "bold", "bbox": disc}
            axes.text(x, y, str(number), color=theme.paper, **style)
        axes.text(0.14 + 2.3 * index, 0.5, f"●  the way of {name}", color=color, fontsize=8.5)
    axes.text(WIDTH - 0.12, 0.12, "imports point to the left", ha="right", fontsize=7.5, color=theme.muted)
    return Picture(figure, "; ".join([", ".join(_ROOMS), *(f"{name}: {way}" for name, way in _WAYS.items())]))
