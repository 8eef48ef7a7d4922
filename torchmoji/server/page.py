"""The page of `torchmoji.server.demo` in gradio's parts: what stands where, what happens when, how it looks.

What the page does while one types goes past gradio's queue, since an answer takes milliseconds; of several
keystrokes in the meantime only the last counts. Files wait in the queue. The endpoints `/predict`, `/compare`
and `/file` are the HTTP API; everything else is private.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import gradio as gr

from torchmoji.files.tables import TEXT_FORMATS, likely_column
from torchmoji.server import html
from torchmoji.server.files import add_emojis, columns_of, first_rows, name_of_result
from torchmoji.server.reading import Reader

T = TypeVar("T")

KEPT_SECONDS = 3600
"""Files of users are deleted after so long, at most twice that, and when the server ends."""
EMOJIS_A_ROW = 3
"""In files, unless one asks for more or fewer."""
CHIPS = (
    "I love mom's cooking",
    "not again.. my train is late",
    "we won the final!!!",
    "oh great, another meeting",
    "I miss you so much",
)
"""Texts to try with one click."""

_SHOWN_ROWS = 5
_INVITATIONS = ("Type above, or take one of the examples.", "Type a second text to compare the two.")
_NO_RESULT = "The result appears here."

_ABOUT_PREDICT = "Likeliest classes, words with attention, emotions and nearest example sentences of a text."
_ABOUT_COMPARE = "Both texts as of /predict, and the similarity of their encodings, -1 to 1."
_ABOUT_FILE = "The rows of a CSV, TSV, JSON lines or text file, with emojis in new columns."

_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_LIVE = _QUIET | {"trigger_mode": "always_last", "queue": False}


class Page(gr.Blocks):
    """Blocks that check what a call brings: its number of values, and that files are uploads.

    gradio checks files of a page that `launch` started, not of one that is mounted in an application, and for
    an address in place of a path it would go and fetch it.
    """

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """See gradio; its own message of a wrong number, which is logged, has the values in it."""
        if len(inputs) != len(block_fn.inputs):
            message = f"{block_fn.api_name} takes {len(block_fn.inputs)} values, got {len(inputs)}"
            raise gr.Error(message, print_exception=False)
        for part, value in zip(block_fn.inputs, inputs, strict=True):
            if isinstance(value, dict) and "path" in value:
                path, folder = value["path"], Path(part.GRADIO_CACHE).resolve()
                if not (isinstance(path, str) and Path(path).resolve().is_relative_to(folder)):
                    raise gr.Error("the file is no upload: upload it first", print_exception=False)


def blocks(reader: Reader) -> Page:
    """Lay out the page for a model."""
    return in_a_loop(lambda: _blocks(reader))


def in_a_loop(make: Callable[[], T]) -> T:
    """Call a function inside an event loop: outside of one, gradio leaves a new loop with the thread."""

    async def call() -> T:
        return make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with closing(asyncio.new_event_loop()) as loop:
            return loop.run_until_complete(call())
    return make()


def _blocks(reader: Reader) -> Page:
    # gradio sets this variable where its telemetry is off; a page must not change the process
    before = os.environ.get("HF_HUB_DISABLE_TELEMETRY")
    kept = (KEPT_SECONDS, KEPT_SECONDS)
    try:
        page = Page(title="torchMoji", analytics_enabled=False, delete_cache=kept, fill_width=True)
    finally:
        if before is None:
            os.environ.pop("HF_HUB_DISABLE_TELEMETRY", None)
        else:
            os.environ["HF_HUB_DISABLE_TELEMETRY"] = before
    with page:
        _html(html.HEADER)
        with gr.Tabs():
            with gr.Tab("Text"):
                _text_tab(reader)
            with gr.Tab("File"):
                _file_tab(reader)
        _html(html.FOOTER)
        _add_endpoints(reader)
    return page


def _html(content: str, name: str | None = None) -> gr.HTML:
    return gr.HTML(content, elem_id=name, apply_default_css=False)


# --- texts ------------------------------------------------------------------------------------------------


def _text_tab(reader: Reader) -> None:
    with gr.Row(elem_id="chips"):
        chips = [gr.Button(text, size="sm", elem_classes="chip") for text in CHIPS]
    box = partial(gr.Textbox, lines=3, max_lines=8)
    with gr.Column(elem_id="texts"):
        first = box(label="Your text", placeholder="How was your day?", autofocus=True, elem_id="first-text")
        first_result = _html(html.empty(_INVITATIONS[0]), "first")
        second = box(label="Second text, to compare", placeholder="And yesterday?", elem_id="second-text")
        similarity = _html("", "both")
        second_result = _html(html.empty(_INVITATIONS[1]), "second")
    first.change(partial(_shown, reader, 0), [first, second], [first_result, similarity], **_LIVE)
    second.change(partial(_shown, reader, 1), [second, first], [second_result, similarity], **_LIVE)
    for chip, text in zip(chips, CHIPS, strict=True):
        chip.click(partial(str, text), None, first, **_LIVE)


def _shown(reader: Reader, place: int, text: str | None, other: str | None) -> tuple[str, str]:
    """The result of the text in one of the two boxes, and the similarity to that in the other."""
    text, other = text or "", other or ""
    if not text.strip():
        return html.empty(_INVITATIONS[place]), html.similarity(None)
    both = reader.compare(text, other) if other.strip() else None
    found = both["first"] if both else reader.read(text)
    which = ("your text", "the second text")[place]
    return html.reading(found, which, reader.multi_label), html.similarity(both)


# --- files ------------------------------------------------------------------------------------------------


def _file_tab(reader: Reader) -> None:
    nb_classes = len(reader.pipeline.classes)
    _html(html.FILE_HELP)
    with gr.Row():
        with gr.Column():
            upload = gr.File(
                label="File with texts", file_types=[*TEXT_FORMATS, ".gz"], height=160, elem_id="upload"
            )
            column = gr.Dropdown(
                label="Column of the texts",
                info="Known once a file is there; a .txt file has none.",
                choices=[],
                allow_custom_value=True,
                elem_id="column",
            )
            top_k = gr.Number(
                min(EMOJIS_A_ROW, nb_classes),
                minimum=1,
                maximum=nb_classes,
                step=1,
                precision=0,
                label="Emojis a row",
                elem_id="top-k",
            )
            start = gr.Button("Add emojis", variant="primary", elem_id="start")
        with gr.Column():
            result = gr.DownloadButton("Download", visible=False, variant="primary", elem_id="download")
            status = _html(html.empty(_NO_RESULT), "status")
    upload.change(_columns, upload, [column, result, status], queue=False, **_QUIET)
    start.click(partial(_result, reader), [upload, column, top_k], [result, status], **_QUIET)


def _columns(path: str | None) -> tuple[Any, Any, str]:
    """What a new file changes: the choice of columns, no download yet, and what is wrong with the file."""
    columns: list[str] = []
    message = html.empty(_NO_RESULT)
    try:
        columns = [] if path is None else columns_of(path)
    except ValueError as error:
        message = html.file_error(str(error))
    return gr.update(choices=columns, value=likely_column(columns)), gr.update(visible=False), message


def _result(
    reader: Reader, path: str | None, column: str | None, top_k: float | None
) -> Iterator[tuple[Any, str]]:
    """The file that comes back; before it, how far it is."""
    hidden, done = gr.update(visible=False), 0
    if path is None:
        yield hidden, html.file_error("there is no file: choose one first")
        return
    yield hidden, html.file_progress(0)
    out = _place_of_result(path)
    try:
        for done in add_emojis(reader.pipeline, path, out, column, _emojis_a_row(top_k)):
            yield hidden, html.file_progress(done)
    except ValueError as error:
        yield hidden, html.file_error(str(error))
        return
    download = gr.update(label=f"Download {out.name}", value=str(out), visible=True)
    yield download, html.file_preview(*first_rows(out, _SHOWN_ROWS), done)


def _emojis_a_row(number: float | None) -> int:
    """A number of emojis, also of a box that was emptied."""
    return EMOJIS_A_ROW if number is None else int(number)


def _place_of_result(path: str) -> Path:
    """A new place beside the upload, in gradio's cache, from which it deletes what is old."""
    return Path(tempfile.mkdtemp(dir=Path(path).parent)) / name_of_result(path)


