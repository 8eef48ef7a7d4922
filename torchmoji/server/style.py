"""How the page looks: gradio's theme, the style sheet and script, and fixed texts."""

from importlib.resources import files
from urllib.parse import quote

import gradio as gr

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

_ICON = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
    '<text y=".9em" font-size="88">😊</text></svg>'
)
_COLOURS = {  # light, dark; those of demo.css
    "body_background_fill": ("#faf9f7", "#161412"),
    "body_text_color": ("#1c1917", "#f5f5f4"),
    "body_text_color_subdued": ("#57534e", "#b8b2ac"),
    "border_color_primary": ("#e2dfdb", "#3d3835"),
    "block_background_fill": ("#ffffff", "#211e1c"),
    "block_border_color": ("#e2dfdb", "#3d3835"),
    "block_info_text_color": ("#57534e", "#b8b2ac"),
    "block_label_text_color": ("#57534e", "#b8b2ac"),
    "block_title_text_color": ("#57534e", "#b8b2ac"),
    "input_background_fill": ("transparent", "transparent"),
    "input_background_fill_focus": ("transparent", "transparent"),
    "input_border_color": ("#a8a29e", "#6b6560"),
    "input_border_width": ("1px", "1px"),
    "input_placeholder_color": ("#736b66", "#a09a94"),
    "button_primary_background_fill": ("#f59e0b", "#f59e0b"),
    "button_primary_background_fill_hover": ("#fbb02d", "#fbb02d"),
    "button_primary_text_color": ("#1c1917", "#1c1917"),
}


def theme() -> gr.themes.Base:
    """Fonts of the reader's system, warm greys, and one colour."""
    plain = gr.themes.Base(
        primary_hue="amber",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return plain.set(
        **{
            name + dark: value
            for name, pair in _COLOURS.items()
            for dark, value in zip(("", "_dark"), pair, strict=True)
        }
    )


def style() -> str:
    """The style sheet."""
    return files("torchmoji.server").joinpath("demo.css").read_text("utf-8")


def head() -> str:
    """The script, and an emoji as icon, as elements for the head of the page."""
    script = files("torchmoji.server").joinpath("demo.js").read_text("utf-8")
    return f'<link rel="icon" href="{_ICON}"><script>\n{script}</script>'
