"""The HTTP API of the page of `torchmoji.server.demo`, and the check of all that is sent to it."""

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from torchmoji.files.tables import TEXT_FORMATS
from torchmoji.server.files import add_emojis, name_of_result
from torchmoji.server.reading import Reader

EMOJIS_A_ROW = 3
"""In files, unless one asks for more or fewer."""

_ABOUT_PREDICT = "Likeliest classes, words with attention, emotions and nearest example sentences of a text."
_ABOUT_COMPARE = "Both texts as of /predict, and the similarity of their encodings, -1 to 1."
_ABOUT_FILE = "The rows of a CSV, TSV, JSON lines or text file, with emojis in new columns."


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
            if (
                isinstance(value, dict)
                and "path" in value
                and not _is_within(value["path"], part.GRADIO_CACHE)
            ):
                raise gr.Error("the file is no upload: upload it first", print_exception=False)


def _is_within(path: object, folder: str) -> bool:
    return isinstance(path, str) and Path(path).resolve().is_relative_to(Path(folder).resolve())


def add_endpoints(reader: Reader) -> None:
    """Add `/predict`, `/compare` and `/file` to the page that is being laid out."""

    def predict(text: str, top_k: int = 5) -> dict[str, Any]:
        try:
            return dict(reader.read(text, top_k))
        except (TypeError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    def compare(first: str, second: str, top_k: int = 5) -> dict[str, Any]:
        try:
            return dict(reader.compare(first, second, top_k))
        except (TypeError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    def file(path: str | None, column: str | None, top_k: float | None) -> str:
        try:
            if path is None:
                raise ValueError("there is no file: give one")
            out = place_of_result(path)
            for _ in add_emojis(reader.pipeline, path, out, column, whole_number(top_k)):
                pass
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error
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


def whole_number(number: float | None) -> int:
    """A number of emojis, also of a box that was emptied."""
    return EMOJIS_A_ROW if number is None else int(number)


def place_of_result(path: str) -> Path:
    """A new place beside the upload, in gradio's cache, from which it deletes what is old."""
    return Path(tempfile.mkdtemp(dir=Path(path).parent)) / name_of_result(path)
