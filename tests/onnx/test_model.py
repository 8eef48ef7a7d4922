"""The ONNX engine: its files, and its results beside those of torch."""

import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from support.hostile import check_mutations
from support.onnx_models import NB_TOKENS, made, outputs_of_torch, some_rows
from support.python import python

from torchmoji.corpus.reading import read_corpus_texts
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS, EXAMPLE_TEXTS
from torchmoji.global_variables import default_model_directory
from torchmoji.model_def import TorchMoji, torchmoji_emojis, torchmoji_feature_encoding
from torchmoji.onnx.model import OnnxModel, export, serialize
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights.formats import save_quantized, save_state_dict

WEIGHTS = default_model_directory() / "model.safetensors"
VOCABULARY = default_model_directory() / "vocabulary.json"


def assert_close(got, expected, atol=1e-5):
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def small():
    """A model and its file, in float32."""
    model = made()
    return model, serialize(model)


@pytest.fixture(scope="module")
def default_int8():
    return serialize(WEIGHTS, "int8")


# --- results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["probabilities", "features", "attention"])
def test_float32_results_are_those_of_torch(small, output):
    model, data = small
    place = ["probabilities", "features", "attention"].index(output)
    assert_close(OnnxModel(data, output)(some_rows()), outputs_of_torch(model, some_rows())[place])


@pytest.mark.parametrize("name", ["deepmoji_tiny", "deepmoji_tiny_binary"])
def test_what_keras_computed_is_met(data_root, name):
    with np.load(data_root / "golden" / f"{name}.npz") as recorded:
        tokens = recorded["tokens"]
        rows = tokens.any(axis=1)
        data = serialize(data_root / "golden" / f"{name}.hdf5")
        for output, key in (("probabilities", "probs"), ("features", "features"), ("attention", "attention")):
            assert_close(OnnxModel(data, output)(tokens)[rows], recorded[key][rows])


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_a_row_of_padding_gives_zeros_and_the_bias_alone(quantize):
    model = made()
    data = serialize(model, quantize)
    features, attention = OnnxModel(data, "features", return_attention=True)(some_rows())
    assert not features[2].any()
    assert not attention[2].any()
    expected = torch.softmax(model.output_layer[0].bias.detach(), 0).numpy()
    assert_close(OnnxModel(data)(some_rows())[2], expected, 1e-6)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
@pytest.mark.parametrize("output", ["probabilities", "attention"])
def test_an_empty_array(small, shape, output):
    model, data = small
    expected, _, _ = outputs_of_torch(model, np.zeros((1, 1), int))
    got = OnnxModel(data, output)(np.zeros(shape, np.uint16))
    assert got.shape == (shape[0], shape[1] if output == "attention" else 4)
    if output != "attention":
        assert_close(got, np.repeat(expected, shape[0], axis=0), 1e-6)


@pytest.mark.parametrize("max_rows", [1, 100])
def test_batches_do_not_show(small, max_rows):
    ids = np.random.default_rng(5).integers(0, NB_TOKENS, size=(50, 40))
    for row, length in enumerate(np.random.default_rng(6).integers(0, 41, size=50)):
        ids[row, length:] = 0
    probabilities, _, attention = outputs_of_torch(small[0], ids)
    got, weights = OnnxModel(small[1], return_attention=True, max_rows=max_rows, max_tokens=64)(ids)
    assert_close(got, probabilities)
    assert_close(weights, attention)


@pytest.mark.parametrize("dtype", ["uint8", ">i4", "uint64"])
def test_integers_of_any_type_in_a_view(small, dtype):
    model = OnnxModel(small[1])
    ids = some_rows().astype(dtype)
    ids.flags.writeable = False
    np.testing.assert_array_equal(model(ids[::-1, ::2]), model(some_rows()[::-1, ::2].copy()))


@pytest.mark.parametrize(
    ("nb_classes", "options", "first"),
    [
        (1, {}, ["probabilities"]),
        (2, {}, ["probabilities"]),
        (3, {"output_logits": True}, ["logits"]),
        (None, {"feature_output": True}, []),
    ],
)
def test_a_model_of_any_kind(nb_classes, options, first):
    model = made(nb_classes, **options)
    loaded = OnnxModel(serialize(model))
    assert loaded.outputs == (*first, "features", "attention")
    assert (loaded.nb_classes, loaded.classes) == (nb_classes, None)
    assert_close(loaded(some_rows()), model(some_rows()), 1e-4)


