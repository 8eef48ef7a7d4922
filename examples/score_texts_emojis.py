"""Score texts with the 64 emojis: a CSV with the five likeliest of each text.

The columns are text, top_5 (the five probabilities' sum), emoji_1 to emoji_5 and probability_1
to probability_5.

Examples:
    score_texts_emojis.py                                     the sentences of DeepMoji's examples
    score_texts_emojis.py "great, rain again" "what a day"
    score_texts_emojis.py --file comments.csv --out scores.csv
"""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from example_helper import add_text_arguments, chosen_texts, model_files

from torchmoji.cli.arguments import make_parser
from torchmoji.emojis import top_emojis
from torchmoji.files import atomic_write_text
from torchmoji.model_def import torchmoji_emojis
from torchmoji.sentence_tokenizer import SentenceTokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, score, write the CSV."""
    parser = make_parser(__doc__)
    add_text_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="default: standard output")
    options = parser.parse_args(arguments)

    try:
        texts = chosen_texts(options)
        weights, vocabulary = model_files(options)
        tokens, _, _ = SentenceTokenizer(vocabulary, options.maxlen).tokenize_sentences(texts)
        probabilities = torchmoji_emojis(weights)(tokens)

        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        numbers = range(1, 6)
        writer.writerow(
            ["text", "top_5", *(f"emoji_{i}" for i in numbers), *(f"probability_{i}" for i in numbers)]
        )
        for text, guesses in zip(texts, top_emojis(probabilities, 5), strict=True):
            emojis = [guess.emoji for guess in guesses]
            scores = [guess.probability for guess in guesses]
            writer.writerow([text, f"{sum(scores):.4f}", *emojis, *(f"{score:.4f}" for score in scores)])
        if options.out is not None:
            atomic_write_text(options.out, table.getvalue())
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))

    print(f"{options.out}: {len(texts)} texts" if options.out else table.getvalue().rstrip("\n"))


if __name__ == "__main__":
    main()
