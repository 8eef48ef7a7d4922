"""Turn texts into token ids, the numbers that the model reads.

Examples:
    tokenize_dataset.py                             the sentences of DeepMoji's examples
    tokenize_dataset.py tweets.txt --out ids.npy    a text file, one text a line
    tokenize_dataset.py raw.pickle --maxlen 50      a data set: .csv, .jsonl or benchmark .pickle
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from example_helper import add_vocabulary_argument, read_texts

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EXAMPLE_TEXTS
from torchmoji.files import atomic_path
from torchmoji.global_variables import VOCAB_PATH
from torchmoji.sentence_tokenizer import SentenceTokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, tokenize, print the first rows, write the array."""
    parser = make_parser(__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="texts (default: seven sample sentences)")
    add_vocabulary_argument(parser)
    parser.add_argument(
        "--maxlen",
        type=positive,
        default=30,
        metavar="N",
        help="tokens a text, the rest is cut (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.npy", help="write the array (texts, maxlen) to a file"
    )
    options = parser.parse_args(arguments)

    try:
        texts = read_texts(options.data) if options.data else list(EXAMPLE_TEXTS)
        tokenizer = SentenceTokenizer(load_vocabulary(options.vocabulary or VOCAB_PATH), options.maxlen)
        tokens, _, stats = tokenizer.tokenize_sentences(texts)
        if options.out is not None:
            with atomic_path(options.out) as temporary, temporary.open("wb") as stream:
                np.save(stream, tokens)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    for text, row in zip(texts[:3], tokens, strict=False):
        print(f"{text}\n  ids:   {row[row != 0].tolist()}\n  words: {tokenizer.to_sentence(row)}")
    print(f"token ids: {tokens.shape} {tokens.dtype}; {stats['valid']} of {stats['total']} texts have tokens")


if __name__ == "__main__":
    main()
