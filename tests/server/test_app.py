"""The endpoints give what the pipeline gives, in the forms of OpenAI and text-embeddings-inference."""

import base64
import math
import re
import sys

import numpy as np
import pytest
from starlette.testclient import TestClient
from support.small_pipeline import WORDS, small

from torchmoji import MojiPipeline
from torchmoji.emojis import EMOTIONS, shown
from torchmoji.onnx.model import serialize
from torchmoji.pipeline.engines import OnnxEngine
from torchmoji.server import Settings, create_app
from torchmoji.server.reading import EXAMPLES, NEAREST

TEXTS = ["I love mom's cooking", "", "not again.. my train is late", "so good"]
TEXT, OTHER = TEXTS[0], TEXTS[2]


def ask(client, path, **values):
    answer = client.post(path, json=values)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- embeddings -------------------------------------------------------------------------------------------


def test_embeddings_are_the_pipelines(client, pipeline):
    expected = pipeline.encode(TEXTS)
    unit = pipeline.encode(TEXTS, normalize_embeddings=True)
    assert np.array_equal(np.float32(ask(client, "/embed", inputs=TEXTS, normalize=False)), expected)
    assert np.array_equal(np.float32(ask(client, "/embed", inputs=TEXTS)), unit)
    assert np.array_equal(np.float32(ask(client, "/embed", inputs=TEXT)), unit[:1])


def test_embeddings_in_the_form_of_openai(client, pipeline):
    found = ask(client, "/v1/embeddings", input=TEXTS, model="any", user="me", dimensions=2304)
    unit = pipeline.encode(TEXTS, normalize_embeddings=True)
    assert np.array_equal(np.float32([row["embedding"] for row in found["data"]]), unit)
    assert [row["index"] for row in found["data"]] == [0, 1, 2, 3]
    assert (found["object"], found["usage"]) == ("list", {"prompt_tokens": 13, "total_tokens": 13})
    found = ask(client, "/v1/embeddings", input=TEXT, encoding_format="base64")
    (row,) = found["data"]
    assert np.array_equal(np.frombuffer(base64.b64decode(row["embedding"]), "<f4"), unit[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input": TEXT, "dimensions": 256}, "dimensions must be 2304, got 256: leave it out"),
        ({"input": [1, 2]}, "input: must be a text or a list of texts"),
        ({"input": [[1, 2]]}, "input: must be a text or a list of texts"),
        ({"input": []}, "there is no text: give one or more"),
        ({"input": TEXT, "encoding_format": "int8"}, "encoding_format: Input should be 'float' or 'base64'"),
        ({}, "input: Field required"),
    ],
)
def test_errors_of_openais_endpoint_have_its_form(client, values, message):
    answer = client.post("/v1/embeddings", json=values)
    assert answer.status_code in (400, 422)
    expected = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    assert answer.json()["error"] == expected


# --- classes ----------------------------------------------------------------------------------------------


def test_predictions_are_the_pipelines(client, pipeline):
    expected = pipeline.predict_proba(TEXTS)
    for inputs in (TEXTS, [[text] for text in TEXTS]):
        found = ask(client, "/predict", inputs=inputs)
        for row, scores in zip(found, expected, strict=True):
            order = np.argsort(-scores, kind="stable")
            assert [s["label"] for s in row] == [pipeline.classes[n] for n in order]
            assert np.array_equal(np.float32([s["score"] for s in row]), scores[order])
    (alone,) = (ask(client, "/predict", inputs=TEXT),)
    assert alone == found[0]
    raw = ask(client, "/predict", inputs=TEXT, raw_scores=True)
    assert [math.exp(s["score"]) for s in raw] == pytest.approx([s["score"] for s in alone], rel=1e-5)


def test_pairs_are_refused(client):
    answer = client.post("/predict", json={"inputs": [["a", "b"]]})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")


def test_emojis_emotions_and_attention_are_the_pipelines(client, pipeline):
    found = ask(client, "/emojize", inputs=TEXTS, top_k=2)
    assert [row["text"] for row in found] == pipeline.emojize(TEXTS, 2)
    assert [[tuple(s.values()) for s in row["emojis"]] for row in found] == [
        [(s.emoji, s.alias, s.probability) for s in prediction] for prediction in pipeline.predict(TEXTS, 2)
    ]
    found = ask(client, "/emotions", inputs=TEXTS)
    assert [list(row) for row in found] == [list(EMOTIONS)] * 4
    np.testing.assert_allclose([list(row.values()) for row in found], pipeline.emotions(TEXTS), atol=1e-6)
    found = ask(client, "/attention", inputs=TEXTS)
    assert [[tuple(word.values()) for word in row] for row in found] == [
        [tuple(word) for word in row] for row in pipeline.attention(TEXTS)
    ]
    for path in ("/emojize", "/emotions", "/attention"):
        assert ask(client, path, inputs=TEXT) == ask(client, path, inputs=[TEXT])[0]


