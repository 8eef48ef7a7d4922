"""Who may ask and how much: hosts, sites, keys, sizes, and errors that tell nothing to a log."""

import json
import logging
import time

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from support.small_pipeline import small

from torchmoji import MojiPipeline
from torchmoji.server import Settings, create_app, queue

GOOD = {"inputs": "good day"}


@pytest.fixture(scope="module")
def client():
    settings = Settings(max_body=2000, max_texts=3, max_characters=100, hosts=("emojis.example.org",))
    app = create_app(small(), settings)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as found:
        yield found


# --- hosts and sites --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:7860", "[::1]:7860", "[::1]", "emojis.example.org:443"]
)
def test_the_names_of_the_server_are_admitted(client, host):
    assert client.post("/embed", json=GOOD, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "localhost.evil.example", "192.0.2.1", "", "127.0.0.1.evil"]
)
def test_other_names_are_refused_as_after_dns_rebinding(client, host):
    for method, path in (("GET", "/"), ("GET", "/info"), ("POST", "/embed"), ("POST", "/file?name=a.csv")):
        answer = client.request(method, path, headers={"Host": host})
        assert answer.status_code == 400
        assert "--allow-host" in answer.json()["error"]


def test_a_server_for_other_machines_goes_by_addresses(client_of):
    client = client_of(small(), Settings(hosts=("0.0.0.0",)))
    assert client.get("/info", headers={"Host": "192.0.2.1:80"}).status_code == 200
    assert client.get("/info", headers={"Host": "evil.example"}).status_code == 400
    client = client_of(small(), Settings(hosts=("*",)))
    assert client.get("/info", headers={"Host": "any.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1234"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://["},
    ],
)
def test_pages_of_other_sites_may_not_ask(client, headers):
    for path in ("/embed", "/v1/embeddings", "/file?name=a.csv", "/columns?name=a.csv", "/read"):
        answer = client.post(path, content=b"text\ngood\n", headers={"Content-Type": "text/plain", **headers})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_the_servers_own_page_may_and_so_may_sites_that_are_named(client, client_of):
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/embed", json=GOOD, headers=own).status_code == 200
    other = client_of(small(), Settings(origins=("https://example.org",)))
    answer = other.post("/embed", json=GOOD, headers={"Origin": "https://example.org"})
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    assert other.post("/embed", json=GOOD, headers={"Origin": "https://evil.example"}).status_code == 403
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert other.options("/embed", headers=asked).status_code == 200


# --- the key ----------------------------------------------------------------------------------------------


def test_without_the_key_there_is_the_page_and_nothing_else(client_of):
    client = client_of(small(), Settings(key="s3cret"))
    for path in ("/", "/demo.js", "/health"):
        assert client.get(path).status_code == 200
    for headers in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "s3cret"}):
        assert client.get("/info", headers=headers).status_code == 401
        answer = client.post("/v1/embeddings", json={"input": "a"}, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"]["code"] == "invalid_api_key"
    for path in ("/info", "/metrics", "/openapi.json"):
        assert client.get(path, headers={"Authorization": "Bearer s3cret"}).status_code == 200


# --- sizes ------------------------------------------------------------------------------------------------


def pieces(number):
    for _ in range(number):
        yield b" " * 1000


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/embed", json.dumps({"inputs": "a" * 5_000_000}), 413),
        ("/embed", pieces(5), 413),  # without its size
        ("/embed", json.dumps({"inputs": "a" * 101}), 413),
        ("/embed", json.dumps({"inputs": ["a"] * 4}), 413),
        ("/v1/embeddings", json.dumps({"input": ["a"] * 4}), 413),
        ("/embed", b"[" * 1900, 400),
        ("/embed", b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
        ("/read", b'{"inputs": ["a", "b", "c"]}', 422),
        ("/embed", b"\xff\xfe", 400),
        ("/embed", b'{"inputs": ' + b"1" * 1900 + b"}", 422),
    ],
    ids="text chunks characters texts openai open-lists lists three bytes digits".split(),
)
def test_what_is_too_large_or_malformed_is_refused(client, path, content, status):
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (status, 400 if status == 422 else status), answer.text
    assert answer.json()["error"]
    assert client.post("/embed", json=GOOD).status_code == 200


def test_a_list_of_numbers_makes_one_error_not_one_for_each(client_of):
    client = client_of(small())
    texts, few = "must be a text or a list of texts", "must be a list of one or two texts"
    for path, message in (
        ("/predict", f"inputs: {texts}"),
        ("/read", f"inputs: {few}"),
        ("/v1/embeddings", f"input: {texts}"),
    ):
        started = time.process_time()
        answer = client.post(path, json={message.partition(":")[0]: [1] * 300_000})
        assert answer.status_code in (400, 422)
        assert message in answer.text
        assert time.process_time() - started < 2  # it was five seconds and 600 MB


JSON = {"Content-Type": "application/json"}
SEND = 'send JSON in UTF-8 such as {"inputs": ["so good"]}'


