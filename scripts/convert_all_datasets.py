"""Turn data sets into token ids: one .npz file each, for training code of one's own.

A file has the arrays x_train, y_train, x_val, y_val, x_test and y_test: x are token ids (texts,
length), the length being the 80th percentile of the numbers of tokens rounded up to a ten; y
are class numbers (texts,), or 0 and 1 (texts, classes). With --extend the vocabulary grows by
new words of each set's training part; it is written beside the arrays as NAME_vocabulary.json.

Examples:
    convert_all_datasets.py ../examples/data/*.csv --out converted
    convert_all_datasets.py benchmarks/*/raw.pickle --out converted --extend 10000
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from script_helper import dataset_names

from torchmoji.cli.arguments import make_parser, not_negative
from torchmoji.create_vocab import load_vocabulary, save_vocabulary
from torchmoji.files import atomic_path, writing
from torchmoji.finetuning import calculate_batchsize_maxlen
from torchmoji.global_variables import VOCAB_PATH
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.training import read_labelled_texts


def convert(path: Path, name: str, vocabulary: dict[str, int], extend_with: int, folder: Path) -> str:
    """Convert a data set into `folder` and give a line that describes it."""
    data = read_labelled_texts(path)
    _, maxlen = calculate_batchsize_maxlen(data.texts)
    tokenizer = SentenceTokenizer(vocabulary, maxlen)
    tokens, labels, added = tokenizer.split_train_val_test(
        data.texts, list(data.labels), data.split, extend_with=extend_with
    )
    arrays = {}
    for part, x, y in zip(("train", "val", "test"), tokens, labels, strict=True):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = x, y
    with atomic_path(folder / f"{name}.npz") as temporary, writing(temporary):
        np.savez_compressed(temporary, **arrays)
    if extend_with > 0:
        save_vocabulary(tokenizer.vocabulary, folder / f"{name}_vocabulary.json")
    sizes = " + ".join(str(len(x)) for x in tokens)
    return f"{name}: {sizes} texts of {maxlen} tokens, {added} words added"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, convert one data set after the other."""
    parser = make_parser(__doc__)
    parser.add_argument("data", nargs="+", type=Path, help=".csv, .jsonl or benchmark .pickle")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--vocabulary", type=Path, metavar="FILE", help="default: the installed model's")
    parser.add_argument(
        "--extend", type=not_negative, default=0, metavar="N", help="new words (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        vocabulary = load_vocabulary(options.vocabulary or VOCAB_PATH)
        for name, path in zip(dataset_names(options.data), options.data, strict=True):
            print(convert(path, name, vocabulary, options.extend, options.out))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
