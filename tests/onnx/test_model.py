"""The ONNX engine: its files, and its results beside those of torch."""

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from support.onnx_models import NB_TOKENS, made, outputs_of_torch, some_rows
from support.python import python

import torchmoji.onnx.model
from torchmoji.corpus.reading import read_corpus_texts
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS, EXAMPLE_TEXTS
from torchmoji.global_variables import default_model_directory
from torchmoji.model_def import TorchMoji, torchmoji_emojis, torchmoji_feature_encoding
from torchmoji.onnx.model import OnnxModel, export, serialize
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights.formats import save_quantized, save_state_dict

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

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
    expected = dict(
        zip(["probabilities", "features", "attention"], outputs_of_torch(model, some_rows()), strict=True)
    )
    assert_close(OnnxModel(data, output)(some_rows()), expected[output])


@pytest.mark.parametrize("name", ["deepmoji_tiny", "deepmoji_tiny_binary"])
def test_what_keras_computed_is_met(data_root, name):
    pytest.importorskip("h5py")
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


def test_padding_in_between_changes_nothing_but_the_places_of_attention(small):
    model = OnnxModel(small[1], return_attention=True)
    output, attention = model(np.array([[0, 7, 0, 0, 3, 9, 0]]))
    alone, weights = model(np.array([[7, 3, 9]]))
    np.testing.assert_allclose(output, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose(attention[0, [1, 4, 5]], weights[0], rtol=0, atol=1e-6)
    assert not attention[0, [0, 2, 3, 6]].any()


@pytest.mark.parametrize("shape", [(0, 5), (0, 0), (3, 0)])
@pytest.mark.parametrize("output", ["probabilities", "features", "attention"])
def test_an_empty_array(small, shape, output):
    model, data = small
    expected = dict(
        zip(["probabilities", "features"], outputs_of_torch(model, np.zeros((1, 1), int)), strict=False)
    )
    got = OnnxModel(data, output)(np.zeros(shape, np.uint16))
    columns = shape[1] if output == "attention" else expected[output].shape[1]
    assert got.shape == (shape[0], columns)
    if output != "attention":
        assert_close(got, np.repeat(expected[output], shape[0], axis=0), 1e-6)


def test_one_column_of_padding(small):
    expected, _, _ = outputs_of_torch(small[0], np.zeros((2, 1), int))
    assert_close(OnnxModel(small[1])(np.zeros((2, 1), int)), expected)


@pytest.mark.parametrize("max_rows", [1, 3, 100])
def test_batches_do_not_show(small, max_rows):
    ids = np.random.default_rng(5).integers(0, NB_TOKENS, size=(50, 40))
    for row, length in enumerate(np.random.default_rng(6).integers(0, 41, size=50)):
        ids[row, length:] = 0
    probabilities, _, attention = outputs_of_torch(small[0], ids)
    got, weights = OnnxModel(small[1], return_attention=True, max_rows=max_rows, max_tokens=64)(ids)
    assert_close(got, probabilities)
    assert_close(weights, attention)


def test_long_rows(small):
    ids = np.random.default_rng(2).integers(1, NB_TOKENS, size=(3, 512))
    assert_close(OnnxModel(small[1], "features")(ids), outputs_of_torch(small[0], ids)[1])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", ">i4", "uint64", "int64"])
def test_integers_of_any_type(small, dtype):
    model = OnnxModel(small[1])
    np.testing.assert_array_equal(model(some_rows().astype(dtype)), model(some_rows()))


def test_the_array_is_left_alone_and_may_be_a_view(small):
    model = OnnxModel(small[1])
    ids = some_rows()
    ids.flags.writeable = False
    np.testing.assert_array_equal(model(ids[::-1, ::2]), model(ids[::-1, ::2].copy()))


@pytest.mark.parametrize("nb_classes", [1, 2])
def test_a_model_with_one_output(nb_classes):
    model = made(nb_classes)
    loaded = OnnxModel(serialize(model))
    assert loaded.nb_classes == nb_classes
    assert_close(loaded(some_rows()), outputs_of_torch(model, some_rows())[0])


def test_a_model_without_output_layer():
    model = made(None, feature_output=True)
    loaded = OnnxModel(serialize(model))
    assert (loaded.outputs, loaded.nb_classes, loaded.classes) == (("features", "attention"), None, None)
    assert_close(loaded(some_rows()), model(some_rows()))


def test_a_model_made_for_logits_gives_them():
    model = made(3, output_logits=True)
    loaded = OnnxModel(serialize(model))
    assert loaded.outputs == ("logits", "features", "attention")
    assert_close(loaded(some_rows()), model(some_rows()), 1e-4)


def test_a_model_in_double_precision_becomes_float32():
    expected, _, _ = outputs_of_torch(made(), some_rows())
    assert_close(OnnxModel(serialize(made().double()))(some_rows()), expected)


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
    assert got.argmax(1).tolist() == expected.argmax(1).tolist()
    assert_close(OnnxModel(default_int8, "features")(ids), torchmoji_feature_encoding(WEIGHTS)(ids), 0.05)


def test_first_guesses_of_int8_agree_on_real_texts(default_int8, data_root):
    """Beside float32 of the same engine, which is quicker than torch and checked against it on a part."""
    texts, _ = read_corpus_texts(data_root / "data" / "emoji" / "valid.tsv.gz", 64)
    assert len(texts) == 15_000
    ids, _, _ = SentenceTokenizer(load_vocabulary(VOCABULARY), 30).tokenize_sentences(texts[::3])
    expected = OnnxModel(serialize(WEIGHTS))(ids)
    assert_close(expected[::50], torchmoji_emojis(WEIGHTS)(ids[::50]))
    assert (OnnxModel(default_int8)(ids).argmax(1) == expected.argmax(1)).mean() >= 0.99


def test_stored_int8_rows_are_not_rounded_again(tmp_path):
    model = made()
    save_quantized(model.state_dict(), tmp_path / "weights.safetensors")
    ids = some_rows()
    np.testing.assert_array_equal(
        OnnxModel(serialize(tmp_path / "weights.safetensors", "int8"), "features")(ids),
        OnnxModel(serialize(model, "int8"), "features")(ids),
    )


def test_float32_from_stored_int8_rows_is_what_torch_reads(tmp_path):
    save_quantized(made().state_dict(), tmp_path / "weights.safetensors")
    expected = torchmoji_emojis(tmp_path / "weights.safetensors")(some_rows())
    assert_close(OnnxModel(serialize(tmp_path / "weights.safetensors"))(some_rows()), expected)


def test_int8_takes_a_quarter(default_int8):
    assert len(default_int8) < 24e6


# --- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".bin", ".safetensors", ".h5"])
def test_any_weights_file_can_be_exported(tmp_path, small, ending):
    if ending == ".h5":
        pytest.importorskip("h5py")
    save_state_dict(small[0].state_dict(), tmp_path / f"weights{ending}")
    export(tmp_path / f"weights{ending}", tmp_path / "model.onnx")
    np.testing.assert_allclose(
        OnnxModel(tmp_path / "model.onnx")(some_rows()), OnnxModel(small[1])(some_rows()), rtol=0, atol=1e-6
    )


def test_half_precision_can_be_exported(tmp_path):
    model = made().to(torch.bfloat16)
    save_state_dict(model.state_dict(), tmp_path / "weights.safetensors")
    expected = model.float()(some_rows())
    assert_close(OnnxModel(serialize(tmp_path / "weights.safetensors"))(some_rows()), expected)


def test_vocabulary_and_classes_travel_with_the_file(tmp_path):
    vocabulary = {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "naïve \ud83d": 7, "😂": 9}
    export(made(3), tmp_path / "model.onnx", vocabulary=vocabulary, classes=["a", "b", "é"])
    model = OnnxModel(tmp_path / "model.onnx")
    assert model.vocabulary == vocabulary
    assert model.classes == ("a", "b", "é")
    assert (model.nb_tokens, model.nb_classes, model.nb_features) == (NB_TOKENS, 3, 21)


def test_sixty_four_outputs_are_the_emojis():
    assert OnnxModel(serialize(made(64))).classes == EMOJIS


def test_by_default_a_file_has_neither_vocabulary_nor_classes(small):
    model = OnnxModel(small[1])
    assert (model.vocabulary, model.classes) == (None, None)


def test_two_classes_of_one_output_have_two_names():
    assert OnnxModel(serialize(made(2), classes=["no", "yes"])).classes == ("no", "yes")


@pytest.mark.parametrize("output", ["features", ["attention"], ["logits", "attention"]])
def test_outputs_by_choice(output):
    names = (output,) if isinstance(output, str) else tuple(output)
    loaded = OnnxModel(serialize(made(), output=output))
    assert loaded.outputs == names
    assert loaded.output == names[0]


def test_a_failed_export_leaves_the_old_file(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(ValueError, match="unknown output"):
        export(made(), tmp_path / "model.onnx", output="emojis")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model.onnx", b"old")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int4"}, "unknown quantize 'int4': use None or 'int8'"),
        ({"output": ["features", "x"]}, "unknown output .*'x'.*: use some of probabilities, logits"),
        ({"output": []}, "unknown output"),
        (
            {"vocabulary": {"a": NB_TOKENS}},
            f"ids from {NB_TOKENS} to {NB_TOKENS}, but the model has {NB_TOKENS} tokens",
        ),
        ({"vocabulary": {"a": -1}}, "use the vocabulary that belongs to the weights"),
        ({"classes": ["a"]}, "classes are 1 names, but the model has 4 classes"),
        ({"classes": "abcd"}, "classes are"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        serialize(made(), **options)


@pytest.mark.parametrize("output", ["probabilities", "logits"])
def test_an_output_that_the_model_lacks(output):
    with pytest.raises(ValueError, match=r"no output layer, so it cannot give .*: use features or attention"):
        serialize(made(None, feature_output=True), output=output)


def test_classes_of_a_model_without_output_layer():
    with pytest.raises(ValueError, match="the model has no classes"):
        serialize(made(None, feature_output=True), classes=["a"])


def test_something_else_than_a_model():
    with pytest.raises(TypeError, match="TorchMoji or the path of a weights file, got Linear"):
        serialize(torch.nn.Linear(1, 1))


def test_layers_of_a_subclass_are_refused():
    class More(TorchMoji):
        pass

    model = More(3, NB_TOKENS, embedding_dim=5, hidden_size=4)
    model.more = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"unexpected layers 'more\.weight'"):
        serialize(model)


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights file .*none\.bin"):
        serialize(tmp_path / "none.bin")


