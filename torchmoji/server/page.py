"""The page of `torchmoji.server.demo` in gradio's parts: what stands where, and what happens when.

What the page does while one types goes past gradio's queue, since an answer takes milliseconds; of several
keystrokes in the meantime only the last counts. Files wait in the queue. The endpoints `/predict`, `/compare`
and `/file` are the HTTP API; everything else is private.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import gradio as gr

from torchmoji.files.tables import TEXT_FORMATS, likely_column
from torchmoji.server import html
from torchmoji.server.api import EMOJIS_A_ROW, Page, add_endpoints, place_of_result, whole_number
from torchmoji.server.examples import CHIPS
from torchmoji.server.files import add_emojis, columns_of, first_rows
from torchmoji.server.reading import Reader
from torchmoji.server.style import FILE_HELP, FOOTER, HEADER

T = TypeVar("T")

TITLE = "torchMoji"
KEPT_SECONDS = 3600
"""Files of users are deleted after so long, at most twice that, and when the server ends."""

_SHOWN = 5
_INVITATIONS = ("Type above, or take one of the examples.", "Type a second text to compare the two.")


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
        pass
    else:
        return make()
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(call())
    finally:
        loop.close()


def _blocks(reader: Reader) -> Page:
    # gradio sets this variable where its telemetry is off; a page must not change the process
    before = os.environ.get("HF_HUB_DISABLE_TELEMETRY")
    try:
        page = Page(
            title=TITLE, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS), fill_width=True
        )
    finally:
        if before is None:
            os.environ.pop("HF_HUB_DISABLE_TELEMETRY", None)
        else:
            os.environ["HF_HUB_DISABLE_TELEMETRY"] = before
    with page:
        gr.HTML(HEADER, apply_default_css=False)
        with gr.Tabs():
            with gr.Tab("Text"):
                _text_tab(reader)
            with gr.Tab("File"):
                _file_tab(reader)
        gr.HTML(FOOTER, apply_default_css=False)
        add_endpoints(reader)
    return page


def _text_tab(reader: Reader) -> None:
    with gr.Row(elem_id="chips"):
        chips = [gr.Button(text, size="sm", elem_classes="chip") for text in CHIPS]
    with gr.Column(elem_id="texts"):
        first = gr.Textbox(
            label="Your text",
            placeholder="How was your day?",
            lines=3,
            max_lines=8,
            autofocus=True,
            elem_id="first-text",
        )
        first_result = gr.HTML(html.empty(_INVITATIONS[0]), elem_id="first", apply_default_css=False)
        second = gr.Textbox(
            label="Second text, to compare",
            placeholder="And yesterday?",
            lines=3,
            max_lines=8,
            elem_id="second-text",
        )
        similarity = gr.HTML("", elem_id="both", apply_default_css=False)
        second_result = gr.HTML(html.empty(_INVITATIONS[1]), elem_id="second", apply_default_css=False)

    live: dict[str, Any] = {
        "trigger_mode": "always_last",
        "show_progress": "hidden",
        "queue": False,
        "api_visibility": "private",
    }
    first.change(partial(_shown, reader, 0), [first, second], [first_result, similarity], **live)
    second.change(partial(_shown, reader, 1), [second, first], [second_result, similarity], **live)
    for chip, text in zip(chips, CHIPS, strict=True):
        chip.click(partial(str, text), None, first, **live)


def _shown(reader: Reader, place: int, text: str | None, other: str | None) -> tuple[str, str]:
    """The result of the text in one of the two boxes, and the similarity to that in the other."""
    text, other = text or "", other or ""
    if not text.strip():
        return html.empty(_INVITATIONS[place]), html.similarity(None)
    both = reader.compare(text, other) if other.strip() else None
    found = both["first"] if both else reader.read(text)
    which = ("your text", "the second text")[place]
    return html.reading(found, which, reader.multi_label), html.similarity(both)


def _file_tab(reader: Reader) -> None:
    gr.HTML(FILE_HELP, apply_default_css=False)
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
            nb_classes = len(reader.pipeline.classes)
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
            status = gr.HTML(
                html.empty("The result appears here."), elem_id="status", apply_default_css=False
            )
    upload.change(
        _columns,
        upload,
        [column, result, status],
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )
    start.click(
        partial(_result, reader),
        [upload, column, top_k],
        [result, status],
        show_progress="hidden",
        api_visibility="private",
    )


def _columns(path: str | None) -> tuple[Any, Any, str]:
    """What a new file changes: the choice of columns, no download yet, and what is wrong with the file."""
    columns: list[str] = []
    message = html.empty("The result appears here.")
    if path is not None:
        try:
            columns = columns_of(path)
        except ValueError as error:
            message = html.file_error(str(error))
    return (
        gr.update(choices=columns, value=likely_column(columns)),
        gr.update(visible=False),
        message,
    )


def _result(
    reader: Reader, path: str | None, column: str | None, top_k: float | None
) -> Iterator[tuple[Any, str]]:
    """The file that comes back; before it, how far it is."""
    hidden = gr.update(visible=False)
    if path is None:
        yield hidden, html.file_error("there is no file: choose one first")
        return
    yield hidden, html.file_progress(0)
    out = place_of_result(path)
    done = 0
    try:
        for done in add_emojis(reader.pipeline, path, out, column, whole_number(top_k)):
            yield hidden, html.file_progress(done)
    except ValueError as error:
        yield hidden, html.file_error(str(error))
        return
    header, rows = first_rows(out, _SHOWN)
    yield (
        gr.update(label=f"Download {out.name}", value=str(out), visible=True),
        html.file_preview(header, rows, done),
    )
