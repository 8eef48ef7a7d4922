"""The server of the demo page: starting, stopping, what goes in and out, and the HTTP API as documented."""

import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import pytest
from support.demo_calls import call, fetch
from support.small_pipeline import small
from support.snippets import Reader as Snippets
from support.snippets import agree, blocks, shown_after

from torchmoji.emojis import shown
from torchmoji.server import demo

pytestmark = pytest.mark.filterwarnings(
    # what gradio's statistics of its queue use is on its way out in pandas 3
    "ignore:.*no_silent_downcasting:DeprecationWarning",
    "ignore:The copy keyword is deprecated:DeprecationWarning",
)

DOCUMENTED = "http://127.0.0.1:7860"
PROGRAM = (
    "from torchmoji import demo; demo.launch(port=0, ready=lambda a: print(a, flush=True)); print('ended')"
)


def upload(address, name, content):
    """Upload a file and give its description for a call."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    status, _, text = fetch(f"{address}gradio_api/upload", head + content + b"\r\n--x--\r\n", kind)
    assert status == 200, text
    return given(json.loads(text)[0])


def given(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


# --- the API ----------------------------------------------------------------------------------------------


def test_predict_gives_values_for_programs(address, pipeline):
    event, (found,) = call(address, "predict", "I love mom's cooking", 2)
    assert event == "complete"
    expected = pipeline.predict("I love mom's cooking", 2)
    assert found["emojis"] == [
        {"emoji": s.emoji, "alias": s.alias, "probability": pytest.approx(s.probability)} for s in expected
    ]
    assert [word["word"] for word in found["words"]] == ["i", "love", "mom's", "cooking"]
    assert len(found["nearest"]) == 5
    assert len(found["emotions"]) == 8


def test_compare_gives_both_and_their_similarity_and_logs_nothing(address, pipeline, capfd, caplog):
    event, (found,) = call(address, "compare", "so good", "so bad", 1)
    assert event == "complete"
    assert found["similarity"] == pytest.approx(pipeline.similarity("so good", "so bad"), abs=1e-5)
    assert [found[key]["text"] for key in ("first", "second")] == ["so good", "so bad"]
    assert "so good" not in "".join(capfd.readouterr()) + caplog.text


def test_a_file_comes_back_with_emojis(address, pipeline):
    file = upload(address, "a.csv", b"id,body\n7,so good\n")
    event, (result,) = call(address, "file", file, "body", 1)
    assert event == "complete"
    assert result["orig_name"] == "a-emojis.csv"
    (score,) = pipeline.predict("so good", 1)
    assert fetch(result["url"])[2] == (
        f"id,body,emoji_1,probability_1\n7,so good,{shown(score.emoji)},{round(score.probability, 6)}\n"
    )
    _, (result,) = call(address, "file", upload(address, "a.txt", b"so good\n"), None, None)
    assert fetch(result["url"])[2].startswith("text,emoji_1,probability_1,emoji_2,probability_2,emoji_3")
    event, data = call(address, "file", file, "text", 1)
    assert (event, data["error"]) == (
        "error",
        "the file a.csv has no column 'text', only 'id', 'body': choose one",
    )


@pytest.mark.parametrize(
    ("endpoint", "values", "message"),
    [
        ("predict", (3, 1), "a text must be a string, got 3"),
        ("predict", ("good", 0), "top_k must be at least 1, got 0"),
        ("predict", ("a secret",), "predict takes 2 values, got 1"),
        ("compare", ("good", None, 1), "a text must be a string, got None"),
        ("file", (None, "text", 1), "there is no file: give one"),
    ],
)
def test_a_wrong_call_gets_a_message(address, capfd, endpoint, values, message):
    event, data = call(address, endpoint, *values)
    assert event == "error"
    assert data["error"] == message
    assert "secret" not in "".join(capfd.readouterr())


def test_only_the_api_is_public(address):
    info = json.loads(fetch(f"{address}gradio_api/info")[2])
    assert list(info["named_endpoints"]) == ["/predict", "/compare", "/file"]
    assert info["unnamed_endpoints"] == {}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_documented_calls_give_what_is_shown(address, repository, tmp_path):
    page = (repository / "docs" / "demo.md").read_text("utf-8")
    found = blocks(page.replace(DOCUMENTED, address.rstrip("/")))
    reader, ran = Snippets("demo.md", tmp_path), 0
    for block in found:
        is_call = block.title or address.rstrip("/") in block.text or re.search(r"answer|client", block.text)
        if not block.language or not is_call:
            continue
        printed, shown = reader.run(block), shown_after(found, block)
        if shown is not None:
            assert agree(printed, shown.text), f"line {block.line} shows\n{shown.text}not\n{printed}"
            ran += 1
    assert ran == 6
    if "client" in reader.names:
        reader.names["client"].close()


# --- what goes in and out ---------------------------------------------------------------------------------


class Addresses(HTMLParser):
    """The addresses in a page's elements."""

    def __init__(self, text):
        super().__init__()
        self.found, self.language = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.language = values.get("lang", self.language) if tag == "html" else self.language
        self.found += [values[key] for key in ("src", "href", "content", "data") if values.get(key)]


def test_the_page_names_nothing_elsewhere(address):
    status, headers, text = fetch(address, headers={"Accept-Encoding": "br"})
    found = Addresses(text)
    assert status == 200
    assert len(found.found) > 3
    assert [value for value in found.found if re.match(r"(\w+:)?//", value)] == []
    assert found.language == "en"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert int(headers["content-length"]) == len(text.encode())
    _, _, text = fetch(f"{address}theme.css")
    assert "system-ui" in text
    assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", text)


