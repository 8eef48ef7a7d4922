"""Look for labels that a template or a campaign predicts: runs of words that nearly always have one emoji.

DATA is that of `make_default_model.py`. What its lists leave out is left out here as well.

Example:
    repeats.py data/emoji
"""

import argparse
import gzip
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import emoji

from torchmoji.emojis import EMOJIS

WORDS = 4
FIRST_WORDS = 15
"""Of a text: templates begin early."""
MOST_RUNS = 6_000_000
"""Runs that are counted at once; where there are more, those seen once are forgotten."""


def labelled_texts(data: Path, split: str = "train") -> Iterator[tuple[list[int], str]]:
    """Classes and text of each line that is not left out."""
    dropped = data / f"drop_{split}.txt.gz"
    left_out = set(map(int, gzip.decompress(dropped.read_bytes()).split())) if dropped.is_file() else set()
    with gzip.open(data / f"{split}.tsv.gz", "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number not in left_out:
                labels, _, text = line.rstrip("\n").partition("\t")
                yield [int(label) for label in labels.split(",")], text


def runs(text: str) -> list[str]:
    """Each run of four words of a text's beginning, once."""
    words = text.lower().split()[:FIRST_WORDS]
    return list({" ".join(words[at : at + WORDS]): None for at in range(len(words) - WORDS + 1)})


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument(
        "--texts", type=int, default=60, metavar="N", help="with a run (default: %(default)s)"
    )
    parser.add_argument(
        "--share", type=float, default=0.8, metavar="S", help="of an emoji (default: %(default)s)"
    )
    options = parser.parse_args()
    of_run: defaultdict[str, Counter[int]] = defaultdict(Counter)
    texts = several = others = 0
    for labels, text in labelled_texts(options.data):
        texts += 1
        several += len(labels) > 1
        others += not text.isascii() and emoji.emoji_count(text) > 0
        for run in runs(text):
            of_run[run][labels[0]] += 1
        if len(of_run) > MOST_RUNS:
            of_run = defaultdict(Counter, {run: found for run, found in of_run.items() if found.total() > 1})
    print(f"{texts} texts: {several} with several of the emojis, {others} with other emojis in the text")
    for run, found in sorted(of_run.items(), key=lambda item: -item[1].total()):
        (label, count), total = found.most_common(1)[0], found.total()
        if total >= options.texts and count >= options.share * total:
            print(f"{total} texts, {count / total:.0%} {EMOJIS[label]}: {run}")


if __name__ == "__main__":
    main()
