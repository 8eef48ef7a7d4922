"""Threads and options of onnxruntime's sessions."""

import os
import pickle
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.onnx_models import made, some_rows
from support.python import python

from torchmoji.onnx import session as onnx_session
from torchmoji.onnx.model import OnnxModel, serialize
from torchmoji.onnx.session import default_threads


@pytest.fixture(autouse=True)
def _fresh_share(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_session, "_CONTAINER_SHARE", tmp_path / "cpu.max")
    onnx_session._container_cpus.cache_clear()
    yield
    onnx_session._container_cpus.cache_clear()


@pytest.fixture
def four_cpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)


def test_threads_are_those_of_torch_where_it_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(get_num_threads=lambda: 7))
    assert default_threads() == 7


@pytest.mark.parametrize(("share", "threads"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 4)])
def test_a_container_has_no_more_threads_than_its_share_of_time(four_cpus, share, threads):
    onnx_session._CONTAINER_SHARE.write_text(share)
    assert default_threads() == threads


@pytest.mark.parametrize(
    ("machine", "info", "expected"),
    [
        ("x86_64", "flags : avx2 avx512_vnni", False),
        ("AMD64", "flags : avx2", True),
        ("x86_64", None, True),
        ("arm64", None, False),
    ],
)
def test_where_products_of_int8_may_overflow(monkeypatch, tmp_path, machine, info, expected):
    monkeypatch.setattr(onnx_session.platform, "machine", lambda: machine)
    monkeypatch.setattr("torchmoji.runtime.machine._PROCESSOR_INFO", tmp_path / "cpuinfo")
    if info is not None:
        (tmp_path / "cpuinfo").write_text(info)
    assert onnx_session._adds_in_16_bits() is expected


def test_int8_gives_the_same_with_the_options_for_such_processors(monkeypatch):
    data = serialize(made(), "int8")
    expected = OnnxModel(data)(some_rows())
    monkeypatch.setattr(onnx_session, "_adds_in_16_bits", lambda: True)
    np.testing.assert_allclose(OnnxModel(data)(some_rows()), expected, rtol=0, atol=1e-5)


def test_copies_of_a_model_share_a_session_that_is_made_once_each_time_it_must_be(monkeypatch):
    made_sessions = []
    make = onnx_session.make_session
    monkeypatch.setattr(onnx_session, "make_session", lambda *a: made_sessions.append(a[2]) or make(*a))
    model = OnnxModel(serialize(made()))
    threads = default_threads() + 1
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(get_num_threads=lambda: threads))
    copied = pickle.loads(pickle.dumps(model))
    with ThreadPoolExecutor(4) as pool:  # also where several threads come first
        list(pool.map(lambda n: copied.giving("features", n % 2 == 0)(some_rows()), range(8)))
    assert len(made_sessions) == 2
    for _ in range(3):
        model.giving("features")(some_rows())
    assert made_sessions == [threads - 1, threads, threads]


def test_threads_do_not_spin_between_calls():
    code = """
import json, time
import numpy as np
from torchmoji.global_variables import default_model_directory
from torchmoji.onnx.model import OnnxModel, serialize
model = OnnxModel(serialize(default_model_directory() / "model.safetensors", "int8"), threads=2)
model(np.ones((1, 20), int))
start = time.process_time()
time.sleep(0.5)
print(json.dumps(time.process_time() - start))
"""
    assert python(code) < 0.1


@pytest.mark.skipif(sys.platform == "win32", reason="the home is found in another way there")
def test_onnxruntime_does_not_report_to_its_maker(tmp_path):
    code = """
import os
from torchmoji import MojiPipeline
MojiPipeline.from_pretrained(backend="onnx").encode("a day")
assert "ORT_DISABLE_TELEMETRY" not in os.environ
"""
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env={**environment, **home}, check=True)
    assert [path.name for path in tmp_path.rglob("*onnxruntime*")] == []


def message(field, content):
    """A field of protobuf's wire format with a message."""
    length, size = len(content), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([field << 3 | 2, *size, length]) + content


@pytest.mark.parametrize(
    "data",
    [
        message(7, message(1, b"") * 600_000),  # nodes
        message(14, b"") * 600_000,  # metadata
        message(7, message(5, b"\x08\x01" * 600_000)),  # dimensions of a constant
        message(7, message(1, message(5, b"") * 600_000)),  # attributes of a node
    ],
)
def test_a_file_of_many_parts_is_refused_before_they_are_made(data, monkeypatch):
    monkeypatch.setattr("onnx.load_model_from_string", None)
    with pytest.raises(
        ValueError, match=r"a\.onnx is damaged .*beside its constants it has more than 104857"
    ):
        onnx_session.check_content(data, "a.onnx")


@pytest.mark.parametrize("data", [b"\xff" * 100, b"\x3a\x05\x0a", b"\x3b", b"\x08" + b"\x80" * 1000])
def test_what_is_no_message_is_refused(data):
    with pytest.raises(ValueError, match=r"a\.onnx is damaged or no ONNX model"):
        onnx_session.check_content(data, "a.onnx")
