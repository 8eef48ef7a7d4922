"""Score a model on texts labelled with emojis, emoji by emoji.

FILE has lines of comma-separated classes, a tab, and the text from which the emojis were taken out; gzip by
the ending .gz. The result is Markdown: the sections of a model card.

Examples:
    score_emojis.py data/emoji/valid.tsv.gz
    score_emojis.py data/emoji/valid.tsv.gz --model deepmoji
    score_emojis.py data/emoji/valid.tsv.gz --model runs/default
    score_emojis.py data/emoji/valid.tsv.gz --balance 0 0.3 1
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torchmoji import MojiPipeline
from torchmoji.balancing import Balance
from torchmoji.cli.arguments import make_parser
from torchmoji.corpus.reading import read_corpus_texts
from torchmoji.pretraining.card import classes_part, scores_row, scores_table
from torchmoji.pretraining.scores import score_probabilities

MODEL = "default"


def _with_balance(own: MojiPipeline, strength: float) -> MojiPipeline:
    """The same model with another balance; it is not loaded again."""
    settings = (own.max_length, own.windows, strength, own.class_frequencies)
    return MojiPipeline(own.engine, own.vocabulary, own.classes or None, *settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, score, print."""
    parser = make_parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--model", default=MODEL, metavar="NAME", help="as in `torchmoji` (default: default)")
    parser.add_argument(
        "--balance",
        type=float,
        nargs="+",
        default=[0.0],
        metavar="B",
        help="as in `torchmoji emojize`, a row for each; the first one's emojis are shown (default: 0)",
    )
    options = parser.parse_args(arguments)
    try:
        own = MojiPipeline.from_pretrained(options.model)
        pipelines = {strength: _with_balance(own, strength) for strength in options.balance}
        texts, labels = read_corpus_texts(options.file, len(own.classes))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    probabilities, size = own.predict_proba(texts), len(own.classes)
    scores = {
        f"{options.model}, balance {strength:g}" if strength else options.model: score_probabilities(
            Balance(strength, own.class_frequencies, size)(probabilities), labels
        )
        for strength in pipelines
    }
    first = next(iter(scores.values()))
    print(f"On {first.texts} texts. {scores_table([scores_row(*entry) for entry in scores.items()])}\n")
    print(classes_part(own.classes, first))


if __name__ == "__main__":
    main()
