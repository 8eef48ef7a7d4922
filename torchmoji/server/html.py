"""The HTML of the page of `torchmoji.server.demo`: readings, comparisons, files. All text in it is escaped.

Bars and shades are drawn by width and opacity, which `demo.css` colours for light and dark; every number is
there as text too. An element with the class `say` is read aloud by `demo.js`, through a live region, once the
user stops typing.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from torchmoji.emojis import shown
from torchmoji.pipeline.results import WordAttention, shaded_html

HEADER = """
<header class="intro"><h1>torchMoji</h1>
<p>Type a short English text and see which emojis people would put next to it.</p></header>
"""
FILE_HELP = """
<p class="note">A <code>.csv</code>, <code>.tsv</code>, <code>.jsonl</code>, <code>.json</code> or
<code>.txt</code> file in UTF-8, also with <code>.gz</code>, up to 50 MB. It comes back with the same rows
and columns, and emojis in new columns.</p>
"""
FOOTER = """
<footer class="outro"><p>The model that comes with torchMoji is small and often misses irony and negation.
A guess says which emojis people put next to such words, no more:
<strong>do not use it to judge persons.</strong></p>
<p>What you type is neither stored nor logged. Files are deleted after an hour or two.</p></footer>
"""

_SHOWN_EMOTIONS = 3
_LONGEST_CELL = 60
_LONG = 200
"""Characters of a text that fit without scrolling, on a phone too."""


def reading(found: dict[str, Any], which: str, several: bool = False) -> str:
    """Show what a model says about a text.

    Args:
        found: A reading of a text.
        which: Names the text, such as "your text".
        several: Each class is judged on its own.
    """
    text = found["text"]
    words = [WordAttention(**word) for word in found["words"]]
    if not words:
        return _say(f"{which}: no words") + empty("There are no words in this text.")
    weights = ", ".join(f"{text[w.start : w.end]} {percent(w.weight)}" for w in words) or "none"
    scrolls = ' tabindex="0"' if len(text) > _LONG else ""  # what scrolls needs the focus
    parts = [
        f'<section class="reading" aria-label="Result for {escape(which)}">',
        *_likeliest(found["emojis"], which),
        f'<ol class="bars">{"".join(map(_bar, found["emojis"]))}</ol>',
        '<p class="note">Each class is judged on its own.</p>' if several else "",
        _emotions(found["emotions"]) if found["emotions"] is not None else "",
        f'<h2>Words by attention</h2><p class="words"{scrolls}>{shaded_html(text, words, "--shade:{}")}</p>',
        f'<p class="hidden-text">Weights: {escape(weights)}.</p>',
        f'<p class="note">The model read the first {len(words)} words.</p>' if found["cut"] else "",
        f'<h2>Nearest example sentences</h2><ol class="nearest">{"".join(map(_neighbour, found["nearest"]))}',
        "</ol></section>",
    ]
    return "".join(parts)


def _likeliest(scores: Sequence[dict[str, Any]], which: str) -> list[str]:
    """The first of the classes in large; where none reaches its threshold, that."""
    if not scores:
        return [_say(f"{which}: no class"), '<p class="note">No class reaches its threshold.</p>']
    name, share = _name(scores[0]["alias"]), percent(scores[0]["probability"])
    return [
        _say(f"{which}: {name}, {share}"),
        f'<p class="top">{_sign(scores[0], "big")}<span class="top-name">{escape(name)}',
        f'<span class="top-share">{share}</span></span></p>',
    ]


def empty(invitation: str) -> str:
    """What stands in place of a reading while there is no text."""
    return f'<p class="empty">{escape(invitation)}</p>'


def similarity(found: dict[str, Any] | None) -> str:
    """Show how similar two texts are."""
    if found is None:
        return ""
    value, share = found["similarity"], percent(found["closer_than"])
    return (
        _say(f"Similarity {value:.2f}")
        + f'<p class="similarity"><span>Similarity of both <b>{value:.2f}</b></span>{_track(value)}'
        + f"<span>closer than {share} of pairs of example sentences</span></p>"
    )


def file_preview(header: Sequence[str], rows: Sequence[Sequence[str]], done: int) -> str:
    """Show the first rows of a file that is done.

    Args:
        header: Names of the columns.
        rows: Cells, as many as the header has in each.
        done: How many rows the file has.
    """
    count = f"{done:,} row{'s' if done != 1 else ''}"
    said = f'{_say(f"Done, {count}")}<p class="done">Done: {count}.</p>'
    if not rows:
        return said
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    marks = [' class="sign"' if name.startswith("emoji_") else "" for name in header]
    body = ""
    for row in rows:
        cells = (cell if len(cell) <= _LONGEST_CELL else cell[: _LONGEST_CELL - 1] + "…" for cell in row)
        tagged = (f"<td{mark}>{escape(cell)}</td>" for mark, cell in zip(marks, cells, strict=True))
        body += f"<tr>{''.join(tagged)}</tr>"
    which = f"The first {len(rows)} rows" if len(rows) < done else "All rows"
    return (
        f'{said}<div class="table" role="region" tabindex="0" aria-label="Preview"><table>'
        f"<caption>{which}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def file_progress(done: int) -> str:
    """Say how far a file is."""
    return f'<p class="note">{done:,} rows done …</p>'


def file_error(message: str) -> str:
    """Say what is wrong with a file."""
    return f'{_say(message)}<p class="error">{escape(message[:1].upper() + message[1:])}.</p>'


def percent(share: float) -> str:
    """A share as a person reads it: "37%", "<1%"."""
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _bar(score: dict[str, Any]) -> str:
    return (
        f'<li>{_sign(score, "sign")}<span class="name">{escape(_name(score["alias"]))}</span>'
        f'{_track(score["probability"])}<span class="share">{percent(score["probability"])}</span></li>'
    )


def _emotions(emotions: dict[str, float]) -> str:
    strongest = sorted(emotions.items(), key=lambda pair: -pair[1])[:_SHOWN_EMOTIONS]
    items = " ".join(f"<li>{escape(name)} <b>{value:.2f}</b></li>" for name, value in strongest)
    return f'<h2>Emotions</h2><ul class="emotions">{items}</ul>'


def _neighbour(near: dict[str, Any]) -> str:
    sign = _sign(near, "sign")
    described = "hidden-text" if sign else "tag"
    return (
        f'<li>{sign}<span class="sentence">{escape(near["text"])}</span>'
        f'<span class="{described}">{escape(_name(near["alias"]))}</span>'
        '<span class="hidden-text">, similarity</span>'
        f'<span class="share">{near["similarity"]:.2f}</span></li>'
    )


def _track(share: float) -> str:
    """A bar; its number stands beside it."""
    width = f"{max(0.0, share):.1%}"
    return f'<span class="track" aria-hidden="true"><span style="width:{width}"></span></span>'


def _sign(score: dict[str, Any], kind: str) -> str:
    """An emoji, whose name stands beside it; nothing for a class that is a word."""
    if score["emoji"] == score["alias"]:
        return ""
    return f'<span class="{kind}" aria-hidden="true">{escape(shown(score["emoji"]))}</span>'


def _name(alias: str) -> str:
    return alias.replace("_", " ")


def _say(message: str) -> str:
    return f'<p class="say" hidden>{escape(message)}</p>'
