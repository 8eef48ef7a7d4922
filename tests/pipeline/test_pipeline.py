"""MojiPipeline: results against the model itself, kinds of input, files, threads, forks, pickles."""

import json
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.small_pipeline import WORDS, small, word
from torch.utils.data import DataLoader

from torchmoji import EMOJIS, MojiPipeline, SentenceTokenizer
from torchmoji import batching as text_rows
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOTIONS, emotion_scores
from torchmoji.global_variables import DEFAULT_WEIGHTS_NAME, default_model_directory
from torchmoji.model_def import torchmoji_emojis, torchmoji_feature_encoding
from torchmoji.pipeline import engines
from torchmoji.weights.hub import DownloadError

TEXTS = ["I love mom's cooking", "", "not again.. my train is late", "I love mom's cooking"]


@pytest.fixture(scope="module")
def default():
    return MojiPipeline.from_pretrained(backend="torch")


@pytest.fixture(scope="module")
def default_onnx():
    return MojiPipeline.from_pretrained(backend="onnx")


@pytest.fixture(scope="module")
def ids():
    tokenizer = SentenceTokenizer(load_vocabulary(default_model_directory() / "vocabulary.json"), 30)
    return tokenizer.tokenize_sentences(TEXTS)[0]


# --- results ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("emoji", EMOJIS)
def test_other_spellings_of_an_emoji_read_as_the_emoji_itself(default_onnx, emoji):
    tone, gender = "\U0001f3fd", "\u200d\u2640\ufe0f"
    spellings = [emoji, emoji + "\ufe0f", emoji + tone, emoji + gender, emoji + tone + gender]
    for text in ("{}", "ok {0}{0} then"):
        plain, *others = default_onnx.predict_proba([text.format(spelling) for spelling in spellings])
        assert all(np.array_equal(plain, other) for other in others)


def test_probabilities_and_features_are_those_of_the_model(default, ids):
    weights = default_model_directory() / DEFAULT_WEIGHTS_NAME
    got = default.predict_proba(TEXTS)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, torchmoji_emojis(weights)(ids), atol=1e-6)
    encoded = default.encode(TEXTS)
    assert encoded.shape == (4, 2304)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, torchmoji_feature_encoding(weights)(ids), atol=1e-6)


def test_predictions_are_the_highest_probabilities(default):
    probabilities = default.predict_proba(TEXTS)
    predictions = default.predict(TEXTS, top_k=3)
    assert default(TEXTS, top_k=3) == predictions
    assert predictions.pop(1) == []  # a text without words has no guess
    for row, prediction in zip(np.delete(probabilities, 1, axis=0), predictions, strict=True):
        best = np.argsort(-row, kind="stable")[:3]
        assert [score.index for score in prediction] == best.tolist()
        assert [score.emoji for score in prediction] == [EMOJIS[index] for index in best]
        assert [score.probability for score in prediction] == [float(row[index]) for index in best]
    assert default.predict(TEXTS[0])[0][:2] == ("😋", "face_savoring_food")


def test_onnx_gives_the_same(default, default_onnx):
    found, expected = ([[s.emoji for s in p[:1]] for p in pipe(TEXTS)] for pipe in (default_onnx, default))
    assert found == expected
    np.testing.assert_allclose(default_onnx.predict_proba(TEXTS), default.predict_proba(TEXTS), atol=1e-5)
    np.testing.assert_allclose(default_onnx.encode(TEXTS), default.encode(TEXTS), atol=1e-5)
    int8 = MojiPipeline.from_pretrained(precision="int8")
    np.testing.assert_allclose(int8.encode(TEXTS), default.encode(TEXTS), atol=5e-2)


@pytest.mark.parametrize("backend", ["default", "default_onnx"])
def test_a_result_does_not_depend_on_the_other_texts(request, backend):
    pipe = request.getfixturevalue(backend)
    texts = [
        f"{text} {more}".strip() for text in TEXTS for more in ("", "so good", "!!! 😂 never again " * 3)
    ]
    alone = np.stack([pipe.predict_proba(text) for text in texts])
    np.testing.assert_allclose(pipe.predict_proba(texts), alone, rtol=0, atol=1e-6)


