"""Mean and standard deviation of the scores in one results file of finetune_dataset.py.

Runs with different settings are kept apart. The standard deviation is the sample's (n - 1), over seeds.

Examples:
    analyze_results.py results/SS-Youtube_last_acc.jsonl
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from script_helper import read_results, summarize

from torchmoji.cli.arguments import make_parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, read, print."""
    parser = make_parser(__doc__)
    parser.add_argument("file", type=Path, help="one result a line, as finetune_dataset.py writes it")
    options = parser.parse_args(arguments)
    try:
        summaries = summarize(read_results(options.file))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for summary in summaries:
        deviation = "none" if summary.deviation is None else f"{summary.deviation:.4f}"
        print(f"{summary.dataset}, {summary.method}, {summary.metric}; {summary.settings}")
        print(f"mean {summary.mean:.4f}   standard deviation {deviation}   runs {summary.n}")


if __name__ == "__main__":
    main()
