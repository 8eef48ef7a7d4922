"""Split a data set into training, validation and test part and turn its texts into token ids.

The file's own split is used (in CSV and JSONL: the column `split`), or a random one by
--shares. With --extend the vocabulary grows by the most frequent new words of the training
part.

Examples:
    dataset_split.py                                      sentiment.csv of examples/data
    dataset_split.py raw.pickle --extend 1000             a benchmark file of DeepMoji
    dataset_split.py mine.csv --shares 0.8 0.1 0.1 --out mine.npz
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from example_helper import DATA, add_vocabulary_argument

from torchmoji.cli.arguments import make_parser, not_negative, positive
from torchmoji.create_vocab import load_vocabulary
from torchmoji.files import atomic_path
from torchmoji.global_variables import VOCAB_PATH
from torchmoji.sentence_tokenizer import SentenceTokenizer, coverage
from torchmoji.training import read_labelled_texts


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, split, print the parts."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "data", nargs="?", type=Path, default=DATA / "sentiment.csv", help=".csv, .jsonl or benchmark .pickle"
    )
    add_vocabulary_argument(parser)
    parser.add_argument(
        "--maxlen", type=positive, default=30, metavar="N", help="tokens a text (default: %(default)s)"
    )
    parser.add_argument(
        "--extend", type=not_negative, default=0, metavar="N", help="new words (default: %(default)s)"
    )
    parser.add_argument(
        "--shares",
        nargs=3,
        type=float,
        metavar=("TRAIN", "VAL", "TEST"),
        help="split at random by these shares, which sum to 1 (default: the file's own split)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=42, help="of a random split (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.npz", help="write the arrays x_train, y_train and so on to a file"
    )
    options = parser.parse_args(arguments)

    try:
        data = read_labelled_texts(options.data, seed=options.seed)
        tokenizer = SentenceTokenizer(load_vocabulary(options.vocabulary or VOCAB_PATH), options.maxlen)
        tokens, labels, added = tokenizer.split_train_val_test(
            data.texts, list(data.labels), options.shares or data.split, options.extend, seed=options.seed
        )
        if options.out is not None:
            arrays = {}
            for part, x, y in zip(("train", "val", "test"), tokens, labels, strict=True):
                arrays[f"x_{part}"], arrays[f"y_{part}"] = x, y
            with atomic_path(options.out) as temporary, temporary.open("wb") as stream:
                np.savez_compressed(stream, **arrays)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    print(f"{options.data}: {len(data.texts)} texts, {added} words added to the vocabulary")
    for name, x, y in zip(("training", "validation", "test"), tokens, labels, strict=True):
        classes, counts = (
            (range(y.shape[1]), y.sum(axis=0)) if y.ndim == 2 else np.unique(y, return_counts=True)
        )
        sizes = ", ".join(f"{size} of class {label}" for label, size in zip(classes, counts, strict=True))
        known = f", {coverage(x):.1%} of the tokens known" if x.any() else ""
        print(f"{name:>10}: token ids {x.shape}, {sizes}{known}")


if __name__ == "__main__":
    main()
