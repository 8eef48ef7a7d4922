"""Measure how fast `build-corpus` is, and how much memory it takes for inputs of different size.

FILE has lines of comma-separated classes, a tab and a text, gzipped. The emojis are put back behind the
texts; a copy of the input has the same texts with their words in another order, so that none is like another.
Everything is on: rules, exact and near duplicates, validation texts, the vocabulary of 50 000 words, shards.

Examples:
    corpus.py train.tsv.gz
    corpus.py train.tsv.gz --copies 1 4 --workers 1 2 --output corpus.md
"""

import argparse
import gzip
import json
import os
import random
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torchmoji
from benchmarks.report import write_report
from torchmoji.cli.arguments import make_parser, positive
from torchmoji.corpus import CorpusSettings, build_corpus
from torchmoji.emojis import EMOJIS
from torchmoji.runtime.machine import processor, versions

MB = 1e6
_KB = 1024


def command_line() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="labelled texts, .tsv.gz")
    parser.add_argument(
        "--copies", type=positive, nargs="+", default=[1], metavar="N", help="sizes of the input (default: 1)"
    )
    parser.add_argument(
        "--workers", type=positive, nargs="+", default=[2], metavar="N", help="processes (default: 2)"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N texts")
    parser.add_argument("--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
    parser.add_argument("--once", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    return parser


def write_texts(source: Path, path: Path, copies: int, limit: int | None) -> int:
    """Write raw texts, and give their number."""
    count = 0
    with open(path, "w", encoding="utf-8") as out:
        for copy in range(copies):
            order = random.Random(copy)
            with gzip.open(source, "rt", encoding="utf-8", newline="\n") as lines:
                for number, line in enumerate(lines):
                    if number == limit:
                        break
                    classes, _, text = line.rstrip("\n").partition("\t")
                    if copy:
                        words = text.split()
                        order.shuffle(words)
                        text = " ".join(words)
                    emojis = "".join(EMOJIS[int(index)] for index in classes.split(","))
                    out.write(f"{text} {emojis}\n")
                    count += 1
    return count


def build(folder: Path, workers: int) -> dict[str, float]:
    """Build a corpus in this process, and give what it took."""
    started = time.perf_counter()
    manifest = build_corpus(
        folder / "texts.txt", folder / "corpus", CorpusSettings(validation=0.02), workers=workers
    )
    seconds = time.perf_counter() - started
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "texts": manifest["counts"]["texts"],
        "kept": manifest["counts"]["kept"],
        "seconds": seconds,
        "processor_seconds": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "first_process_mb": usages[0].ru_maxrss * _KB / MB,
        "worker_mb": usages[1].ru_maxrss * _KB / MB,
        "shards_mb": sum(path.stat().st_size for path in (folder / "corpus").iterdir()) / MB,
    }


def in_fresh_process(source: Path, copies: int, workers: int, limit: int | None) -> dict[str, float]:
    """What `build` gives in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        write_texts(source, Path(folder) / "texts.txt", copies, limit)
        command = [sys.executable, __file__, str(source), "--once", folder, "--workers", str(workers)]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ)
    found: dict[str, float] = json.loads(result.stdout)
    return found


def row(workers: int, found: dict[str, float]) -> str:
    """A line of the table."""
    cells = [
        f"{found['texts']:,.0f}",
        f"{found['kept']:,.0f}",
        str(workers),
        f"{found['seconds']:.1f}",
        f"{found['texts'] / found['seconds']:,.0f}",
        f"{1e6 * found['processor_seconds'] / found['texts']:.0f}",
        f"{found['first_process_mb']:.0f}",
        f"{found['worker_mb']:.0f}" if workers > 1 else "",
        f"{found['shards_mb']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = command_line().parse_args(argv)
    if arguments.once:
        print(json.dumps(build(arguments.once, arguments.workers[0])))
        return
    lines = [
        "| texts | kept | processes | seconds | texts a second | processor time a text, µs "
        "| first process, MB | a worker, MB | result, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for copies in arguments.copies:
        for workers in arguments.workers:
            found = in_fresh_process(arguments.file, copies, workers, arguments.limit)
            lines.append(row(workers, found))
    lines += [
        "",
        f"    python benchmarks/corpus.py {shlex.join(argv)}",
        "",
        f"{processor()}; {versions('numpy', 'pyarrow', 'emoji')}, torchmoji {torchmoji.__version__}.",
    ]
    write_report("\n".join(lines) + "\n", arguments.output)


if __name__ == "__main__":
    main()
