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

import torch
from torch import Tensor, nn

from torchmoji import MojiPipeline
from torchmoji.arguments import make_parser
from torchmoji.corpus import read_labelled_texts
from torchmoji.default_model import failures, failures_section
from torchmoji.emoji_scores import Scores, score_emojis
from torchmoji.pretraining_card import classes_part, scores_row, scores_table
from torchmoji.shards import TokenRows, in_memory

MODEL = "default"


class _Numbered(nn.Module):
    """Gives the probabilities of texts that are named by their numbers, from 1 on."""

    output_logits = False

    def __init__(self, probabilities: Tensor) -> None:
        super().__init__()
        self.probabilities = nn.Parameter(probabilities, requires_grad=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers (n, 1) to probabilities (n, C)."""
        return self.probabilities[numbers[:, 0] - 1]


def score(pipeline: MojiPipeline, texts: Sequence[str], labels: Sequence[Sequence[int]]) -> Scores:
    """How well a model guesses.

    Args:
        pipeline: Of the model.
        texts: Without their emojis.
        labels: Their classes.
    """
    probabilities = torch.from_numpy(pipeline.predict_proba(texts)).float()
    rows = TokenRows([in_memory([[number] for number in range(1, len(texts) + 1)], labels)])
    return score_emojis(_Numbered(probabilities), rows, probabilities.shape[1])


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
    scores = score(pipeline, texts, labels)
    print(f"On {scores.texts} texts. {scores_table([scores_row(options.model, scores)])}\n")
    print(f"{classes_part(pipeline.classes, scores)}\n")
    print(failures_section(failures(pipeline)))


if __name__ == "__main__":
    main()