def test_the_embedding_of_padding_has_no_part(small):
    model = made()
    with torch.no_grad():
        model.embed.weight[0] = 1e6
    for quantize in (None, "int8"):
        got = OnnxModel(serialize(model, quantize))(some_rows())
        np.testing.assert_array_equal(got, OnnxModel(serialize(small[0], quantize))(some_rows()))


# --- int8 ---------------------------------------------------------------------------------------------------


def test_int8_is_close_on_the_default_model(default_int8):
    ids, _, _ = SentenceTokenizer(load_vocabulary(VOCABULARY), 30).tokenize_sentences(EXAMPLE_TEXTS)
    expected = torchmoji_emojis(WEIGHTS)(ids)
    got = OnnxModel(default_int8)(ids)
    assert_close(got, expected, 5e-3)
    first, second = np.sort(expected)[:, :-3:-1].T
    is_clear = first - second > 2 * 5e-3
    assert is_clear.sum() > 5
    assert got[is_clear].argmax(1).tolist() == expected[is_clear].argmax(1).tolist()
    assert_close(OnnxModel(default_int8, "features")(ids), torchmoji_feature_encoding(WEIGHTS)(ids), 0.05)


def test_first_guesses_of_int8_agree_on_real_texts(default_int8, data_root):
    """Beside float32 of the same engine, which is quicker than torch and checked against it on a part."""
    texts, _ = read_corpus_texts(data_root / "data" / "emoji" / "valid.tsv.gz", 64)
    assert len(texts) == 15_000
    ids, _, _ = SentenceTokenizer(load_vocabulary(VOCABULARY), 30).tokenize_sentences(texts[::15])
    expected = OnnxModel(serialize(WEIGHTS))(ids)
    assert_close(expected[::10], torchmoji_emojis(WEIGHTS)(ids[::10]))
    assert (OnnxModel(default_int8)(ids).argmax(1) == expected.argmax(1)).mean() >= 0.99


def test_stored_int8_rows_are_not_rounded_again(tmp_path):
    model = made()
    save_quantized(model.state_dict(), tmp_path / "weights.safetensors")
    ids = some_rows()
    np.testing.assert_array_equal(
        OnnxModel(serialize(tmp_path / "weights.safetensors", "int8"), "features")(ids),
        OnnxModel(serialize(model, "int8"), "features")(ids),
    )


# --- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "save", "dtype"),
    [
        ("weights.bin", save_state_dict, torch.float32),
        ("weights.h5", save_state_dict, torch.float32),
        ("weights.safetensors", save_state_dict, torch.bfloat16),
        ("weights.safetensors", save_quantized, torch.float32),
    ],
)
def test_any_weights_file_can_be_exported(tmp_path, name, save, dtype):
    save(made().to(dtype).state_dict(), tmp_path / name)
    export(tmp_path / name, tmp_path / "model.onnx")
    expected = torchmoji_emojis(tmp_path / name)(some_rows())
    assert_close(OnnxModel(tmp_path / "model.onnx")(some_rows()), expected)


def test_vocabulary_and_classes_travel_with_the_file(tmp_path):
    vocabulary = {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "naïve \ud83d": 7, "😂": 9}
    options = {"output": ["attention", "logits"], "vocabulary": vocabulary, "classes": ["a", "b", "é"]}
    export(made(3), tmp_path / "model.onnx", **options)
    model = OnnxModel(tmp_path / "model.onnx")
    assert (set(model.outputs), model.output) == ({"logits", "attention"}, "logits")
    assert (model.vocabulary, model.classes) == (vocabulary, ("a", "b", "é"))
    assert OnnxModel(serialize(made(64))).classes == EMOJIS
    assert (model.nb_tokens, model.nb_classes, model.nb_features) == (NB_TOKENS, 3, 21)


