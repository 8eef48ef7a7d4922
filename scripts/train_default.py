"""Train the default model from texts labelled with emojis, and write it with its model card.

DATA_DIR holds train.tsv.gz and valid.tsv.gz: lines of comma-separated classes (0 to 63), a tab, and the text.
An interrupted run goes on where it was when the same command is given again.

Examples:
    train_default.py data/emoji runs/default
    train_default.py data/emoji runs/default --passes 2 --notes notes.md
"""

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from torchmoji.arguments import make_parser, positive
from torchmoji.default_model import make_default_model
from torchmoji.pretraining import Scores, Settings


def _line(name: str, scores: Scores) -> str:
    return (
        f"{name}: first guess {scores.first:.1%}, first five {scores.first_five:.1%}, "
        f"averaged over classes {scores.average_first:.1%}, {scores.average_first_five:.1%}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train, print the scores."""
    parser = make_parser(__doc__)
    defaults = Settings()
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--passes", type=float, default=defaults.passes, help="default: %(default)s")
    parser.add_argument(
        "--batch-size", type=positive, default=defaults.batch_size, help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="default: %(default)s")
    parser.add_argument("--nb-tokens", type=positive, default=defaults.nb_tokens, help="default: %(default)s")
    parser.add_argument(
        "--embedding-dim", type=positive, default=defaults.embedding_dim, help="default: %(default)s"
    )
    parser.add_argument(
        "--hidden-size", type=positive, default=defaults.hidden_size, help="default: %(default)s"
    )
    parser.add_argument("--float32", action="store_true", help="matrix products in float32, not bfloat16")
    parser.add_argument("--notes", type=Path, metavar="FILE", help="Markdown for the model card")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, no log")
    options = parser.parse_args(arguments)
    if not options.quiet:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    settings = Settings(
        passes=options.passes,
        batch_size=options.batch_size,
        seed=options.seed,
        nb_tokens=options.nb_tokens,
        embedding_dim=options.embedding_dim,
        hidden_size=options.hidden_size,
        bfloat16=not options.float32,
    )
    given = sys.argv[1:] if arguments is None else arguments
    try:
        exact, stored = make_default_model(
            options.data,
            options.out,
            settings,
            command=shlex.join(["python", "scripts/train_default.py", *given]),
            notes=options.notes.read_text(encoding="utf-8") if options.notes else "",
            progress=not options.quiet,
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(_line("trained weights", exact))
    print(_line("stored weights", stored))


if __name__ == "__main__":
    main()
