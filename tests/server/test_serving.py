"""The server as a process sees it: real clients, slow and endless requests, starting and stopping."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
from contextlib import closing, suppress
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest
from support.requests import fetch
from support.small_pipeline import small

from torchmoji import MojiPipeline, demo
from torchmoji.cli.main import main
from torchmoji.server import Settings, serve, served, serving

TEXTS = ["I love mom's cooking", "not again.. my train is late"]
PROGRAM = (
    "from torchmoji.server import serve; serve(port=0, ready=lambda a: print(a, flush=True)); print('ended')"
)


@pytest.fixture(scope="module")
def hasty():
    """The address of a server with little patience."""
    settings = Settings(body_seconds=0.5, file_seconds=0.5, max_body=100_000, max_connections=20)
    with served(small(), settings=settings) as address:
        yield address


# --- clients ----------------------------------------------------------------------------------------------


def test_the_official_client_of_openai(address, pipeline):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{address}v1", api_key="none", max_retries=0) as client:
        expected = pipeline.encode(TEXTS, normalize_embeddings=True)
        for options in ({}, {"encoding_format": "float"}, {"dimensions": 2304}):
            found = client.embeddings.create(model="torchmoji", input=TEXTS, **options)
            assert np.array_equal(np.float32([row.embedding for row in found.data]), expected)
            assert found.usage.prompt_tokens == 11
        assert [model.id for model in client.models.list()] == ["torchmoji"]
        with pytest.raises(openai.BadRequestError, match="dimensions must be 2304, got 5"):
            client.embeddings.create(model="torchmoji", input="a", dimensions=5)
    with served(small(), settings=Settings(key="s3cret")) as url:
        with (
            openai.OpenAI(base_url=f"{url}v1", api_key="wrong", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError, match="needs its key"),
        ):
            client.embeddings.create(model="torchmoji", input="a")
        with openai.OpenAI(base_url=f"{url}v1", api_key="s3cret") as client:
            assert len(client.embeddings.create(model="torchmoji", input="good").data) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl(address, pipeline, tmp_path):
    def curl(*arguments):
        command = ["curl", "-sS", "--noproxy", "*", "--max-time", "60", *arguments]
        return subprocess.run(command, capture_output=True, check=True).stdout

    kind = ("-H", "Content-Type: application/json")
    found = json.loads(curl(f"{address}embed", *kind, "-d", json.dumps({"inputs": TEXTS})))
    assert np.array_equal(np.float32(found), pipeline.encode(TEXTS, normalize_embeddings=True))
    (tmp_path / "a.csv").write_text("id,text\n1,so good\n")
    result = curl(f"{address}file?name=a.csv&top_k=1", "--data-binary", f"@{tmp_path / 'a.csv'}").decode()
    assert result.startswith("id,text,emoji_1,probability_1\n1,so good,")
    (tmp_path / "large").write_bytes(b" " * (6 << 20))
    for chunked in ((), ("-H", "Transfer-Encoding: chunked")):
        status = ("-o", os.devnull, "-w", "%{http_code}")
        sent = curl(f"{address}embed", *kind, *chunked, *status, "--data-binary", f"@{tmp_path / 'large'}")
        assert sent == b"413"


def test_thirty_two_clients_get_what_the_pipeline_gives(address, pipeline):
    texts = [f"{TEXTS[n % 2]} {'so good ' * (n % 5)}" for n in range(96)]
    expected, wrong = pipeline.encode(texts, normalize_embeddings=True), []

    def client(numbers):
        with closing(HTTPConnection(urlsplit(address).netloc, timeout=60)) as connection:
            for n in numbers:
                body = json.dumps({"input": texts[n], "encoding_format": "base64"})
                connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
                (row,) = json.load(connection.getresponse())["data"]
                found = np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
                wrong.extend([n] if not np.array_equal(found, expected[n]) else [])

    threads = [threading.Thread(target=client, args=(range(start, 96, 32),)) for start in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    sizes = re.findall(r'batch_texts_bucket\{le="(\d+)\.0"\} (\d+)', fetch(f"{address}metrics")[2])
    assert len(sizes) > 5


# --- slow, endless and malformed --------------------------------------------------------------------------


def talk(address, *pieces, pause=0.0):
    """Send pieces, and give all that comes back until the connection ends."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    with socket.create_connection((host, port), timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        except OSError:  # closed by the server
            pass
        answer = b""
        try:
            while block := connection.recv(1 << 16):
                answer += block
        except ConnectionResetError:
            pass
        return answer


HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_slow_requests_are_ended(hasty):
    started = time.monotonic()
    assert talk(hasty) == b""  # nothing is asked
    assert talk(hasty, HEAD[:20]) == b""  # a head without an end
    drops = (b"X-%d: 1\r\n" % n for n in range(100))
    assert talk(hasty, HEAD, *drops, pause=0.05) == b""
    assert talk(hasty, HEAD + b"Content-Length: 100\r\n\r\n", b'{"inputs"').startswith(b"HTTP/1.1 408 ")
    slow = (b"1\r\n \r\n" for _ in range(100))
    answer = talk(hasty, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *slow, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 0.5 seconds" in answer
    upload = b"POST /file?name=a.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntext"
    assert talk(hasty, upload).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < 15
    assert fetch(f"{hasty}embed", {"inputs": "good"})[0] == 200


@pytest.fixture
def slow_model(monkeypatch):
    """A model that takes a twentieth of a second for a batch."""
    compute = MojiPipeline.results

    def slowly(*arguments):
        time.sleep(0.05)
        return compute(*arguments)

    monkeypatch.setattr(MojiPipeline, "results", slowly)


def waiting(address):
    return float(re.search(r"^torchmoji_waiting_texts (\S+)", fetch(f"{address}metrics")[2], re.M)[1])


def test_what_a_client_that_has_gone_asked_for_is_not_computed(slow_model):
    with served(small(), settings=Settings(batch_texts=8)) as address:
        body = json.dumps({"inputs": ["good day"] * 2000}).encode()
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            time.sleep(0.5)
            assert waiting(address) > 1000
        time.sleep(0.5)
        assert waiting(address) == 0


def test_a_request_that_is_stopped_with_the_server_gets_an_answer(slow_model, caplog, capfd):
    answers = []
    with served(small(), settings=Settings(batch_texts=8, stop_seconds=1)) as address:
        data = {"inputs": ["good day"] * 2000}
        thread = threading.Thread(target=lambda: answers.append(fetch(f"{address}embed", data)))
        thread.start()
        time.sleep(0.5)
    thread.join()
    assert answers[0][0] == 503
    assert "the server is being stopped" in answers[0][2]
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("most", [serving._MOST, 1 << 20])
def test_an_answer_that_nobody_takes_is_dropped(hasty, monkeypatch, most):
    """After half a second here, or at once where all such answers together are too much."""
    monkeypatch.setattr(serving, "_MOST", most)
    place = urlsplit(hasty)
    body = json.dumps({"inputs": ["good day"] * 2048}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((place.hostname, place.port))
        head = HEAD.replace(b"/embed", b"/predict")
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        head = connection.recv(1000)
        whole = int(re.search(rb"content-length: (\d+)", head)[1])
        time.sleep(2 if most > 1 << 20 else 0.2)
        taken = len(head)
        with suppress(ConnectionResetError):
            while block := connection.recv(1 << 16):
                taken += len(block)
    assert taken < whole


def test_a_chunked_body_without_end_is_refused(hasty):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = talk(hasty, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 4, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"more than 100000 bytes" in answer
    sent = talk(hasty, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 400)
    assert sent == b"" or sent.startswith(b"HTTP/1.1 413 ")
    assert fetch(f"{hasty}embed", {"inputs": "good"})[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 100) for n in range(1000)) + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00secret\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids="headers line tls hosts no-host lengths negative chunks".split(),
)
def test_floods_and_malformed_requests_are_answered(hasty, caplog, request_bytes):
    answer = talk(hasty, request_bytes)
    assert re.match(rb"HTTP/1.1 4\d\d ", answer)
    assert b"Traceback" not in answer
    assert "secret" not in caplog.text
    assert fetch(f"{hasty}health")[0] == 200


def test_too_many_connections_are_refused(hasty):
    place = urlsplit(hasty).hostname, urlsplit(hasty).port
    idle = [socket.create_connection(place) for _ in range(25)]
    time.sleep(0.1)
    assert fetch(f"{hasty}health")[0] == 503
    for connection in idle:
        connection.close()
    time.sleep(0.1)
    assert fetch(f"{hasty}health")[0] == 200


def test_one_connection_is_enough():
    with served(small(), settings=Settings(max_connections=1)) as address:
        assert fetch(f"{address}health")[0] == 200


def test_a_client_that_goes_in_mid_file_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with served(small()) as address:
        place = urlsplit(address).hostname, urlsplit(address).port
        body = b"text\n" + b"good day\n" * 50_000
        head = b"POST /file?name=a.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(place, timeout=20) as connection:
            connection.sendall(head + body)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        for _ in range(100):
            if not list(tmp_path.iterdir()):
                break
            time.sleep(0.05)
        assert list(tmp_path.iterdir()) == []
        assert fetch(f"{address}file?name=a.csv", b"text\ngood\n")[0] == 200


# --- starting and stopping --------------------------------------------------------------------------------


def test_serving_leaves_nothing_behind():
    def ours():
        return sorted(thread.name for thread in threading.enumerate() if "torchmoji" in thread.name)

    before, threads = dict(os.environ), ours()
    with demo.served(small(2, ["good", "🦖"])) as address:
        assert fetch(f"{address}emojize", {"inputs": "good day"})[0] == 200
    assert dict(os.environ) == before
    assert ours() == threads
    with pytest.raises(urllib.error.URLError):
        fetch(address)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"port": 65536}, ValueError, "port must be from 0 .* to 65535, got 65536"),
        ({"host": "198.51.100.7"}, OSError, "cannot listen at 198.51.100.7, port 7860: .* host is 127.0.0.1"),
        ({"host": "localhost:80"}, OSError, "cannot listen at localhost:80, port 7860: .* host is 127.0.0.1"),
        ({"open_browser": True, "pipeline": small(None)}, ValueError, "gives features alone: use another"),
    ],
)
def test_what_cannot_be_served_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        serve(**{"pipeline": small(2), **options})


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_in_use_is_said(command, tiny_folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main([command, "--model", tiny_folder, "--backend", "torch", "--port", str(port)]) == 1
    advice = "stop what uses it, or take another port, 0 for any free one"
    assert capsys.readouterr().err == f"torchmoji: port {port} is in use: {advice}\n"


def test_the_command_refuses_names_that_no_client_sends(tiny_folder, capsys):
    for option, value in (("--allow-host", "example.org:8080"), ("--allow-origin", "https://Example.org")):
        assert main(["serve", "--model", tiny_folder, "--port", "0", option, value]) == 1
        said = capsys.readouterr().err
        assert re.fullmatch(rf"torchmoji: \w+ \({option}\) are .* such as .*, got '{value}'\n", said)


def test_the_command_has_the_limits_as_options(tiny_folder, monkeypatch, capsys):
    monkeypatch.setenv("TORCHMOJI_KEY", "s3cret")
    given = {}
    monkeypatch.setattr("torchmoji.cli.models.serve", lambda pipeline, **options: given.update(options))
    options = "--host 0.0.0.0 --port 0 --allow-host a.example --max-texts 7 --batch-size 1 --backend torch"
    assert main(["serve", "--model", tiny_folder, *options.split()]) == 0
    settings = given["settings"]
    assert (settings.key, settings.hosts, settings.max_texts) == ("s3cret", ("a.example",), 7)
    assert (settings.batch_texts, given["host"], given["open_browser"]) == (1, "0.0.0.0", False)
    monkeypatch.delenv("TORCHMOJI_KEY")
    assert main(["demo", "--open", "--model", tiny_folder, "--host", "0.0.0.0", "--backend", "torch"]) == 0
    assert given["open_browser"]
    assert "whoever reaches this address may ask" in capsys.readouterr().err


def test_importing_the_room_imports_no_fastapi():
    code = "import sys, torchmoji.server; assert not {'fastapi', 'uvicorn', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_the_browser_is_opened_and_ctrl_c_ends_it(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    serve(small(), port=None, open_browser=True, ready=lambda url: os.kill(os.getpid(), signal.SIGINT))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", *opened)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly_and_what_is_asked_is_answered(number):
    with subprocess.Popen(
        [sys.executable, "-c", f"import signal; signal.signal(2, signal.default_int_handler); {PROGRAM}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            address, answers = process.stdout.readline().strip(), []
            body = {"inputs": [f"so good {n}" for n in range(300)]}
            asking = threading.Thread(target=lambda: answers.append(fetch(f"{address}embed", body)[0]))
            asking.start()
            time.sleep(0.3)
            process.send_signal(number)
            rest = process.communicate(timeout=30)[0]
            asking.join()
        finally:
            process.kill()
    assert (rest, process.returncode) == (("ended\n", 0) if number == signal.SIGINT else ("", -number))
    assert answers == [200]