class WithMore(TorchMoji):
    """A model with a layer of its own."""

    def __init__(self):
        super().__init__(3, NB_TOKENS, embedding_dim=5, hidden_size=4)
        self.more = torch.nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (made(), {"quantize": "int4"}, ValueError, "unknown quantize 'int4': use None or 'int8'"),
        (made(), {"output": ["features", "x"]}, ValueError, "output .*'x'.*: use some of probabilities, log"),
        (made(), {"vocabulary": {"a": 30}}, ValueError, "ids from 30 to 30, but the model has 30 tokens"),
        (made(), {"classes": ["a"]}, ValueError, "classes are 1 names, but the model has 4 classes"),
        (made(None, feature_output=True), {"classes": ["a"]}, ValueError, "the model has no classes"),
        (made(None, feature_output=True), {"output": "logits"}, ValueError, "cannot give .*: use features"),
        (torch.nn.Linear(1, 1), {}, TypeError, "TorchMoji or the path of a weights file, got Linear"),
        (WithMore(), {}, ValueError, r"unexpected layers 'more\.weight'"),
        ("none.bin", {}, FileNotFoundError, r"no weights file .*none\.bin"),
    ],
)
def test_what_cannot_be_exported(model, options, error, message, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(error, match=message):
        export(model, tmp_path / "model.onnx", **options)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model.onnx", b"old")]


# --- loading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "options", "error", "message"),
    [
        ("none.onnx", {}, FileNotFoundError, r"no ONNX file .*none\.onnx: check the path"),
        (3, {}, TypeError, "path of an ONNX file or its bytes, got int"),
        (None, {"output": "logits"}, ValueError, "does not give 'logits', only features: export the model"),
        (None, {"return_attention": True}, ValueError, "does not give 'attention', only features: export"),
        (None, {"threads": 0}, ValueError, "threads must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_loaded(file, options, error, message):
    with pytest.raises(error, match=message):
        OnnxModel(serialize(made(), output="features") if file is None else file, **options)


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_file(tmp_path, small, damage, capfd):
    data = small[1]
    contents = {"cut": data[: len(data) // 2], "text": b"<html>", "empty": b""}
    (tmp_path / "model.onnx").write_bytes(contents[damage])
    with pytest.raises(ValueError, match=r"model\.onnx is damaged or no ONNX model .*download it") as info:
        OnnxModel(tmp_path / "model.onnx")
    assert "\n" not in str(info.value)
    assert capfd.readouterr() == ("", "")


def changed(data, change):
    model = onnx.load_model_from_string(data)
    change(model)
    return model.SerializeToString()


def set_metadata(**values):
    def change(model):
        kept = {entry.key: entry.value for entry in model.metadata_props}
        onnx.helper.set_model_props(model, {k: v for k, v in (kept | values).items() if v is not None})

    return change


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nb_tokens": None}, "nb_tokens"),
        ({"quantization": "int3"}, "unknown quantization 'int3'"),
        ({"vocabulary": "[1]"}, "its vocabulary is not an object of word -> id"),
        ({"classes": '["a"]'}, "classes are 1 names, but the model has 4 classes"),
        ({"classes": "[" * 100_000}, "recursion"),
        ({"vocabulary": '{"a": 30}'}, "has ids from 30 to 30, but the model has 30 tokens"),
        ({"nb_tokens": "29"}, "its graph has other nb_tokens, embedding_dim than its metadata say"),
        ({"hidden_size": "5"}, "its graph has other hidden_size than"),
        ({"quantization": "int8"}, "its graph has other quantization than"),
        ({"nb_classes": "5", "classes": None}, "its graph has other nb_classes than"),
        ({"multi_label": "True"}, "Expecting value"),
    ],
)
def test_metadata_that_export_does_not_write(small, values, message):
    data = changed(small[1], set_metadata(**values))
    with pytest.raises(ValueError, match=rf"not a file of torchmoji\.onnx\.export \(.*{message}"):
        OnnxModel(data)


def test_a_graph_of_something_else():
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "other", [x], [y])
    options = {"opset_imports": [onnx.helper.make_opsetid("", 17)], "ir_version": 8}
    data = onnx.helper.make_model(graph, **options).SerializeToString()
    with pytest.raises(ValueError, match=r"has the outputs \['y'\], which torchmoji\.onnx\.export does not"):
        OnnxModel(data)


def test_data_outside_the_file_are_not_read(small, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(1000))

    def change(model):
        tensor = next(t for t in model.graph.initializer if t.name == "attention_vector")
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=str(tmp_path / "secret"))

    with pytest.raises(ValueError, match="has data outside the file, for 'attention_vector', which are not"):
        OnnxModel(changed(small[1], change))


def test_data_outside_the_file_are_not_read_by_a_graph_in_a_graph(small):
    def change(model):
        tensor = onnx.TensorProto(name="hidden", data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value="secret")
        constant = onnx.helper.make_node("Constant", [], ["c"])
        constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
        branch = onnx.helper.make_graph([constant], "branch", [], [])
        model.graph.node.add(op_type="If").attribute.add(name="then_branch").g.CopyFrom(branch)

    with pytest.raises(ValueError, match="has data outside the file, for 'hidden'"):
        OnnxModel(changed(small[1], change))


def test_unknown_operators_are_refused(small):
    def change(model):
        node = next(node for node in model.graph.node if node.op_type == "Tanh")
        node.domain = "somewhere.else"
        model.opset_import.add(domain="somewhere.else", version=1)

    with pytest.raises(ValueError, match="has other nodes, which"):
        OnnxModel(changed(small[1], change))


# --- calling ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([[1, 2]], TypeError, "NumPy array, got list; SentenceTokenizer makes them"),
        (np.ones((1, 1)), TypeError, "must be integers, got an array of float64"),
        (np.ones(3, int), ValueError, r"two dimensions \(batch, time\), got \(3,\)"),
        (np.array([[1, NB_TOKENS]]), ValueError, r"token id 30 is outside .* of 30 \(0 to 29\): use the"),
        (np.array([[-1, 3]]), ValueError, "token id -1 is outside the model's vocabulary"),
        (np.array([[2**63]], np.uint64), ValueError, "token id 9223372036854775808 is outside"),
    ],
)
def test_wrong_input(small, ids, error, message):
    with pytest.raises(error, match=message):
        OnnxModel(small[1])(ids)