def test_weights_that_are_not_finite():
    model = made()
    with torch.no_grad():
        model.lstm_1.weight_hh_l0[0, 0] = float("nan")
    with pytest.raises(ValueError, match="only finite weights can be stored as int8"):
        serialize(model, "int8")


# --- loading ------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no ONNX file .*none\.onnx: check the path"):
        OnnxModel(tmp_path / "none.onnx")


def test_something_else_than_a_file():
    with pytest.raises(TypeError, match="path of an ONNX file or its bytes, got int"):
        OnnxModel(3)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "zeros"])
def test_a_damaged_file(tmp_path, small, damage, capfd):
    data = small[1]
    contents = {"cut": data[: len(data) // 2], "text": b"<html>", "empty": b"", "zeros": bytes(100)}
    (tmp_path / "model.onnx").write_bytes(contents[damage])
    with pytest.raises(
        ValueError, match=r"model\.onnx is damaged or no ONNX model .*download it again"
    ) as info:
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
        ({"nb_tokens": "many"}, "many"),
        ({"quantization": "int3"}, "unknown quantization 'int3'"),
        ({"vocabulary": "[1]"}, "its vocabulary is not an object of word -> id"),
        ({"vocabulary": '{"a": "b"}'}, "its vocabulary is not an object of word -> id"),
        ({"vocabulary": "{"}, "Expecting"),
        ({"classes": '["a"]'}, "its classes are not a list of 4 names"),
        ({"classes": "[1, 2, 3, 4]"}, "its classes are not a list of 4 names"),
    ],
)
def test_metadata_that_export_does_not_write(small, values, message):
    data = changed(small[1], set_metadata(**values))
    with pytest.raises(ValueError, match=rf"not a file of torchmoji\.onnx\.export \(.*{message}"):
        OnnxModel(data)


