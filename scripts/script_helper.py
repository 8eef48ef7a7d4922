"""What the scripts share: their call, names of data sets, and files with one result a line (JSON)."""

import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

RESULTS_ENDING = ".jsonl"
RESULT_KEYS = ("dataset", "method", "metric", "settings", "seed", "score")


class Summary(NamedTuple):
    """Scores of runs that differ in their seeds only."""

    dataset: str
    method: str
    metric: str
    settings: str
    mean: float
    deviation: float | None
    """Sample standard deviation (n - 1); None for a single run."""
    n: int


def dataset_name(path: Path) -> str:
    """The file's name without its ending; DeepMoji's sets, all called raw.pickle, have the folder's name."""
    return path.resolve().parent.name if path.stem == "raw" else path.stem


def dataset_names(paths: list[Path]) -> list[str]:
    """Names of several data sets.

    Raises:
        ValueError: Two have the same name.
    """
    names = [dataset_name(path) for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two of the data sets are called {name}; rename one of the files")
    return names


def append_result(folder: Path, result: dict[str, Any]) -> Path:
    """Append a result to its data set, method and metric's file in a folder, and give the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['dataset']}_{result['method']}_{result['metric']}{RESULTS_ENDING}"
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(result) + "\n")
    return path


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a file that `append_result` wrote.

    Raises:
        ValueError: It has no results, or a line is not a result; the message names the line.
    """
    results = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            result = json.loads(line)
            if not isinstance(result, dict) or not all(key in result for key in RESULT_KEYS):
                raise ValueError(f"needed is an object with {', '.join(RESULT_KEYS)}")
            if not isinstance(result["score"], float):
                raise ValueError(f"score is {result['score']!r}, not a number with a point")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {line[:60]!r} is not a result ({error})") from error
        results.append(result)
    if not results:
        raise ValueError(f"{path} has no results")
    return results


def summarize(results: list[dict[str, Any]]) -> list[Summary]:
    """Group results by data set, method, metric and settings, in sorted order.

    Where a seed was run again, the last of its results counts.
    """
    groups: dict[tuple[str, ...], dict[int, float]] = {}
    for result in results:
        key = tuple(str(result[name]) for name in ("dataset", "method", "metric", "settings"))
        groups.setdefault(key, {})[result["seed"]] = result["score"]
    summaries = []
    for key, runs in sorted(groups.items()):
        scores = list(runs.values())
        deviation = statistics.stdev(scores) if len(scores) > 1 else None
        summaries.append(Summary(*key, mean=statistics.fmean(scores), deviation=deviation, n=len(scores)))
    return summaries