# --- engines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "has_onnx", "expected"),
    [
        ({}, True, "onnx, float32"),
        ({}, False, "torch, float32"),
        ({"precision": "int8"}, True, "onnx, int8"),
        ({"precision": "bfloat16"}, True, "torch, bfloat16"),
        ({"dtype": torch.float32, "device": "cpu"}, True, "onnx, float32"),
        ({"backend": "torch"}, True, "torch, float32"),
    ],
)
def test_the_engine_is_what_the_options_need_and_onnx_where_it_is_installed(
    tmp_path, monkeypatch, options, has_onnx, expected
):
    monkeypatch.setattr(engines, "find_spec", lambda name: has_onnx or None)
    monkeypatch.setattr("torchmoji.runtime.products.has_fast_bfloat16", lambda device: True)
    small().save_pretrained(tmp_path)
    pipe = MojiPipeline.from_pretrained(tmp_path, **options)
    assert repr(pipe) == f"<MojiPipeline: {expected}, 64 classes, 33 words>"


def test_an_engine_that_is_registered_is_the_one_that_runs(tmp_path, monkeypatch):
    small().save_pretrained(tmp_path)
    engine = small().engine
    monkeypatch.setitem(engines.ENGINES, "mine", lambda *options: engine)
    assert MojiPipeline.from_pretrained(tmp_path, backend="mine").engine is engine


def test_threads_are_those_that_are_asked_for(tmp_path):
    small().save_pretrained(tmp_path)
    assert MojiPipeline.from_pretrained(tmp_path, "onnx", threads=3).engine.model.threads == 3
    before = torch.get_num_threads()
    try:
        MojiPipeline.from_pretrained(tmp_path, "torch", threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match="threads must be a whole number from 1 to 1024, got 0"):
        MojiPipeline.from_pretrained(tmp_path, threads=0)


@pytest.mark.parametrize("method", ["predict", "encode", "predict_proba"])
def test_a_device_may_be_given_with_the_texts(method, default_onnx):
    found, expected = (getattr(small(), method)("good", **more) for more in ({"device": "cpu"}, {}))
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="cannot use device 'nothing:7'"):
        getattr(small(), method)("good", device="nothing:7")
    with pytest.raises(ValueError, match=r"runs on the CPU, not on 'cuda': .*backend='torch'"):
        getattr(default_onnx, method)("good", device="cuda")


def test_onnx_does_not_import_torch():
    code = (
        "import sys; from torchmoji import MojiPipeline; "
        "print(MojiPipeline.from_pretrained(backend='onnx').emojize('I love it'), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.startswith("I love it ")
    assert run.stdout.endswith(" False\n")


def test_emojize_puts_emojis_behind_the_text(default):
    assert default.emojize(TEXTS[0]) == "I love mom's cooking 😋"
    two = default.emojize(TEXTS[:2], top_k=2)
    assert two[0].startswith("I love mom's cooking 😋 ")
    assert two[1] == ""
    assert list(default.emojize(iter([TEXTS[0] + "\n", "\n"]))) == ["I love mom's cooking 😋\n", "\n"]
    only_hearts = small(classes=["❤"] + [str(n) for n in range(63)])
    assert " ❤\ufe0f " in only_hearts.emojize("good", top_k=64)
    assert "❤" in [score.emoji for score in only_hearts.predict("good", top_k=64)]


def test_balance_temperature_and_thresholds_may_be_set(default):
    pipe = pickle.loads(pickle.dumps(default))
    pipe.balance = 0.5
    expected = default.with_balance(0.5).predict_proba(TEXTS)
    np.testing.assert_array_equal(pipe.predict_proba(TEXTS), expected)
    pipe.temperature, pipe.thresholds = 2, [1.0] * 64
    assert pipe.predict(TEXTS[0]) == []
    assert (default.balance, default.temperature, default.thresholds) == (0, 1, None)


def test_emotions_are_the_scores_weighted_by_probabilities(default):
    expected = emotion_scores(default.predict_proba(TEXTS), EMOJIS)
    np.testing.assert_array_equal(default.emotions(TEXTS), expected)
    joyful = dict(zip(EMOTIONS, default.emotions("I love mom's cooking").tolist(), strict=True))
    assert max(joyful, key=joyful.get) == "joy"


def test_encodings_may_be_normalized_or_tensors():
    rows = small().encode(["good", "", "bad good"], normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 1], atol=1e-6)
    tensors = small().encode(["good", "bad"], convert_to_tensor=True)
    assert (tensors.dtype, tensors.requires_grad) == (torch.float32, False)
    np.testing.assert_array_equal(tensors.numpy(), small().encode(["good", "bad"]))


