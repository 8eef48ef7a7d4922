"""The HTML of the page of `torchmoji.server.demo`: readings, comparisons, files. All text in it is escaped.

Bars and shades are drawn by width and opacity, which `demo.css` colours for light and dark; every number is
there as text too. An element with the class `say` is read aloud by `demo.js`, through a live region, once the
user stops typing.
"""

from collections.abc import Sequence
from html import escape

from torchmoji.server.reading import Comparison, Neighbour, Reading, Score, Word

_SHOWN_EMOTIONS = 3
_SHOWN_CELL = 60
_LONG = 200
"""Characters of a text that fit without scrolling, on a phone too."""


def reading(found: Reading, which: str, several: bool = False) -> str:
    """Show what a model says about a text.

    Args:
        found: A reading of a text with words.
        which: Names the text, such as "your text".
        several: Each class is judged on its own.
    """
    top = found["emojis"][0]
    parts = [
        _say(f"{which}: {_name(top['alias'])}, {percent(top['probability'])}"),
        _top(top),
        '<ol class="bars">',
        *map(_bar, found["emojis"]),
        "</ol>",
    ]
    if several:
        parts.append('<p class="note">Each class is judged on its own.</p>')
    if found["emotions"] is not None:
        strongest = sorted(found["emotions"].items(), key=lambda pair: -pair[1])[:_SHOWN_EMOTIONS]
        shown = " ".join(f"<li>{escape(name)} <b>{value:.2f}</b></li>" for name, value in strongest)
        parts.append(f'<h2>Emotions</h2><ul class="emotions">{shown}</ul>')
    parts.append("<h2>Words by attention</h2>")
    scrolls = ' tabindex="0"' if len(found["text"]) > _LONG else ""  # what scrolls needs the focus
    parts.append(f'<p class="words"{scrolls}>{shaded(found["text"], found["words"])}</p>')
    parts.append(f'<p class="hidden-text">Weights: {escape(_weights(found["text"], found["words"]))}.</p>')
    if found["cut"]:
        parts.append(f'<p class="note">The model read the first {len(found["words"])} words.</p>')
    parts.append('<h2>Nearest example sentences</h2><ol class="nearest">')
    parts += map(_neighbour, found["nearest"])
    parts.append("</ol>")
    return f'<section class="reading" aria-label="Result for {escape(which)}">{"".join(parts)}</section>'


def empty(invitation: str) -> str:
    """What stands in place of a reading while there is no text."""
    return f'<p class="empty">{escape(invitation)}</p>'


def similarity(found: Comparison | None) -> str:
    """Show how similar two texts are."""
    if found is None:
        return ""
    value, share = found["similarity"], found["closer_than"]
    return (
        _say(f"Similarity {value:.2f}")
        + f'<p class="similarity"><span>Similarity of both <b>{value:.2f}</b></span>'
        + _track(value)
        + f"<span>closer than {percent(share)} of pairs of example sentences</span></p>"
    )


def shaded(text: str, words: Sequence[Word]) -> str:
    """The text with its words shaded by attention; the weight is in each word's title.

    Unlike `torchmoji.pipeline.results.shaded_html`, the colour is left to the style sheet, which knows of
    dark pages.
    """
    highest = max((word["weight"] for word in words), default=0.0) or 1.0
    pieces, position = [], 0
    for word in sorted(words, key=lambda word: word["start"]):
        start, end = word["start"], word["end"]
        if start < position:  # several words made of one character
            continue
        pieces.append(escape(text[position:start]))
        written = escape(text[start:end])
        pieces.append(
            f'<mark style="--shade:{word["weight"] / highest:.2f}" '
            f'title="{written}: {percent(word["weight"])}">{written}</mark>'
        )
        position = end
    return "".join(pieces) + escape(text[position:])


def file_preview(header: Sequence[str], rows: Sequence[Sequence[str]], done: int) -> str:
    """Show the first rows of a file that is done.

    Args:
        header: Names of the columns.
        rows: Cells, as many as the header has in each.
        done: How many rows the file has.
    """
    count = f"{done:,} row{'s' if done != 1 else ''}"
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    marks = [' class="sign"' if name.startswith("emoji_") else "" for name in header]
    body = "".join(
        "<tr>"
        + "".join(f"<td{mark}>{escape(_short(cell))}</td>" for mark, cell in zip(marks, row, strict=True))
        + "</tr>"
        for row in rows
    )
    shown = f"The first {len(rows)} rows" if len(rows) < done else "All rows"
    table = (
        f'<div class="table" role="region" tabindex="0" aria-label="Preview"><table>'
        f"<caption>{shown}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    return _say(f"Done, {count}") + f'<p class="done">Done: {count}.</p>' + (table if rows else "")


def file_progress(done: int) -> str:
    """Say how far a file is."""
    return f'<p class="note">{done:,} rows done …</p>'


def file_error(message: str) -> str:
    """Say what is wrong with a file."""
    return f'{_say(message)}<p class="error">{escape(message[:1].upper() + message[1:])}.</p>'


def percent(share: float) -> str:
    """A share as a person reads it: "37%", "<1%"."""
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _top(score: Score) -> str:
    sign = _sign(score["emoji"], score["alias"], "big")
    return (
        f'<p class="top">{sign}<span class="top-name">{escape(_name(score["alias"]))}'
        f'<span class="top-share">{percent(score["probability"])}</span></span></p>'
    )


def _bar(score: Score) -> str:
    return (
        f"<li>{_sign(score['emoji'], score['alias'], 'sign')}"
        f'<span class="name">{escape(_name(score["alias"]))}</span>'
        f"{_track(score['probability'])}"
        f'<span class="share">{percent(score["probability"])}</span></li>'
    )


def _neighbour(near: Neighbour) -> str:
    sign = _sign(near["emoji"], near["alias"], "sign")
    name = escape(_name(near["alias"]))
    described = "hidden-text" if sign else "tag"
    return (
        f'<li>{sign}<span class="sentence">{escape(near["text"])}</span>'
        f'<span class="{described}">{name}</span><span class="hidden-text">, similarity</span>'
        f'<span class="share">{near["similarity"]:.2f}</span></li>'
    )


def _track(share: float) -> str:
    """A bar; its number stands beside it."""
    width = f"{max(0.0, share):.1%}"
    return f'<span class="track" aria-hidden="true"><span style="width:{width}"></span></span>'


def _sign(emoji: str, alias: str, kind: str) -> str:
    """An emoji, whose name stands beside it; nothing for a class that is a word."""
    return "" if emoji == alias else f'<span class="{kind}" aria-hidden="true">{escape(emoji)}</span>'


def _name(alias: str) -> str:
    return alias.replace("_", " ")


def _weights(text: str, words: Sequence[Word]) -> str:
    return ", ".join(f"{text[w['start'] : w['end']]} {percent(w['weight'])}" for w in words) or "none"


def _short(cell: str) -> str:
    return cell if len(cell) <= _SHOWN_CELL else cell[: _SHOWN_CELL - 1] + "…"


def _say(message: str) -> str:
    return f'<p class="say" hidden>{escape(message)}</p>'
