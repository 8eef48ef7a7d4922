"""A page to try a model on, `torchmoji demo`: type, and see emojis, attention, neighbours; and an HTTP API.

    torchmoji.server.demo.launch()                         # until Ctrl-C
    with torchmoji.server.demo.served() as address: ...    # in a thread

The page is made with gradio, the extra `demo`: it brings text boxes that work with a keyboard and a screen
reader, uploads, a queue and the API. Nothing on the page comes from another machine, and a content security
policy keeps it so. Beside this module, `page` has the parts of the page and the API, `html` what they show,
`reading` what the API gives, `files` makes the files that come back, `server` serves it all.
"""

import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

from torchmoji.files.extras import require
from torchmoji.pipeline.pipeline import MojiPipeline

if TYPE_CHECKING:
    import socket

    import gradio

    from torchmoji.server.reading import Reader
    from torchmoji.server.server import Server

PORT = 7860


def build(pipeline: MojiPipeline | None = None) -> "gradio.Blocks":
    """Make the page, for use in a gradio application of one's own; `launch` adds style, script and limits.

    Args:
        pipeline: A model with classes; by default the one that comes with the package.

    Raises:
        ValueError: The model has no classes.
        ModuleNotFoundError: gradio is missing.
    """
    require("gradio", "demo", "the page")
    from torchmoji.server.page import blocks

    return blocks(_reader(pipeline))


def launch(
    pipeline: MojiPipeline | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = PORT,
    open_browser: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        pipeline: See `build`.
        host: The address to listen at. "0.0.0.0" lets other machines in; there is no password.
        port: 0 or None picks a free one.
        open_browser: Open the page in the user's browser.
        ready: Called with the page's address once it can be opened.

    Raises:
        OSError: The port is in use, or there is no such address.
        ValueError: The model has no classes, or the port is no port.
        ModuleNotFoundError: gradio is missing.
    """

    def started(address: str) -> None:
        if ready is not None:
            ready(address)
        if open_browser:
            webbrowser.open(address)

    # the server stops at the first Ctrl-C by itself, and raises it again when it is done
    with _server(pipeline, host, port, started) as (running, listener), suppress(KeyboardInterrupt):
        running.run(sockets=[listener])


@contextmanager
def served(
    pipeline: MojiPipeline | None = None, *, host: str = "127.0.0.1", port: int | None = None
) -> Iterator[str]:
    """Serve the page in a thread while the block runs; arguments and errors as of `launch`.

    Yields:
        The page's address.
    """
    has_started = threading.Event()
    with _server(pipeline, host, port, lambda address: has_started.set()) as (running, listener):
        thread = threading.Thread(target=running.run, args=([listener],), name="torchmoji-demo")
        thread.start()
        try:
            if not has_started.wait(60):
                raise OSError("the page did not start within a minute")
            yield running.address
        finally:
            running.should_exit = True
            thread.join()


def _server(
    pipeline: MojiPipeline | None, host: str, port: int | None, started: Callable[[str], None]
) -> "AbstractContextManager[tuple[Server, socket.socket]]":
    require("gradio", "demo", "the page")
    from torchmoji.server.server import server

    return server(lambda: _reader(pipeline), host, port, started)


def _reader(pipeline: MojiPipeline | None) -> "Reader":
    from torchmoji.server.reading import Reader

    return Reader(MojiPipeline.from_pretrained() if pipeline is None else pipeline)