def test_similarity_is_the_overlap_of_probabilities_or_the_cosine(default):
    p, q = default.predict_proba(TEXTS[0]), default.predict_proba(TEXTS[2])
    assert default.similarity(TEXTS[0], TEXTS[2]) == pytest.approx(np.sqrt(p * q).sum(), abs=1e-5)
    a, b = default.encode(TEXTS[0]), default.encode(TEXTS[2])
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert default.similarity(TEXTS[0], TEXTS[2], by="encoding") == pytest.approx(cosine, abs=1e-5)
    for by in ("classes", "encoding"):
        matrix = default.similarity(iter(TEXTS), TEXTS[:3], by)
        assert matrix.shape == (4, 3)
        assert matrix[3, 0] == pytest.approx(1, abs=1e-5)
        assert matrix[1].tolist() == [0, 0, 0]
        assert default.similarity([], TEXTS, by).shape == (0, 4)
    with pytest.raises(ValueError, match="by must be 'classes' or 'encoding', got 'words'"):
        default.similarity("a", "b", by="words")


# --- words ------------------------------------------------------------------------------------------------


def test_attention_has_the_words_their_places_and_weights_that_sum_to_one(default):
    text = "Soooo  GOOD, http://a.b!"
    words = default.attention(text)
    assert [word.word for word in words] == ["soo", "good", ",", "CUSTOM_URL"]
    assert [text[word.start : word.end] for word in words] == ["Soooo", "GOOD", ",", "http://a.b!"]
    assert sum(word.weight for word in words) == pytest.approx(1, abs=1e-5)
    assert default.attention("") == []


def test_explain_leaves_each_word_out(default):
    top, words = default.explain("not again my train is late")
    expected = default.predict("not again my train is late", top_k=1)[0]
    assert top[:3] == expected[:3]
    assert top.probability == pytest.approx(expected.probability, abs=1e-6)
    without = default.predict_proba("not again my is late")[top.index]
    assert words[3].word == "train"
    assert words[3].change == pytest.approx(float(without) - top.probability, abs=1e-6)
    assert len(words) == 6
    assert default.explain("").words == []
    of_windows = small(max_length=2, windows=True)
    top, words = of_windows.explain("bad bad day day good good")
    assert (top, len(words)) == (of_windows.predict("bad bad day day good good", 1)[0], 6)


def test_streams_and_iterators_give_iterators_and_a_string_is_one_text():
    pipe = small()
    assert len(list(pipe.predict_stream("good day"))) == len(list(pipe.encode_stream("good day"))) == 1
    written = pipe.emojize(iter(["good", "bad"]))
    assert iter(written) is written
    assert list(written) == pipe.emojize(["good", "bad"])


def test_a_prediction_shows_itself_with_shaded_words_and_nothing_of_the_text_as_code(default):
    html = default.predict(["<script>alert(1)</script> I love it"])._repr_html_()
    assert "<script>" not in html
    assert html.count("<mark") >= 3
    assert "😂" in html or "❤\ufe0f" in html
    assert default.predict("")._repr_html_() == "<p><br></p>"