# --- the HTTP API -----------------------------------------------------------------------------------------


def _add_endpoints(reader: Reader) -> None:
    """Add `/predict`, `/compare` and `/file` to the page that is being laid out."""

    def predict(text: str, top_k: int = 5) -> dict[str, Any]:
        with _told():
            return reader.read(text, top_k)

    def compare(first: str, second: str, top_k: int = 5) -> dict[str, Any]:
        with _told():
            return reader.compare(first, second, top_k)

    def file(path: str | None, column: str | None, top_k: float | None) -> str:
        with _told():
            if path is None:
                raise ValueError("there is no file: give one")
            out = _place_of_result(path)
            for _ in add_emojis(reader.pipeline, path, out, column, _emojis_a_row(top_k)):
                pass
            return str(out)

    gr.api(predict, api_name="predict", queue=False, api_description=_ABOUT_PREDICT)
    gr.api(compare, api_name="compare", queue=False, api_description=_ABOUT_COMPARE)
    # parts that nobody sees give the endpoint its types, and check that the file is an upload
    inputs = [
        gr.File(label="File", file_types=[*TEXT_FORMATS, ".gz"], visible=False),
        gr.Textbox(label="Column of the texts; empty for the likely one", visible=False),
        gr.Number(EMOJIS_A_ROW, label="Emojis a row", precision=0, visible=False),
    ]
    result = gr.File(label="File with emojis", visible=False)
    gr.Button(visible=False).click(
        file, inputs, result, api_name="file", api_description=_ABOUT_FILE, show_progress="hidden"
    )


@contextmanager
def _told() -> Iterator[None]:
    """Tell a caller what is wrong with the values of a call."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise gr.Error(str(error), print_exception=False) from error


# --- looks ------------------------------------------------------------------------------------------------

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


def looks() -> dict[str, Any]:
    """Theme, style sheet, and for the head of the page a script and an emoji as icon: options of gradio."""
    theme = gr.themes.Base(
        primary_hue="amber",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    colours = {name: light for name, (light, _) in _COLOURS.items()}
    colours |= {f"{name}_dark": dark for name, (_, dark) in _COLOURS.items()}
    css, script = (
        files("torchmoji.server").joinpath(name).read_text("utf-8") for name in ("demo.css", "demo.js")
    )
    head = f'<link rel="icon" href="{_ICON}"><script>\n{script}</script>'
    return {"theme": theme.set(**colours), "css": css, "head": head}