@pytest.mark.parametrize(
    ("path", "content", "headers", "message"),
    [
        ("/read", b'{"inputs": "so good"}', JSON, "inputs: must be a list of one or two texts"),
        ("/read", b'{"inputs": ["a", "b", "c"]}', JSON, "inputs: must be a list of one or two texts"),
        ("/read", b'{"inputs": []}', JSON, "inputs: must be a list of one or two texts"),
        ("/emojize", b'{"inputs": 5}', JSON, "inputs: must be a text or a list of texts"),
        ("/emojize", b"{}", JSON, "inputs: Field required"),
        (
            *("/emojize", b'{"inputs": "a"}', {"Content-Type": "application/x-www-form-urlencoded"}),
            "the body does not say that it is JSON: send it with Content-Type: application/json",
        ),
        ("/embed", b'{"inputs": "a"}', {}, "the body does not say that it is JSON: send it with"),
        ("/emojize", b"[1]", JSON, f"the body must be an object: {SEND}"),
        ("/emojize", b"", {}, f"the body must be an object: {SEND}"),
        ("/emojize", b"{'a'", JSON, "the body is not JSON (character 2: Expecting property name enclosed"),
        ("/emojize", b'{"inputs": "caf\xe9"}', JSON, f"the body is not UTF-8: {SEND}"),
        ("/v1/embeddings", b'{"input": "\xe9"}', JSON, 'such as {"input": "so good"}'),
        ("/emojize", b"[" * 900_000, JSON, f"the body has too many lists in lists: {SEND}"),
        ("/emojize", b'{"inputs": ' + b"1" * 5000 + b"}", JSON, f"the body cannot be read: {SEND}"),
    ],
    ids="text three none number missing form plain list empty quotes latin-1 openai deep digits".split(),
)
def test_what_is_wrong_with_a_body_is_said(client_of, path, content, headers, message):
    answer = client_of(small()).post(path, content=content, headers=headers)
    assert answer.status_code in (400, 422)
    error = answer.json()["error"]
    assert message in (error["message"] if path.startswith("/v1/") else error)


def test_the_method_of_an_endpoint_is_said(client):
    answer = client.get("/emojize")
    assert (answer.status_code, answer.json()["error"]) == (405, "/emojize takes POST, not GET")


def test_mounted_in_another_application_it_is_the_same():
    outer = FastAPI()
    outer.mount("/moji", create_app(small(), Settings(key="s3cret", max_body=50)))
    client = TestClient(outer, base_url="http://localhost")
    assert client.get("/moji/health").status_code == 200
    answer = client.post("/moji/v1/embeddings", json={"input": "a"})
    assert answer.json()["error"]["code"] == "invalid_api_key"
    key = {"Authorization": "Bearer s3cret"}
    body = "text\n" + "good day\n" * 20
    assert client.post("/moji/file?name=a.csv", content=body, headers=key).status_code == 200
    assert client.post("/moji/embed", json={"inputs": "a" * 60}, headers=key).status_code == 413


def test_a_request_that_finds_the_queue_full_is_asked_to_come_again(client, monkeypatch):
    async def full(*arguments):
        raise queue.QueueFull

    monkeypatch.setattr(queue.BatchQueue, "run", full)
    answer = client.post("/embed", json=GOOD)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error_type"] == "Overloaded"
    answer = client.post("/v1/embeddings", json={"input": "a"})
    assert answer.json()["error"]["type"] == "rate_limit_error"


def test_too_much_at_once_is_asked_to_come_again(client_of):
    client = client_of(small(), Settings(max_arriving=10))
    answer = client.post("/embed", json=GOOD)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


# --- what is told, and to whom ----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["inputs", "top_k", "truncate", "balance", "other"])
@pytest.mark.parametrize("value", [["<i>secret</i>", 1], {"url": "http://127.0.0.1:9/secret"}])
def test_malformed_calls_leave_no_text_in_a_log_or_an_answer(client, caplog, capfd, field, value):
    """Also nothing is fetched: the server has no code that asks another."""
    with caplog.at_level(logging.DEBUG, "torchmoji"):
        for path in ("/emojize", "/predict", "/embed", "/v1/embeddings", "/read"):
            answer = client.post(path, json={field: value})
            assert answer.status_code in (400, 422)
            assert "secret" not in answer.text
    assert "secret" not in caplog.text + "".join(capfd.readouterr())


def test_a_fault_is_an_answer_and_a_line_in_the_log_without_texts(client, monkeypatch, caplog):
    def failing(pipeline, texts, features):
        raise RuntimeError(f"cannot compute {texts}")

    monkeypatch.setattr(MojiPipeline, "results", failing)
    for path, values in (("/embed", {"inputs": "secret"}), ("/v1/embeddings", {"input": "secret"})):
        answer = client.post(path, json=values)
        assert answer.status_code == 500
        assert "the server failed" in answer.text
        assert "Traceback" not in answer.text
    assert "RuntimeError: " in caplog.text
    assert "queue.py" in caplog.text
    assert "secret" not in caplog.text


def test_html_in_every_field_comes_back_as_json(client):
    evil = "<img src=x onerror=alert(1)>"
    answer = client.post("/read", json={"inputs": [evil, evil]})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["readings"][0]["text"] == evil
    for path in (f"/{evil}", f"/columns?name={evil}.csv", f"/file?name=a.csv&column={evil}"):
        answer = client.post(path, content=b"text\n")
        assert answer.headers["content-type"] == "application/json"


def test_half_a_character_is_answered(client):
    for path in ("/attention", "/emojize", "/predict", "/embed", "/read"):
        inputs = b'["so \\ud83d good"]'
        headers = {"Content-Type": "application/json"}
        answer = client.post(path, content=b'{"inputs": ' + inputs + b"}", headers=headers)
        assert answer.status_code == 200, answer.text