@pytest.mark.parametrize(
    "path",
    [
        *("file=https://example.com/a", "file=HTTP://example.com/a", "file=https%3A//example.com/a"),
        *("file/https://example.com/a", "proxy=https://example.com/a", "file=/etc/hostname"),
    ],
)
def test_nothing_is_fetched_from_elsewhere(address, path):
    assert fetch(f"{address}gradio_api/{path}")[0] == 403


def test_only_uploads_are_read(address, tmp_path):
    """gradio itself lets a page that is mounted read any file."""
    (tmp_path / "mine.csv").write_text("text\nsecret\n")
    uploaded = upload(address, "a.csv", b"text\ngood\n")["path"]
    around = os.path.relpath(tmp_path / "mine.csv", Path(uploaded).parent)
    for path in (tmp_path / "mine.csv", f"{Path(uploaded).parent}/{around}", "https://example.com/a.csv", 3):
        event, data = call(
            address, "file", given(path) | {"path": path if path == 3 else str(path)}, "text", 1
        )
        assert (event, data["error"]) == ("error", "the file is no upload: upload it first")
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert [path.name for path in folder.rglob("*.csv") if "secret" in path.read_text("utf-8")] == []


FILE = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
FIELD = FILE.replace(b'; filename="a.csv"', b"")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("upload", FILE + bytes(51 << 20), 413),
        ("upload", FIELD + bytes(51 << 20), 413),  # gradio does not limit those
        ("call/predict", b'{"data": ["' + b"a" * (1 << 20) + b'", 1]}', 413),
        ("call/predict", b"[" * 100_000 + b"]" * 100_000, 400),
        ("call/predict", b'{"data": ' + b"[" * 50_000, 400),
        ("queue/join", b'{"data": [], "a":' * 20_000, 400),
        ("component_server", b"[" * 100_000, 400),
    ],
    ids=["file", "field", "text", "lists", "open lists", "objects", "component"],
)
def test_what_is_too_large_or_too_deep_is_refused(address, path, body, status):
    kind = {"Content-Type": "multipart/form-data; boundary=x"} if path == "upload" else {}
    got, _, text = fetch(f"{address}gradio_api/{path}", body, kind)
    assert got == status
    assert status != 413 or "the maximum allowed size is" in text
    assert call(address, "predict", "good", 1)[0] == "complete"


def test_a_request_without_its_size_is_refused(address):
    with closing(HTTPConnection(urlsplit(address).netloc, timeout=20)) as connection:
        connection.putrequest("POST", "/gradio_api/call/predict")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()  # the answer comes before a byte of the body
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (411, b"give the size of the request, Content-Length\n")


# --- starting and stopping --------------------------------------------------------------------------------


def test_build_gives_a_page_and_changes_nothing():
    before = dict(os.environ)
    page = demo.build(small(3, ["joy", "fear", "🦖"], multi_label=True))
    assert isinstance(page, gr.Blocks)
    assert (page.title, page.analytics_enabled) == ("torchMoji", False)
    assert dict(os.environ) == before
    del page
    gc.collect()  # an event loop that was left open would complain


def test_serving_leaves_nothing_behind(monkeypatch):
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    before = dict(os.environ)
    with demo.served(small(2, ["good", "🦖"])) as address:
        _, (found,) = call(address, "predict", "good day", 9)
        assert (sorted(score["emoji"] for score in found["emojis"]), found["emotions"]) == (
            ["good", "🦖"],
            None,
        )
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        assert folder.stat().st_mode & 0o077 == 0
        assert Path(upload(address, "a.csv", b"text\ngood\n")["path"]).is_relative_to(folder)
    assert not folder.exists()
    assert dict(os.environ) == before
    with pytest.raises(urllib.error.URLError):
        fetch(address)


def test_a_port_in_use_is_said_before_the_model_is_loaded(monkeypatch):
    monkeypatch.setattr(demo, "_reader", lambda pipeline: pytest.fail("the model was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = f"port {port} is in use: stop what uses it, or take another port, 0 for any free one"
        with pytest.raises(OSError, match=message):
            demo.launch(port=port)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"port": 65536}, ValueError, "port must be from 0 .* to 65535, got 65536"),
        (
            {"host": "198.51.100.7"},
            OSError,
            "cannot listen at 198.51.100.7, port 7860: .* the host is 127.0.0.1",
        ),
    ],
)
def test_a_wrong_place_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        demo.launch(small(), **options)


def test_a_model_without_classes_is_refused():
    with pytest.raises(ValueError, match="gives features alone"):
        demo.build(small(None))


def test_a_missing_gradio_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for start in (demo.build, demo.launch, lambda: demo.served().__enter__()):
        with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[demo\]"'):
            start()


def test_importing_the_module_imports_no_gradio():
    code = "import sys, torchmoji.server; assert not {'gradio', 'fastapi'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_the_browser_is_opened_and_ctrl_c_ends_it(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    demo.launch(small(), port=None, open_browser=True, ready=lambda url: os.kill(os.getpid(), signal.SIGINT))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", *opened)


@pytest.mark.nightly
@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(tmp_path, number):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONWARNINGS": "error::ResourceWarning"}
    environment.pop("GRADIO_TEMP_DIR", None)
    with subprocess.Popen(
        [sys.executable, "-c", f"import signal; signal.signal(2, signal.default_int_handler); {PROGRAM}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        try:
            address = process.stdout.readline().strip()
            with urllib.request.urlopen(f"{address}gradio_api/heartbeat/a", timeout=60) as stream:
                assert stream.readline() == b"data: ALIVE\n"  # a page is open
                process.send_signal(number)
                rest = process.communicate(timeout=30)[0]
        finally:
            process.kill()
    assert (rest, process.returncode) == (("ended\n", 0) if number == signal.SIGINT else ("", -number))
    assert list(tmp_path.glob("torchmoji-demo-*")) == []
