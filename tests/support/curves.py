"""What runs of pretraining have written of their steps."""

import json

import numpy as np


def curve_of(folder, *names):
    """Values of each step that was told, (steps, names)."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return np.array([[line[name] for name in names] for line in lines if line["kind"] == "training"])
