"""Score a model on texts labelled with emojis, emoji by emoji, and show where it fails.

FILE has lines of comma-separated classes, a tab, and the text from which the emojis were taken out; gzip by
the ending .gz. The result is Markdown: the sections of a model card.

Examples:
    score_emojis.py data/emoji/valid.tsv.gz
    score_emojis.py data/emoji/valid.tsv.gz --model deepmoji
    score_emojis.py data/emoji/valid.tsv.gz --model runs/default
"""

from collections.abc import Sequence
from pathlib import Path

from torchmoji import MojiPipeline
from torchmoji.arguments import make_parser
from torchmoji.corpus import read_labelled_texts
from torchmoji.default_model import failures, failures_section
from torchmoji.emoji_scores import score_probabilities
from torchmoji.pretraining_card import classes_part, scores_row, scores_table

MODEL = "default"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, score, print."""
    parser = make_parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--model", default=MODEL, metavar="NAME", help="as in `torchmoji` (default: default)")
    options = parser.parse_args(arguments)
    try:
        pipeline = MojiPipeline.from_pretrained(options.model)
        texts, labels = read_labelled_texts(options.file, len(pipeline.classes))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    scores = score_probabilities(pipeline.predict_proba(texts), labels)
    print(f"On {scores.texts} texts. {scores_table([scores_row(options.model, scores)])}\n")
    print(f"{classes_part(pipeline.classes, scores)}\n")
    print(failures_section(failures(pipeline)))


if __name__ == "__main__":
    main()
