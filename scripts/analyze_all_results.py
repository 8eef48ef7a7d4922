"""A Markdown table of all results in a folder.

It has mean and standard deviation of the scores for each data set, method and metric. The
standard deviation is the sample's (n - 1); a single run has none.

Examples:
    analyze_all_results.py results
    analyze_all_results.py results --out results/README.md
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from script_helper import RESULTS_ENDING, Summary, read_results, summarize

from torchmoji.cli.arguments import make_parser
from torchmoji.files import atomic_write_text


def table(summaries: list[Summary]) -> str:
    """Lay out summaries as a Markdown table."""
    lines = ["| data set | method | metric | settings | score | runs |", "|---|---|---|---|---|---|"]
    for summary in summaries:
        spread = "" if summary.deviation is None else f" ± {summary.deviation:.4f}"
        score = f"{summary.mean:.4f}{spread}"
        key = (summary.dataset, summary.method, summary.metric, summary.settings)
        lines.append(f"| {' | '.join(key)} | {score} | {summary.n} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, read, print or write the table."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, help="with the files that finetune_dataset.py writes")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="default: standard output")
    options = parser.parse_args(arguments)
    try:
        files = sorted(options.folder.glob(f"*{RESULTS_ENDING}"))
        if not files:
            raise ValueError(
                f"no results (*{RESULTS_ENDING}) in {options.folder}; finetune_dataset.py makes them"
            )
        text = table(summarize([result for path in files for result in read_results(path)]))
        if options.out is not None:
            atomic_write_text(options.out, text)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"{options.out}: {len(files)} results files" if options.out else text.rstrip("\n"))


if __name__ == "__main__":
    main()