# --- kinds of input ---------------------------------------------------------------------------------------


def test_a_string_gives_one_result_and_a_list_a_list():
    pipe = small()
    assert pipe.predict("good", top_k=2) == pipe.predict(["good"], top_k=2)[0]
    assert pipe.encode("good").shape == (16,)
    assert pipe.predict_proba("good").shape == (64,)
    assert pipe.emotions("good").shape == (8,)
    np.testing.assert_array_equal(pipe.encode(np.array(["good", "bad"])), pipe.encode(("good", "bad")))


def test_no_texts_give_empty_results():
    pipe = small()
    assert pipe.predict([]) == pipe.attention([]) == list(pipe.encode_stream([])) == []
    assert pipe.encode([]).shape == (0, 16)
    assert pipe.predict_proba([]).shape == (0, 64)


def test_streams_are_in_order_and_read_a_window_ahead(monkeypatch):
    monkeypatch.setattr(text_rows, "WINDOW", 2)
    pipe, taken = small(), []

    def texts():
        for number in range(10, 15):
            taken.append(number)
            yield word(number)

    rows = pipe.encode_stream(texts())
    first = next(rows)
    assert taken == [10, 11]
    expected = pipe.encode([word(number) for number in range(10, 15)])
    np.testing.assert_allclose([first, *rows], expected, atol=1e-6)
    assert list(pipe.predict_stream(texts(), 2)) == pipe.predict(list(texts()), 2)
    assert not isinstance(pipe.predict(texts()), list)


@pytest.mark.parametrize("texts", [["good", None], iter(["good", b"bad"])])
def test_what_is_no_text_is_named_by_its_place(texts):
    with pytest.raises(TypeError, match="text 1 is not a string"):
        list(small().predict(texts))


@pytest.mark.parametrize(
    "texts",
    [None, 7, b"good", {"a": "b"}, pytest.param({"a"}, id="set"), np.array("a"), np.array([["a", "b"]])],
    ids=str,
)
@pytest.mark.parametrize("method", ["predict", "encode"])
def test_what_is_neither_a_text_nor_several_is_refused(texts, method):
    with pytest.raises(TypeError, match="expected a text or several"):
        getattr(small(), method)(texts)


# --- long texts -------------------------------------------------------------------------------------------


def test_longer_texts_are_cut_with_one_warning(caplog, monkeypatch):
    monkeypatch.setattr(text_rows, "WINDOW", 1)
    pipe = small(max_length=3)
    long = "waq wbq wcq wdq"
    with caplog.at_level(logging.WARNING):
        rows = pipe.encode([long, "good", long])
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "2 of 3 texts are longer than 3 tokens and were cut"
    ]
    np.testing.assert_allclose(rows[0], pipe.encode("waq wbq wcq"), atol=1e-6)
    assert len(pipe.attention(long)) == 3


def test_windows_average_over_the_whole_text(caplog):
    pipe = small(max_length=4, windows=True)
    text = "waq wbq wcq wdq weq wfq wgq"
    parts = ["waq wbq wcq wdq", "wcq wdq weq wfq", "wdq weq wfq wgq"]
    np.testing.assert_allclose(pipe.encode([text, "good"])[0], pipe.encode(parts).mean(0), atol=1e-6)
    np.testing.assert_allclose(pipe.predict_proba(text), pipe.predict_proba(parts).mean(0), atol=1e-6)
    words = pipe.attention(text)
    assert [word.word for word in words] == text.split()
    assert sum(word.weight for word in words) == pytest.approx(1, abs=1e-5)
    assert not caplog.records


