"""How many of the words in data sets a vocabulary knows: coverage of the test parts, in percent.

Each data set has three figures, as in the 2017 script:
    own        with a vocabulary of the training part alone (at most --extend words)
    last       with the vocabulary as it is: what the fine-tuning method `last` sees
    extended   with the vocabulary extended by at most --extend new words of the training part

Examples:
    calculate_coverages.py ../examples/data/sentiment.csv ../examples/data/emotions.csv
    calculate_coverages.py benchmarks/*/raw.pickle --out coverages.csv
"""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from script_helper import dataset_names

from torchmoji.cli.arguments import make_parser, not_negative, positive
from torchmoji.create_vocab import load_vocabulary
from torchmoji.files import atomic_write_text
from torchmoji.global_variables import SPECIAL_TOKENS, VOCAB_PATH
from torchmoji.sentence_tokenizer import SentenceTokenizer, coverage
from torchmoji.training import LabelledTexts, read_labelled_texts


def coverage_of_test_part(
    data: LabelledTexts, vocabulary: Mapping[str, int], maxlen: int, extend_with: int
) -> float:
    """Share of known tokens in the test part, from 0 to 1."""
    tokens, _, _ = SentenceTokenizer(vocabulary, maxlen).split_train_val_test(
        data.texts, list(data.labels), data.split, extend_with=extend_with
    )
    return coverage(tokens[2])


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print or write the table."""
    parser = make_parser(__doc__)
    parser.add_argument("data", nargs="+", type=Path, help=".csv, .jsonl or benchmark .pickle")
    parser.add_argument("--vocabulary", type=Path, metavar="FILE", help="default: the installed model's")
    parser.add_argument(
        "--extend", type=not_negative, default=10000, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--maxlen",
        type=positive,
        default=30,
        metavar="N",
        help="tokens a text, the rest is cut (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="also write the table to a file")
    options = parser.parse_args(arguments)

    special = {word: index for index, word in enumerate(SPECIAL_TOKENS)}
    table = [["data set", "own", "last", "extended"]]
    try:
        vocabulary = load_vocabulary(options.vocabulary or VOCAB_PATH)
        for name, path in zip(dataset_names(options.data), options.data, strict=True):
            data = read_labelled_texts(path)
            settings = ((special, options.extend), (vocabulary, 0), (vocabulary, options.extend))
            shares = [
                coverage_of_test_part(data, words, options.maxlen, extend) for words, extend in settings
            ]
            table.append([name, *(f"{100 * share:.1f}" for share in shares)])
        if options.out is not None:
            lines = io.StringIO()
            csv.writer(lines, lineterminator="\n").writerows(table)
            atomic_write_text(options.out, lines.getvalue())
    except (OSError, ValueError) as error:
        parser.error(str(error))
    width = max(len(row[0]) for row in table)
    for name, *figures in table:
        print(f"{name:{width}}", *(f"{figure:>9}" for figure in figures))


if __name__ == "__main__":
    main()
