"""Measure tokenization: texts a second on files of texts, and seconds for a million hostile characters.

A FILE has one text a line; in a .tsv file the text follows the first tab. Either may be compressed (.gz).
Cold is the first pass over a file in a fresh process, warm a second one in the same process. All times are of
the processor, on one core.

Examples:
    tokenization.py tweets.txt train.tsv.gz --limit 45000
    tokenization.py tweets.txt --vocabulary vocabulary.json --output tokenization.md
"""

import argparse
import gzip
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torchmoji
from benchmarks.report import write_report
from torchmoji.cli.arguments import make_parser, not_negative, positive
from torchmoji.create_vocab import load_vocabulary
from torchmoji.global_variables import VOCAB_PATH
from torchmoji.runtime.machine import processor, versions
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.tokenizer import tokenize

HOSTILE = {
    "a.a.a.": "a.",
    "<3<3": "<3",
    "((((": "(",
    "@@@@": "@",
    "www.www.": "www.",
    "one long word": "a",
    "one combining mark": "\u0301",
    "two combining marks by turns": "\u0301\u0316",
    "half-width voiced marks": "\uff9e\u0301",
    "1.1.1.": "1.",
    "a@a@": "a@",
    "a@b.a@b.": "a@b.",
    "e-mail addresses": "me@home.org",
    "a-a-": "a-",
    ">:>:": ">:",
    "##a##a": "##a",
    "mr.mr.": "mr.",
    "written-out line breaks": "\\n",
    "aaabbb": "aaabbb",
    "é": "é",
    "😂": "😂",
    "…": "…",
    "Hangul letters": "\u1100\u1161\u11a8",
    "NUL": "\0",
}
"""Name -> what is repeated."""


def command_line() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="texts, one a line")
    parser.add_argument("--vocabulary", metavar="PATH", help="default: that of the installed model")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N texts of a file")
    parser.add_argument(
        "--length", type=positive, default=30, metavar="N", help="tokens (default: %(default)s)"
    )
    parser.add_argument(
        "--repeat", type=positive, default=5, metavar="N", help="processes (default: %(default)s)"
    )
    parser.add_argument(
        "--characters", type=not_negative, default=1_000_000, metavar="N", help="of a hostile text; 0: none"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
    parser.add_argument("--once", action="store_true", help="one process's seconds, as JSON; for the program")
    return parser


def read_texts(path: Path, limit: int | None) -> list[str]:
    """The first texts of a file, all by default."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\n") for line in islice(file, limit)]
    if ".tsv" in path.suffixes:
        return [line.partition("\t")[2] for line in lines]
    return lines


def seconds(function: Callable[[], object]) -> float:
    """Processor time of one call."""
    started = time.process_time()
    function()
    return time.process_time() - started


def two_passes(path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """The number of texts, and the seconds of the first two passes over them in this process."""
    texts = read_texts(path, arguments.limit)
    tokenizer = SentenceTokenizer(load_vocabulary(arguments.vocabulary or VOCAB_PATH), arguments.length)
    passes = [seconds(lambda: tokenizer.tokenize_sentences(texts)) for _ in range(2)]
    return {"texts": len(texts), "cold": passes[0], "warm": passes[1]}


def in_fresh_processes(path: Path, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """What `two_passes` gives in new processes, one after the other."""
    command = [sys.executable, __file__, str(path), "--once", "--length", str(arguments.length)]
    if arguments.vocabulary:
        command += ["--vocabulary", arguments.vocabulary]
    if arguments.limit:
        command += ["--limit", str(arguments.limit)]
    return [
        json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        for _ in range(arguments.repeat)
    ]


def speed_cell(runs: Sequence[dict[str, float]], key: str) -> str:
    """The median texts a second, with the range in brackets."""
    speeds = [run["texts"] / run[key] for run in runs]
    return f"{median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})"


def speed_table(arguments: argparse.Namespace) -> str:
    """Markdown: a row for each file."""
    lines = ["| file | texts | texts a second, cold | warm |", "|---|---|---|---|"]
    for path in arguments.files:
        runs = in_fresh_processes(path, arguments)
        cells = [path.name, f"{runs[0]['texts']:,}", speed_cell(runs, "cold"), speed_cell(runs, "warm")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def hostile_table(arguments: argparse.Namespace) -> str:
    """Markdown: seconds for a hostile text and for a quarter of it, as a row of ids and in `tokenize`."""
    tokenizer = SentenceTokenizer(load_vocabulary(arguments.vocabulary or VOCAB_PATH), arguments.length)
    lengths = [arguments.characters // 4, arguments.characters]
    header = [f"{name}, {length:,}" for name in ("to ids", "`tokenize`") for length in lengths]
    lines = [f"| seconds for | {' | '.join(header)} |", "|---|---|---|---|---|"]
    for name, unit in HOSTILE.items():
        texts = [(unit * length)[:length] for length in lengths]
        cells = [f"`{name}`" if name.isascii() and " " not in name else name]
        cells += [f"{seconds(lambda text=text: tokenizer.tokenize_sentences([text])):.2f}" for text in texts]
        cells += [f"{seconds(lambda text=text: tokenize(text)):.2f}" for text in texts]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def circumstances(arguments: Sequence[str]) -> str:
    """Markdown: the command, the machine and the versions."""
    return (
        f"    python benchmarks/tokenization.py {shlex.join(arguments)}\n\n"
        f"{processor()}, one used; {versions('numpy')}, torchmoji {torchmoji.__version__}.\n"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the tables."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = command_line().parse_args(argv)
    if arguments.once:
        print(json.dumps(two_passes(arguments.files[0], arguments)))
        return
    tables = [speed_table(arguments)]
    if arguments.characters:
        tables.append(hostile_table(arguments))
    report = "\n".join([*tables, circumstances(argv)])
    write_report(report, arguments.output)


if __name__ == "__main__":
    main()