def test_texts_of_512_tokens_are_whole_by_default(caplog):
    pipe = small()
    assert len(pipe.attention("good " * 512)) == 512
    assert not caplog.records
    assert len(pipe.attention("good " * 513)) == 512
    assert len(caplog.records) == 1


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nb_classes", "backend"), [(2, "torch"), (64, "onnx"), (2, "onnx"), (None, "onnx")])
def test_a_saved_folder_gives_the_same(tmp_path, nb_classes, backend):
    classes = {64: None, 2: ["no", "yes"], None: None}[nb_classes]
    pipe = small(nb_classes, classes, max_length=50)
    pipe.save_pretrained(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        *("README.md", "config.json", "model.safetensors", "vocabulary.json")
    ]
    loaded = MojiPipeline.from_pretrained(tmp_path / "model", backend)
    assert (loaded.classes, loaded.vocabulary, loaded.max_length) == (pipe.classes, pipe.vocabulary, 50)
    np.testing.assert_allclose(loaded.encode(["good", ""]), pipe.encode(["good", ""]), atol=1e-6)
    if nb_classes:
        got = loaded.predict_proba(["good bad", ""])
        assert got.shape == (2, nb_classes)
        np.testing.assert_allclose(got, pipe.predict_proba(["good bad", ""]), atol=1e-6)
        np.testing.assert_allclose(got.sum(1), 1, atol=1e-5)


def test_weights_alone_need_a_vocabulary(tmp_path):
    small(3).save_pretrained(tmp_path)
    weights, vocabulary = tmp_path / "model.safetensors", tmp_path / "vocabulary.json"
    with pytest.raises(ValueError, match=r"has no vocabulary: give .* as vocabulary="):
        MojiPipeline.from_pretrained(weights)
    pipe = MojiPipeline.from_pretrained(weights, vocabulary=vocabulary)
    assert pipe.classes == ("0", "1", "2")
    np.testing.assert_allclose(pipe.encode("good"), small(3).encode("good"), atol=1e-6)


def test_an_exported_file_is_loaded(tmp_path):
    from torchmoji.onnx.model import export

    export(small(3).engine.model, tmp_path / "m.onnx", vocabulary=WORDS, classes=["a", "b", "c"])
    pipe = MojiPipeline.from_pretrained(tmp_path / "m.onnx", "onnx")
    assert pipe.classes == ("a", "b", "c")
    np.testing.assert_allclose(pipe.predict_proba("good"), small(3).predict_proba("good"), atol=1e-6)
    assert MojiPipeline.from_pretrained(tmp_path / "m.onnx").classes == pipe.classes
    with pytest.raises(ValueError, match="torch cannot run"):
        MojiPipeline.from_pretrained(tmp_path / "m.onnx", "torch")
    with pytest.raises(ValueError, match="is float32, not int8: leave precision out"):
        MojiPipeline.from_pretrained(tmp_path / "m.onnx", precision="int8")
    with pytest.raises(ValueError, match="an ONNX file has no weights to save"):
        pipe.save_pretrained(tmp_path / "new")


def test_what_runs_on_onnx_is_saved_with_the_weights_of_its_file(tmp_path):
    small().save_pretrained(tmp_path / "a")
    MojiPipeline.from_pretrained(tmp_path / "a", precision="int8").save_pretrained(tmp_path / "b")
    names = ("config.json", "model.safetensors", "vocabulary.json")
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


class FakeHub:
    """What `huggingface_hub.HfApi` is asked to do."""

    def __init__(self, token=None):
        self.token = token

    def create_repo(self, repo_id, private, exist_ok):
        if self.token == "wrong":
            raise RuntimeError("401 Client Error\nmore")
        return SimpleNamespace(repo_id=f"me/{repo_id}" if "/" not in repo_id else repo_id)

    def file_exists(self, repo_id, filename):
        return (repo_id, filename) == ("me/old", "README.md")

    def upload_folder(self, repo_id, folder_path, commit_message, ignore_patterns):
        files = {path.name: path.read_bytes() for path in folder_path.iterdir()}
        files = {name: content for name, content in files.items() if name not in ignore_patterns}
        FakeHub.got = repo_id, files, commit_message
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")