def test_a_graph_of_something_else():
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])],
        "other",
        [value("x", onnx.TensorProto.FLOAT, [1])],
        [value("y", onnx.TensorProto.FLOAT, [1])],
    )
    data = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    with pytest.raises(ValueError, match=r"not a file of torchmoji\.onnx\.export \(it has inputs"):
        OnnxModel(data)


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_data_outside_the_file_are_not_read(small, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    location = tmp_path / "secret" if where == "outside" else "secret"
    (tmp_path / "secret").write_bytes(bytes(1000))

    def change(model):
        tensor = next(t for t in model.graph.initializer if t.name == "attention_vector")
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=str(location))

    with pytest.raises(
        ValueError, match="has data outside the file, for 'attention_vector', which are not read"
    ):
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

    with pytest.raises(ValueError, match="damaged or no ONNX model"):
        OnnxModel(changed(small[1], change))


def test_a_wrong_size_in_the_metadata_is_a_clear_error(small):
    model = OnnxModel(changed(small[1], set_metadata(nb_tokens="99")))
    with pytest.raises(ValueError, match="the ONNX model cannot be run"):
        model(np.array([[98]]))


@pytest.mark.parametrize("output", ["logits", "emojis"])
def test_an_output_that_the_file_lacks(small, output):
    with pytest.raises(
        ValueError, match=f"does not give '{output}', only probabilities, features, attention"
    ):
        OnnxModel(small[1], output)


