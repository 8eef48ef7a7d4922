"""Measure how well similarities tell what texts feel: by the overlap of emojis, and by the encodings.

Of each line of pairs.jsonl, which no model learns, a text feels like the second one and not like the third,
with which it has words in common. DIR, if given, has labelled texts of TweetEval (`emotion/test_text.txt.gz`
and `test_labels.txt`): of two pairs of texts, one with the same emotion and one with two, is the former more
alike? The share is the area under the ROC curve.

Examples:
    similarity.py
    similarity.py default runs/default --tweeteval DIR
"""

import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from sklearn.metrics import roc_auc_score

from torchmoji import MojiPipeline
from torchmoji.cli.arguments import make_parser

Kind = Literal["classes", "encoding"]
KINDS: dict[Kind, str] = {"classes": "overlap of emojis", "encoding": "cosine of encodings"}


def right(pipeline: MojiPipeline, kind: Kind) -> float:
    """The share of lines whose text is more like the second one than like the third."""
    lines = Path(__file__).with_name("pairs.jsonl").read_text(encoding="utf-8").splitlines()
    texts, alike, unlike = zip(*(json.loads(line).values() for line in lines), strict=True)
    similarities = [np.diag(pipeline.similarity(texts, others, kind)) for others in (alike, unlike)]
    return float((similarities[0] > similarities[1]).mean())


def area(pipeline: MojiPipeline, kind: Kind, folder: Path) -> float:
    """The area under the ROC curve of telling pairs with the same emotion from others."""
    texts = gzip.decompress((folder / "test_text.txt.gz").read_bytes()).decode().splitlines()
    labels = np.loadtxt(folder / "test_labels.txt", dtype=int)
    above = np.triu_indices(len(texts), 1)
    same = labels[:, np.newaxis] == labels
    return float(roc_auc_score(same[above], pipeline.similarity(texts, texts, kind)[above]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="*", default=["default"], metavar="MODEL", help="default: default")
    parser.add_argument("--tweeteval", type=Path, metavar="DIR", help="with the folder emotion")
    options = parser.parse_args(arguments)
    print("| model | similarity | our pairs |" + (" emotion, area |" if options.tweeteval else ""))
    print("|---|---|---|" + ("---|" if options.tweeteval else ""))
    try:
        for name in options.models:
            pipeline = MojiPipeline.from_pretrained(name)
            for kind, title in KINDS.items():
                cells = [name, title, f"{right(pipeline, kind):.2f}"]
                if options.tweeteval:
                    cells.append(f"{area(pipeline, kind, options.tweeteval / 'emotion'):.3f}")
                print(f"| {' | '.join(cells)} |")
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