def test_a_model_is_put_into_a_repository_with_its_card(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.HfApi", FakeHub)
    assert small().push_to_hub("mood", private=True) == "https://hub/me/mood/commit/1"
    name, files, message = FakeHub.got
    assert (name, message) == ("me/mood", "Upload a torchMoji model")
    assert files["README.md"].startswith(b"---\nlibrary_name: torchmoji")
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    pipe = MojiPipeline.from_pretrained(tmp_path, "torch")
    np.testing.assert_array_equal(pipe.encode("good"), small().encode("good"))
    small().push_to_hub("old")
    assert set(FakeHub.got[1]) == set(files) - {"README.md"}  # one that is there stays
    with pytest.raises(OSError, match=r"cannot put .* 'mood' .*\(401 Client Error\): .*hf auth login"):
        small().push_to_hub("mood", token="wrong")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not that of a torchMoji model"),
        ('{"model_type": "bert"}', "is not that of a torchMoji model"),
        ('{"model_type": "torchmoji", "classes": "ab"}', '"classes" must be a list'),
        ('{"model_type": "torchmoji", "max_length": 0}', '"max_length" must be a positive'),
        (json.dumps({"model_type": "torchmoji", "classes": ["a"]}), "classes are 1 names, but the model has"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path, config, message):
    small(2).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=message):
        MojiPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("nothing", {}, FileNotFoundError, "no model 'nothing': use 'default', 'deepmoji', a folder"),
        ("./nosuch", {}, FileNotFoundError, r"there is no model '\./nosuch'"),
        (".", {}, FileNotFoundError, r"lacks config.json, model.safetensors, vocabulary.json"),
        ("deepmoji", {}, DownloadError, "could not be had"),
        ("default", {"backend": "tensorflow"}, ValueError, "unknown backend 'tensorflow': use one of 'auto'"),
        ("default", {"backend": "onnx", "device": "cuda"}, ValueError, "runs on the CPU"),
        ("default", {"backend": "onnx", "dtype": "bfloat16"}, ValueError, "no precision 'bfloat16'"),
        ("default", {"device": "nothing:7"}, ValueError, "cannot use device 'nothing:7'"),
        ("default", {"device": 3.5}, ValueError, "cannot use device '3.5'"),
        ("default", {"dtype": "int3"}, ValueError, "unknown precision 'int3' for torch: use 'float32'"),
        ("default", {"backend": "torch", "precision": "int8"}, ValueError, "backend='onnx' also has 'int8'"),
        ("default", {"dtype": "int8", "precision": "int8"}, ValueError, "are the same: give one"),
        ("default", {"max_length": 0}, ValueError, "max_length must be a whole number from 1 on, got 0"),
        ("default", {"max_length": 2.5}, ValueError, "max_length must be a whole number from 1 on, got"),
        ("default", {"max_length": "3"}, ValueError, "max_length must be a whole number from 1 on, got '3'"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path, monkeypatch, name, options, error, message):
    def offline():
        raise DownloadError("pytorch_model.bin could not be had")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHMOJI_HOME", str(tmp_path))
    monkeypatch.setattr("torchmoji.weights.hub.download_original", offline)
    with pytest.raises(error, match=message):
        MojiPipeline.from_pretrained(name, **options)


