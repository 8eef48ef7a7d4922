"""Where the benchmark programs put what they found."""

from pathlib import Path

from torchmoji.files import atomic_write_text


def write_report(report: str, output: str | Path | None) -> None:
    """Write a report to a file, whole or not at all, or to standard output where none is named."""
    if output:
        atomic_write_text(output, report)
    else:
        print(report, end="")
