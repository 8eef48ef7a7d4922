"""Print a text with its five likeliest emojis.

Examples:
    text_emojize.py --text "I love mom's cooking"
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from example_helper import add_model_arguments, model_files

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.emojis import top_emojis
from torchmoji.model_def import torchmoji_emojis
from torchmoji.sentence_tokenizer import SentenceTokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, print the text and its emojis."""
    parser = make_parser(__doc__)
    parser.add_argument("--text", required=True)
    add_model_arguments(parser)
    parser.add_argument(
        "--maxlen",
        type=positive,
        default=30,
        metavar="N",
        help="tokens read, the rest is cut (default: %(default)s)",
    )
    options = parser.parse_args(arguments)

    try:
        weights, vocabulary = model_files(options)
        tokens, _, _ = SentenceTokenizer(vocabulary, options.maxlen).tokenize_sentences([options.text])
        guesses = top_emojis(torchmoji_emojis(weights)(tokens), 5)[0]
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))
    print(options.text, *(guess.emoji for guess in guesses))


if __name__ == "__main__":
    main()