@pytest.mark.parametrize("is_fast", [True, False])
def test_bfloat16_where_it_is_slow_is_warned_of(tmp_path, monkeypatch, caplog, is_fast):
    monkeypatch.setattr("torchmoji.runtime.products.has_fast_bfloat16", lambda device: is_fast)
    small().save_pretrained(tmp_path)
    MojiPipeline.from_pretrained(tmp_path, dtype="float32")
    assert not caplog.records
    pipe = MojiPipeline.from_pretrained(tmp_path, dtype="bfloat16")
    np.testing.assert_allclose(pipe.encode("good"), small().encode("good"), atol=2e-2)
    assert ("float32, the default, is faster here" in caplog.text) == (not is_fast)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: small(None).predict("good"), ValueError, "gives features alone: use encode"),
        (lambda: small(2, ["no", "yes"]).emotions("good"), ValueError, "no emotion scores for .* 'no'"),
        (lambda: MojiPipeline(small().engine, {"word": 99}), ValueError, "vocabulary has ids from 99 to 99"),
        (lambda: small().explain(["good", "bad"]), TypeError, "explain takes one text, got list"),
        (lambda: small().predict("good", 1.5), ValueError, r"top_k must be a whole number .*, got 1\.5"),
        (lambda: small().has_words("good"), TypeError, "expected several texts, got one, 'good': give a"),
        (lambda: small().results("good"), TypeError, "expected several texts, got one, 'good': give a"),
        (lambda: setattr(small(), "temperature", 0), ValueError, "temperature must be"),
        (lambda: setattr(small(), "thresholds", [0.5]), ValueError, "there are 1 thresholds for a model"),
        (lambda: setattr(small(), "balance", 1.0), ValueError, "does not say how frequent its classes were"),
        (lambda: small().predict("good", 0), ValueError, "top_k must be a whole number from 1 on, got 0"),
        (lambda: small().encode("good", 0), ValueError, "batch_size must be a whole number from 1 on, got 0"),
        (lambda: small().encode("good", "8"), ValueError, "batch_size must be a whole number from 1 on"),
    ],
)
def test_what_a_pipeline_cannot_do_it_says(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- processes and threads --------------------------------------------------------------------------------


def test_threads_get_their_own_results():
    pipe = small()
    texts = [[word(10 + (n + k) % 26) for k in range(20)] for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(pipe.encode, texts))
    np.testing.assert_allclose(got, [pipe.encode(part) for part in texts], atol=1e-6)


def test_a_pickle_gives_the_same(default_onnx):
    for pipe, text in ((small(), "good bad"), (default_onnx, "I love it")):
        copy = pickle.loads(pickle.dumps(pipe))
        assert copy.predict(text) == pipe.predict(text)


def in_a_fork(call):
    """What `call` gives in a forked process."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(call()))
    process.start()
    try:
        assert receiver.poll(60), "the forked process hangs"
        return receiver.recv()
    finally:
        process.kill()
        process.join()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("backend", ["default", "default_onnx"])
@pytest.mark.parametrize("method", ["predict", "encode", "attention"])
def test_a_forked_process_may_use_it(request, two_threads, backend, method):
    pipe = request.getfixturevalue(backend)
    texts = [f"{word(10 + n)} love {n}" for n in range(20)]
    expected = getattr(pipe, method)(texts)  # the parent has threads by now
    got = in_a_fork(lambda: getattr(pipe, method)(texts))
    if method == "encode":
        np.testing.assert_allclose(got, expected, atol=1e-5)
    else:
        assert [row[0][0] for row in got] == [row[0][0] for row in expected]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_may_load_a_model_after_its_parent(two_threads, default):
    default.encode(TEXTS * 9)
    load = lambda: MojiPipeline.from_pretrained(backend="torch").emojize("good day")  # noqa: E731
    assert in_a_fork(load).startswith("good day ")


class Encoded(torch.utils.data.Dataset):
    def __init__(self, pipe):
        self.pipe = pipe

    def __len__(self):
        return 6

    def __getitem__(self, number):
        return self.pipe.encode(word(10 + number))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_workers_of_a_data_loader_may_use_it():
    pipe = small()
    pipe.encode(["good"] * 300)  # the parent has threads by now
    loader = DataLoader(Encoded(pipe), batch_size=3, num_workers=2, multiprocessing_context="fork")
    rows = np.concatenate([batch.numpy() for batch in loader])
    np.testing.assert_allclose(rows, pipe.encode([word(10 + n) for n in range(6)]), atol=1e-6)