def test_balance_is_that_of_a_pipeline_made_with_it(client, pipeline):
    balanced = MojiPipeline.from_pretrained(backend="onnx", balance=0.5)
    found = ask(client, "/predict", inputs=TEXT, balance=0.5)
    expected = balanced.predict(TEXT, 64)
    assert [s["score"] for s in found] == [s.probability for s in expected]
    assert found != ask(client, "/predict", inputs=TEXT)


def test_long_texts_are_cut_or_refused(client_of):
    pipeline = small(max_length=3)
    client = client_of(pipeline)
    text = "good day bad train late"
    assert client.post("/embed", json={"inputs": text}).status_code == 413
    assert "text 0 has 5 tokens, more than 3" in client.post("/predict", json={"inputs": text}).text
    assert client.post("/v1/embeddings", json={"input": text}).status_code == 413
    assert "more than 3: shorten it, or ask with trunc" in client.post("/embed", json={"inputs": text}).text
    assert 'more than 3: shorten it"' in client.post("/v1/embeddings", json={"input": text}).text
    cut = ask(client, "/embed", inputs=text, truncate=True, normalize=False)
    assert np.allclose(cut, pipeline.encode(["good day bad"]), atol=1e-6)
    found = ask(client, "/read", inputs=[text])["readings"][0]
    assert ([word["word"] for word in found["words"]], found["cut"]) == (["good", "day", "bad"], True)
    windows = client_of(small(max_length=3, windows=True))
    found = ask(windows, "/read", inputs=[text])["readings"][0]
    assert (len(found["words"]), found["cut"]) == (5, False)
    assert windows.post("/embed", json={"inputs": text}).status_code == 200


def test_models_of_other_kinds(client_of):
    several = client_of(small(3, ["😀", "🦖", "other_things"], multi_label=True))
    found = ask(several, "/read", inputs=["good day"], top_k=9)["readings"][0]
    assert {s["emoji"]: s["alias"] for s in found["emojis"]} == {
        "😀": "grinning_face",
        "🦖": "T-Rex",
        "other_things": "other_things",
    }
    assert (found["emotions"], several.get("/info").json()["balance"]) == (None, None)
    assert several.post("/emotions", json={"inputs": "a"}).status_code == 422
    assert several.post("/predict", json={"inputs": "a", "balance": 0.5}).status_code == 422
    strict = client_of(small(3, ["a", "b", "c"], multi_label=True, thresholds=[1, 1, 1]))
    assert ask(strict, "/emojize", inputs="good") == {"text": "good", "emojis": []}
    features = client_of(small(None))
    assert len(ask(features, "/embed", inputs="good")) == 1
    assert "gives features alone" in features.post("/predict", json={"inputs": "good"}).text
    assert features.get("/").status_code == 404


@pytest.mark.parametrize("multi_label", [False, True])
def test_an_onnx_file_without_features(client_of, multi_label):
    whole = small(3, ["a", "b", "c"], multi_label=multi_label)
    output = ["logits" if multi_label else "probabilities", "attention"]
    data = serialize(whole.engine.model, output=output, multi_label=multi_label)
    client = client_of(MojiPipeline(OnnxEngine(data), WORDS, ["a", "b", "c"]))
    openai = {"input": "good", "dimensions": 5}
    for path, values in (("/embed", {"inputs": "good"}), ("/v1/embeddings", openai)):
        answer = client.post(path, json=values)
        assert answer.status_code == 422
        assert "the model's file gives no embeddings: export it with features" in answer.text
    assert client.get("/info").json()["dimensions"] is None
    assert ask(client, "/emojize", inputs="good")["emojis"]
    found = ask(client, "/read", inputs=["good day", "bad train"])
    is_near = found["readings"][0]["nearest"] != []
    assert ("similarity" in found) is is_near is (not multi_label)


# --- the page's endpoint ----------------------------------------------------------------------------------


def test_a_reading_is_what_the_pipeline_gives(client, pipeline):
    found = ask(client, "/read", inputs=[OTHER, TEXT], top_k=2)
    first, second = found["readings"]
    assert [s["probability"] for s in first["emojis"]] == [s.probability for s in pipeline.predict(OTHER, 2)]
    assert [word["word"] for word in second["words"]] == ["i", "love", "mom's", "cooking"]
    assert list(first["emotions"]) == list(EMOTIONS)
    similarities = pipeline.similarity(OTHER, list(EXAMPLES))
    best = np.argsort(-similarities)[:NEAREST]
    assert [near["text"] for near in first["nearest"]] == [EXAMPLES[n] for n in best]
    assert found["similarity"] == pytest.approx(pipeline.similarity(TEXT, OTHER), abs=1e-5)
    pairs = pipeline.similarity(list(EXAMPLES), list(EXAMPLES))[np.triu_indices(len(EXAMPLES), 1)]
    assert found["closer_than"] == pytest.approx((pairs < found["similarity"]).mean(), abs=1e-3)
    blank = ask(client, "/read", inputs=["  "])
    assert blank["readings"][0]["emojis"] == blank["readings"][0]["nearest"] == []
    assert "similarity" not in blank


