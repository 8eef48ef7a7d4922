"""What MkDocs does to pages on the way: tables from other files, and pictures for dark mode.

    <!-- table: benchmarks/README.md | Speed | 2 -->      the second table under that heading
    <!-- machine: benchmarks/README.md | Speed -->        where it was measured
    <!-- emojis -->                                       the 64 classes

A picture `images/name.svg` is followed by `images/name-dark.svg` where there is one; the theme shows the one
that fits.
"""

import re
from pathlib import Path
from typing import Any

from measurements import machine, table

_INSERTION = re.compile(r"^<!-- (table|machine|emojis)(?:: ([^>]+?))? -->$", re.M)
_PICTURE = re.compile(r"!\[([^\]]*)\]\((images/[\w-]+)(\.svg|\.png)\)(\{[^}\n]*\})?")


def on_page_markdown(markdown: str, **context: Any) -> str:
    """Put in tables and pictures."""
    folder = Path(context["config"]["docs_dir"])

    def both(match: re.Match[str]) -> str:
        text, name, ending, attributes = match.groups(default="")
        if not (folder / f"{name}-dark{ending}").is_file():
            return match[0]
        return (
            f"![{text}]({name}{ending}#only-light){attributes}"
            f"![{text}]({name}-dark{ending}#only-dark){attributes}"
        )

    return _PICTURE.sub(both, _INSERTION.sub(_inserted, markdown))


def _inserted(match: re.Match[str]) -> str:
    kind, arguments = match[1], [part.strip() for part in (match[2] or "").split("|")]
    if kind == "emojis":
        return _emojis()
    path, heading, *number = arguments
    if kind == "machine":
        return f"*{machine(path, heading)}*"
    return table(path, heading, *map(int, number)).markdown


def _emojis() -> str:
    from torchmoji.emojis import EMOJIS, alias

    cells = [f"{number} {emoji} `{alias(emoji)}`" for number, emoji in enumerate(EMOJIS)]
    lines = ["| | | | |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells[start : start + 4])} |" for start in range(0, len(cells), 4)]
    return "\n".join(lines)
