"""Encode texts as emotional feature vectors, 2304 numbers each with the installed model.

Examples:
    encode_texts.py                                     the sentences of DeepMoji's examples
    encode_texts.py "great, rain again" "what a day"
    encode_texts.py --file comments.csv --out features.npy
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from example_helper import add_text_arguments, chosen_texts, model_files

from torchmoji.cli.arguments import make_parser
from torchmoji.files import atomic_path
from torchmoji.model_def import torchmoji_feature_encoding
from torchmoji.sentence_tokenizer import SentenceTokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, encode, print the first numbers of each text."""
    parser = make_parser(__doc__)
    add_text_arguments(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE.npy", help="write the array (texts, features) to a file"
    )
    options = parser.parse_args(arguments)

    try:
        texts = chosen_texts(options)
        weights, vocabulary = model_files(options)
        tokens, _, _ = SentenceTokenizer(vocabulary, options.maxlen).tokenize_sentences(texts)
        features = torchmoji_feature_encoding(weights)(tokens)
        if options.out is not None:
            with atomic_path(options.out) as temporary, temporary.open("wb") as stream:
                np.save(stream, features)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))

    for text, row in zip(texts, features, strict=True):
        print(" ".join(f"{value:6.3f}" for value in row[:5]), f"...  {text}")
    print(f"features: {features.shape} {features.dtype}")


if __name__ == "__main__":
    main()