def test_several_threads_may_call(small):
    model = OnnxModel(small[1], threads=2)
    parts = [np.random.default_rng(n).integers(0, NB_TOKENS, size=(20, 9)) for n in range(16)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(model, parts))
    for part, got in zip(parts, together, strict=True):
        np.testing.assert_allclose(got, model(part), rtol=0, atol=1e-6)


def test_a_copy_by_pickle_needs_no_file(tmp_path):
    export(made(), tmp_path / "model.onnx", vocabulary={"a": 1})
    model = OnnxModel(tmp_path / "model.onnx", "features", return_attention=True, max_rows=2)
    data = pickle.dumps(model)
    (tmp_path / "model.onnx").unlink()
    copy = pickle.loads(data)
    assert (copy.output, copy.return_attention, copy.max_rows) == ("features", True, 2)
    assert copy.vocabulary == {"a": 1}
    for got, expected in zip(copy(some_rows()), model(some_rows()), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_model_works_after_a_fork(tmp_path, small):
    (tmp_path / "model.onnx").write_bytes(small[1])
    code = f"""
import json, os
import numpy as np
from torchmoji.onnx.model import OnnxModel
model = OnnxModel({str(tmp_path / "model.onnx")!r}, threads=2)
ids = np.arange(12).reshape(3, 4)
expected = model(ids)
read, write = os.pipe()
if os.fork() == 0:
    again = model(ids).tobytes()
    del model
    os.write(write, again)
    os._exit(0)
os.wait()
print(json.dumps(os.read(read, 10_000) == expected.tobytes()))
"""
    assert python(code) is True


def test_the_threads_are_those_of_torch(small):
    before = torch.get_num_threads()
    model = OnnxModel(small[1])
    expected = model(some_rows())
    try:
        torch.set_num_threads(1)
        np.testing.assert_allclose(model(some_rows()), expected, rtol=0, atol=1e-6)
        assert model.threads == 1
    finally:
        torch.set_num_threads(before)
    assert OnnxModel(small[1], threads=3).threads == 3


# --- what is imported ---------------------------------------------------------------------------------------


def test_neither_export_nor_call_import_torch(tmp_path):
    save_quantized(made().state_dict(), tmp_path / "weights.safetensors")
    code = f"""
import json, sys
import numpy as np
from torchmoji.onnx.model import OnnxModel, export
export({str(tmp_path / "weights.safetensors")!r}, {str(tmp_path / "model.onnx")!r}, "int8")
shape = OnnxModel({str(tmp_path / "model.onnx")!r})(np.ones((2, 3), np.uint16)).shape
print(json.dumps([shape, [name for name in ("torch", "sklearn") if name in sys.modules]]))
"""
    assert python(code) == [[2, 4], []]


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_extra_says_how_to_install_it(missing, small, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf'needs {missing}, .*pip install "torchmoji\[onnx\]"'):
        serialize(small[0]) if missing == "onnx" else OnnxModel(small[1])


def constant(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def add_node(operator, inputs, **attributes):
    return lambda model: model.graph.node.append(
        onnx.helper.make_node(operator, inputs, [f"more{len(model.graph.node)}"], **attributes)
    )


def loop(model):
    body = onnx.helper.make_graph([], "body", [], [])
    add_node("Loop", ["", ""], body=body)(model)


def function(model):
    body = [onnx.helper.make_node("Loop", ["x"], ["y"])]
    model.functions.append(onnx.helper.make_function("", "Tanh", ["x"], ["y"], body, []))


def declare(model):
    constant(model, "embedding").dims[0] = 10**9


def grow(model):
    for name, shape in (("rows", (10**5, 1)), ("columns", (1, 10**5))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, np.float32), name))
    add_node("Mul", ["rows", "columns"])(model)


