"""Extend a vocabulary by the most frequent words of texts that it does not have yet.

The result is a copy, unless --in-place. New words come after the old ones, whose ids stay; load
the weights with `torchmoji_transfer(..., extend_embedding=N)`, N the number of words added, and
fine-tune: the new words' vectors start as that of unknown words.

Examples:
    vocab_extension.py                                     with words of the texts in examples/data
    vocab_extension.py forum.txt --max-tokens 500          a text file, one text a line
    vocab_extension.py forum.csv --vocabulary mine.json --in-place
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from example_helper import DATA, add_vocabulary_argument, read_texts

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.create_vocab import (
    VocabBuilder,
    extend_vocab,
    extend_vocab_in_file,
    load_vocabulary,
    save_vocabulary,
)
from torchmoji.global_variables import VOCAB_PATH
from torchmoji.word_generator import WordGenerator


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, count the words of the texts, extend."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "data",
        nargs="?",
        type=Path,
        default=DATA / "sentiment.csv",
        help=".csv, .jsonl or .pickle, or text, one a line (default: sentiment.csv in examples/data)",
    )
    add_vocabulary_argument(parser)
    parser.add_argument(
        "--max-tokens",
        type=positive,
        default=1000,
        metavar="N",
        help="most words to add (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("vocabulary_extended.json"),
        metavar="FILE",
        help="default: %(default)s in the current folder",
    )
    parser.add_argument(
        "--in-place", action="store_true", help="change the file given by --vocabulary itself"
    )
    options = parser.parse_args(arguments)
    if options.in_place and options.vocabulary is None:
        parser.error("--in-place needs --vocabulary: the installed model's vocabulary is not changed")

    try:
        builder = VocabBuilder(WordGenerator(read_texts(options.data)))
        builder.count_all_words()
        if options.in_place:
            out = options.vocabulary
            added = extend_vocab_in_file(builder, options.max_tokens, out)
        else:
            out = options.out
            vocabulary = load_vocabulary(options.vocabulary or VOCAB_PATH)
            added = extend_vocab(vocabulary, builder, options.max_tokens)
            save_vocabulary(vocabulary, out)
        words = list(load_vocabulary(out))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"{out}: {len(words)} entries, {added} of them new")
    if added:
        print(f"the commonest new words: {' '.join(words[-added:][:10])}")


if __name__ == "__main__":
    main()
