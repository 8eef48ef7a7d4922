"""Train the default model from texts labelled with emojis, and write it with its model card.

DATA_DIR holds train.tsv.gz and valid.tsv.gz: lines of comma-separated classes (0 to 63), a tab, and the text.
An interrupted run goes on where it was when the same command is given again. All settings of training are
those of `torchmoji pretrain`.

Examples:
    train_default.py data/emoji runs/default
    train_default.py data/emoji runs/default --passes 2 --average 0.999 --notes notes.md
"""

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from default_model import make_default_model

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.cli.pretraining import add_settings, read_settings
from torchmoji.global_variables import NB_TOKENS
from torchmoji.pretraining.scores import Scores


def _line(name: str, scores: Scores) -> str:
    return (
        f"{name}: first guess {scores.first:.1%}, first five {scores.first_five:.1%}, "
        f"averaged over classes {scores.average_first:.1%}, {scores.average_first_five:.1%}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train, print the scores."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--nb-tokens", type=positive, default=NB_TOKENS, help="default: %(default)s")
    add_settings(parser)
    parser.add_argument("--notes", type=Path, metavar="FILE", help="Markdown for the model card")
    parser.add_argument("--compile", action="store_true", help="use torch.compile where it works")
    parser.add_argument(
        "--checkpoint-minutes", type=float, default=10, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars, no log")
    options = parser.parse_args(arguments)
    if not options.quiet:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = sys.argv[1:] if arguments is None else arguments
    try:
        made = make_default_model(
            options.data,
            options.out,
            read_settings(options),
            nb_tokens=options.nb_tokens,
            command=shlex.join(["python", "research/train_default.py", *given]),
            notes=options.notes.read_text(encoding="utf-8") if options.notes else "",
            compiled=options.compile,
            checkpoint_seconds=60 * options.checkpoint_minutes,
            progress=not options.quiet,
        )
    except (OSError, ValueError, FloatingPointError) as error:
        parser.error(str(error))
    for name, scores in (made.scores or {}).items():
        print(_line(name, scores))


if __name__ == "__main__":
    main()