def many(model):
    for _ in range(9):
        add_node("Cast", ["embedding"], to=onnx.TensorProto.FLOAT)(model)


def count_to_a_billion(model):
    constant(model, "zero").raw_data = np.int64(-(10**9)).tobytes()


def infinite(model):
    tensor = constant(model, "embedding")
    tensor.raw_data = np.full(tuple(tensor.dims), np.inf, np.float32).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (loop, r"the operators \['Loop'\]"),
        (function, "functions, sparse constants or training steps"),
        (set_metadata(multi_label="true"), "other nodes"),
        (count_to_a_billion, "another number zero"),
        (add_node("ConstantOfShape", ["axis_0"]), r"the operators \['ConstantOfShape'\]"),
        (declare, r"600 bytes for the constant embedding of shape \(1000000000, 5\)"),
        (grow, "other nodes"),
        (many, "other nodes"),
        (add_node("Range", ["zero", "lowest", "zero"]), "other nodes"),
        (add_node("Cast", ["embedding"], to=onnx.TensorProto.STRING), "other nodes"),
        (infinite, "NaN or infinity in the constant embedding"),
    ],
)
def test_graphs_that_loop_or_grow_are_refused(small, change, message):
    with pytest.raises(ValueError, match=f"the ONNX model has {message}, which torchmoji"):
        OnnxModel(changed(small[1], change))


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_mutated_files_are_refused_or_loaded(tmp_path, quantize, capfd):
    export(made(), tmp_path / "model.onnx", quantize, vocabulary={"a": 0, "b": 1}, temperature=2.0)
    ids = np.array([[1, 2, 0]])
    check_mutations(tmp_path / "model.onnx", lambda path: OnnxModel(path)(ids), (ValueError,))
    assert capfd.readouterr() == ("", "")


def test_what_is_nearly_right_is_written_as_it_is_read(tmp_path):
    names, words = np.array([0, 1]), {"a": np.int64(10)}
    model = TorchMoji(2, 50, embedding_dim=4, hidden_size=4)
    content = serialize(model, classes=names, vocabulary=words, multi_label=np.bool_(False), max_length=7)
    read = OnnxModel(content)
    assert (read.classes, read.vocabulary, read.max_length) == (("0", "1"), {"a": 10}, 7)