def test_attention_that_the_file_lacks():
    with pytest.raises(ValueError, match="does not give 'attention', only features: export the model with"):
        OnnxModel(serialize(made(), output="features"), return_attention=True)


@pytest.mark.parametrize("option", ["threads", "max_rows", "max_tokens"])
def test_numbers_below_one(small, option):
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        OnnxModel(small[1], **{option: 0})


# --- calling ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([[1, 2]], TypeError, "NumPy array, got list; SentenceTokenizer makes them"),
        (torch.ones(1, 1, dtype=torch.long), TypeError, "NumPy array, got Tensor"),
        (np.ones((1, 1)), TypeError, "must be integers, got an array of float64"),
        (np.ones((1, 1), bool), TypeError, "must be integers, got an array of bool"),
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
    assert (copy.output, copy.return_attention, copy.max_rows, copy.vocabulary) == (
        "features",
        True,
        2,
        {"a": 1},
    )
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
        assert model.threads == 1
        np.testing.assert_allclose(model(some_rows()), expected, rtol=0, atol=1e-6)
        assert model._session[1] == 1
    finally:
        torch.set_num_threads(before)
    assert OnnxModel(small[1], threads=3).threads == 3


def test_repr_names_file_and_output(tmp_path):
    export(made(), tmp_path / "model.onnx", "int8")
    assert repr(OnnxModel(tmp_path / "model.onnx")).endswith("model.onnx: probabilities, quantization int8>")


# --- what is imported ---------------------------------------------------------------------------------------


def test_importing_the_module_imports_no_engine():
    code = """
import json, sys, torchmoji.onnx.model
print(json.dumps([name for name in ("torch", "onnx", "onnxruntime", "sklearn") if name in sys.modules]))
"""
    assert python(code) == []


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
    monkeypatch.setitem(torchmoji.onnx.model.require.__globals__["sys"].modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf'needs {missing}, .*pip install "torchmoji\[onnx\]"'):
        serialize(small[0]) if missing == "onnx" else OnnxModel(small[1])


def test_the_metadata_say_who_made_the_file(small):
    model = onnx.load_model_from_string(small[1])
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert (model.producer_name, model.producer_version) == ("torchmoji", torchmoji.__version__)
    assert about == {
        "multi_label": "false",
        "quantization": "none",
        "nb_tokens": "30",
        "embedding_dim": "5",
        "hidden_size": "4",
        "nb_classes": "4",
    }
    assert json.loads(about["nb_classes"]) == 4