# --- about the server -------------------------------------------------------------------------------------


def test_health_info_models_and_metrics(client, pipeline):
    assert client.get("/health").json() == {"status": "ok"}
    info = client.get("/info").json()
    assert (info["dimensions"], info["classes"]) == (2304, list(pipeline.classes))
    assert (info["model_dtype"], info["max_input_length"], info["balance"]) == ("float32", 512, 0)
    assert client.get("/v1/models").json()["data"][0]["object"] == "model"
    ask(client, "/emojize", inputs=TEXTS)
    client.get("/no/such/path")
    metrics = client.get("/metrics").text
    assert re.search(r'torchmoji_requests_total\{path="/emojize",status="200"\} [\d.]+', metrics)
    assert re.search(r'torchmoji_requests_total\{path="other",status="404"\}', metrics)
    assert "torchmoji_batch_texts_bucket" in metrics


def test_the_description_loads_nothing_from_elsewhere(client):
    paths = client.get("/openapi.json").json()["paths"]
    ours = {"/v1/embeddings", "/embed", "/predict", "/emojize", "/emotions", "/attention", "/file"}
    assert ours < set(paths)
    assert "$ref" in str(paths["/embed"]["post"]["requestBody"])
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404


def test_the_page_is_ours_alone(client):
    for path in ("/", "/demo.js", "/demo.css", "/icon.svg"):
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(src|href)=.?(\w+:)?//|@import|url\(", text)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b| style=", text)
    assert '<html lang="en">' in client.get("/").text


def test_create_app_takes_the_default_model(pipeline):
    app = create_app()
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/info").json()["classes"] == list(pipeline.classes)


def test_a_missing_extra_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[server\]"'):
        create_app(small())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_texts": 0}, "max_texts must be at least 1, got 0"),
        ({"max_texts": "5"}, "max_texts must be a whole number, got '5'"),
        ({"max_rows": 2.0}, "max_rows must be a whole number, got 2.0"),
        ({"batch_texts": True}, "batch_texts must be a whole number, got True"),
        ({"wait_ms": -1}, "wait_ms must not be negative, got -1"),
        ({"wait_ms": float("nan")}, "wait_ms must be finite, got nan"),
        ({"body_seconds": "30"}, "body_seconds must be a number, got '30'"),
        ({"hosts": "example.org"}, "hosts must be a tuple of texts, got 'example.org'"),
        ({"hosts": None}, "hosts must be a tuple of texts, got None"),
        ({"origins": "https://example.org"}, "origins must be a tuple of texts, got 'https://example.org'"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Settings(**options)


@pytest.mark.parametrize("key", ["", "k ", " k", " ", "a\n", "é", 5, b"k"])
def test_a_key_that_no_client_can_send_is_refused_and_not_shown(key):
    with pytest.raises(ValueError, match=r"key must have ASCII [^:]*: choose another key$"):
        Settings(key=key)


@pytest.mark.parametrize(
    "host",
    ["example.org:80", "[::1]:80", "https://example.org", "*.example.org", "müller.example", "", " a", 5],
)
def test_a_host_that_no_client_can_send_is_refused(host):
    with pytest.raises(ValueError, match=r"hosts \(--allow-host\) are names such as example.org, .* got "):
        Settings(hosts=(host,))


@pytest.mark.parametrize(
    "site",
    [
        "example.org", "https://Example.org", "HTTPS://example.org", "https://example.org/", "http://a.org?b",
        "https://example.org:443", "http://[::1]:80", "https://*.example.org", "https://müller.example", 5,
    ],
)  # fmt: skip
def test_a_site_that_no_browser_sends_is_refused(site):
    with pytest.raises(ValueError, match=r"origins \(--allow-origin\) are sites .*, in lower case, .* got "):
        Settings(origins=(site,))


def test_settings_take_what_clients_send():
    Settings(key="a b", max_texts=1, wait_ms=0, body_seconds=30, stop_seconds=0.5)
    Settings(hosts=["Example.org", "my_machine", "192.0.2.1", "::1", "[::1]", "fe80::1%eth0", "*"])
    Settings(origins=["https://example.org:8443", "http://localhost:8000", "http://[::1]:81", "*", "null"])


def test_hearts_are_written_in_colour(client_of):
    found = ask(client_of(small(2, ["❤", "😂"])), "/emojize", inputs="good", top_k=2)
    assert shown("❤") in found["text"]
    assert "❤" in [score["emoji"] for score in found["emojis"]]
