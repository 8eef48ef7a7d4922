"""torchmoji.weights.keras: Keras HDF5 files to state dicts and back."""

import sys

import h5py
import numpy as np
import pytest
import torch
from support.weights import make_weights

from torchmoji.weights.keras import read_keras_weights, write_keras_weights
from torchmoji.weights.layers import ModelSizes, model_sizes


def keras_arrays(tokens=6, embedding=3, hidden=2, outputs=4):
    """The layers of a Keras model with random arrays, written out as DeepMoji defines them."""
    random = np.random.default_rng(5)

    def array(*shape):
        return random.standard_normal(shape).astype("float32")

    def lstm(inputs):
        direction = [(inputs, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,)]
        return [array(*shape) for shape in direction * 2]

    features = 4 * hidden + embedding
    return {
        "input_1": [],
        "embedding": [array(tokens, embedding)],
        "activation_1": [],
        "bi_lstm_0": lstm(embedding),
        "bi_lstm_1": lstm(2 * hidden),
        "concatenate_1": [],
        "attlayer": [array(features, 1)],
        "softmax": [array(features, outputs), array(outputs)],
    }


def write_file(path, layers, encode=np.bytes_, inner="part_{}", nested=False):
    """Write `layers` in the layout of Keras's save_weights (or of its save, with `nested`)."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if nested else file
        root.attrs["layer_names"] = [encode(name) for name in layers]
        for name, arrays in layers.items():
            group = root.create_group(name)
            names = [f"{name}/{inner.format(i)}" for i in range(len(arrays))]
            group.attrs["weight_names"] = [encode(weight) for weight in names]
            for weight, array in zip(names, arrays, strict=True):
                group[weight] = array


def expected_weights(layers):
    """The state dict for `layers`, by SPEC's table of the original weights."""
    weights = {"embed.weight": layers["embedding"][0]}
    for number in (0, 1):
        arrays = layers[f"bi_lstm_{number}"]
        for suffix, (kernel, recurrent, bias) in (("", arrays[:3]), ("_reverse", arrays[3:])):
            weights[f"lstm_{number}.weight_ih_l0{suffix}"] = kernel.T
            weights[f"lstm_{number}.weight_hh_l0{suffix}"] = recurrent.T
            weights[f"lstm_{number}.bias_ih_l0{suffix}"] = bias
            weights[f"lstm_{number}.bias_hh_l0{suffix}"] = np.zeros_like(bias)
    weights["attention_layer.attention_vector"] = layers["attlayer"][0][:, 0]
    if "softmax" in layers:
        weights["output_layer.0.weight"] = layers["softmax"][0].T
        weights["output_layer.0.bias"] = layers["softmax"][1]
    return weights


def assert_holds(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), array, err_msg=name)
        assert found[name].is_contiguous()


# Reading


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"outputs": 0},  # a feature encoder
        {"tokens": 1, "embedding": 1, "hidden": 1, "outputs": 1},
        {"embedding": 8, "hidden": 2},  # every matrix of gates is square
    ],
)
def test_layers_of_any_size_are_mapped(sizes, tmp_path):
    layers = keras_arrays(**sizes)
    if not sizes.get("outputs", 4):
        del layers["softmax"]
    write_file(tmp_path / "weights.hdf5", {**layers, "dropout_3": []})
    assert_holds(read_keras_weights(tmp_path / "weights.hdf5"), expected_weights(layers))


@pytest.mark.parametrize(
    ("encode", "inner", "nested"), [(np.bytes_, "part_{}", False), (str, "forward_lstm_17/{}:0", True)]
)
def test_names_may_be_bytes_or_text_and_vary_inside_a_layer(encode, inner, nested, tmp_path):
    layers = keras_arrays()
    write_file(tmp_path / "weights.hdf5", layers, encode=encode, inner=inner, nested=nested)
    assert_holds(read_keras_weights(tmp_path / "weights.hdf5"), expected_weights(layers))


@pytest.mark.parametrize(
    ("stored", "loaded"), [("<f2", torch.float32), (">f4", torch.float32), (">f8", torch.float64)]
)
def test_floats_of_any_width_and_byte_order(stored, loaded, tmp_path):
    layers = {name: [a.astype(stored) for a in arrays] for name, arrays in keras_arrays().items()}
    write_file(tmp_path / "weights.hdf5", layers)
    weights = read_keras_weights(tmp_path / "weights.hdf5")
    assert {tensor.dtype for tensor in weights.values()} == {loaded}
    assert_holds(weights, expected_weights(layers))


# Files that are refused


def array_of(layer, position, shape, dtype="float32"):
    """Puts an array of zeros in place of one of a layer."""
    return lambda layers: layers[layer].__setitem__(position, np.zeros(shape, dtype))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: layers.clear(), "missing layers 'embedding', .*; found none"),
        (lambda layers: layers.pop("bi_lstm_0"), "missing layers 'bi_lstm_0'; found '"),
        (lambda layers: layers.update(dense=layers["softmax"]), "unexpected layers 'dense'; expected only '"),
        (lambda layers: layers["bi_lstm_1"].pop(), "layer bi_lstm_1: found 5 arrays, expected 6: .*kernel"),
        (
            array_of("embedding", 0, (6, 4)),
            r"layer bi_lstm_0 \(forward.*/kernel\): found shape \(3, 8\), expected \(4, 8\)",
        ),
        (array_of("bi_lstm_0", 0, (8, 3)), r"/kernel\): found shape \(8, 3\), expected \(3, 8\)"),
        (array_of("attlayer", 0, (11, 2)), r"layer attlayer .*: found shape \(11, 2\), expected \(11, 1\)"),
        (array_of("embedding", 0, (6, 3), "int32"), "layer embedding: found no array of floats under 'embed"),
    ],
)
def test_layers_that_do_not_fit(change, message, tmp_path):
    layers = keras_arrays()
    change(layers)
    write_file(tmp_path / "weights.hdf5", layers)
    with pytest.raises(ValueError, match=rf"weights\.hdf5 is not a sound Keras file .*{message}"):
        read_keras_weights(tmp_path / "weights.hdf5")


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("softmax/softmax/part_1", "layer softmax: found no array of floats under 'softmax/part_1'"),
        ("attlayer", "layer attlayer: found no group with an attribute 'weight_names'"),
        (None, "no attribute 'layer_names', expected the layout of Keras 2's save_weights"),
    ],
)
def test_a_file_that_lacks_what_it_names(removed, message, tmp_path):
    write_file(tmp_path / "weights.hdf5", keras_arrays())
    with h5py.File(tmp_path / "weights.hdf5", "a") as file:
        if removed:
            del file[removed]
        else:
            del file.attrs["layer_names"]
    with pytest.raises(ValueError, match=rf"weights\.hdf5 is not a sound Keras file .*{message}"):
        read_keras_weights(tmp_path / "weights.hdf5")


def test_no_hdf5_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no Keras weights file .*none\.hdf5"):
        read_keras_weights(tmp_path / "none.hdf5")
    (tmp_path / "weights.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90))
    with pytest.raises(ValueError, match="is not a sound Keras file"):
        read_keras_weights(tmp_path / "weights.hdf5")


def test_without_h5py_the_message_names_the_extra(tmp_path, monkeypatch):
    write_file(tmp_path / "weights.hdf5", keras_arrays())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[keras\]"'):
        read_keras_weights(tmp_path / "weights.hdf5")
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[keras\]"'):
        write_keras_weights(make_weights(), tmp_path / "new.hdf5")


# Writing


@pytest.mark.parametrize("outputs", [0, 4])
def test_written_arrays_are_those_of_keras(outputs, tmp_path):
    layers = keras_arrays(outputs=outputs)
    if not outputs:  # a feature encoder
        del layers["softmax"]
    weights = {name: torch.from_numpy(array.copy()) for name, array in expected_weights(layers).items()}
    write_keras_weights(weights, tmp_path / "weights.hdf5")
    with h5py.File(tmp_path / "weights.hdf5") as file:
        assert [name.decode() for name in file.attrs["layer_names"]] == list(layers)
        assert outputs or "softmax" not in file
        for layer, arrays in layers.items():
            names = [name.decode() for name in file[layer].attrs["weight_names"]]
            assert len(names) == len(arrays)
            for name, array in zip(names, arrays, strict=True):
                assert file[layer][name].dtype == "<f4"
                np.testing.assert_array_equal(file[layer][name], array, err_msg=name)


@pytest.mark.parametrize(
    ("dtype", "stored"), [(torch.bfloat16, "<f4"), (torch.float16, "<f4"), (torch.float64, "<f8")]
)
def test_written_precision(dtype, stored, tmp_path):
    weights = {name: torch.nn.Parameter(tensor) for name, tensor in make_weights(dtype=dtype).items()}
    write_keras_weights(weights, tmp_path / "weights.hdf5")
    with h5py.File(tmp_path / "weights.hdf5") as file:
        array = file["embedding/embedding/embeddings"]
        assert array.dtype == stored
        np.testing.assert_array_equal(array, weights["embed.weight"].detach().double().numpy())


# Files that Keras wrote


@pytest.mark.parametrize(("name", "outputs"), [("deepmoji_tiny", 64), ("deepmoji_tiny_binary", 1)])
def test_file_of_keras_comes_back_as_it_was(name, outputs, data_root, tmp_path):
    path = data_root / "golden" / f"{name}.hdf5"
    weights = read_keras_weights(path)
    assert model_sizes(weights) == ModelSizes(50, 8, 16, outputs)
    write_keras_weights(weights, tmp_path / "weights.hdf5")
    names = []
    for written in (path, tmp_path / "weights.hdf5"):
        found = []
        with h5py.File(written) as file:
            file.visit(found.append)
        names.append(found)
    if outputs == 64:  # in the other file Keras counted on from earlier layers
        assert names[0] == names[1]
    with h5py.File(path) as keras, h5py.File(tmp_path / "weights.hdf5") as ours:
        for attribute in ("backend", "keras_version"):
            assert ours.attrs[attribute] == keras.attrs[attribute]
        assert ours.attrs["layer_names"].dtype == keras.attrs["layer_names"].dtype
        for our_layer, layer in zip(ours.attrs["layer_names"], keras.attrs["layer_names"], strict=True):
            our_names, names = ours[our_layer].attrs["weight_names"], keras[layer].attrs["weight_names"]
            assert our_names.dtype == names.dtype
            for our_name, weight in zip(our_names, names, strict=True):
                assert ours[our_layer][our_name].dtype == keras[layer][weight].dtype
                np.testing.assert_array_equal(ours[our_layer][our_name], keras[layer][weight])


def in_other_bytes(group, secret):
    shape = group["embeddings"].shape
    del group["embeddings"]
    group.create_dataset("embeddings", shape, "f4", external=[(secret.with_suffix(".raw"), 0, 84)])


def virtual(group, secret):
    layout = h5py.VirtualLayout(group["embeddings"].shape, "f4")
    layout[:] = h5py.VirtualSource(str(secret), "/numbers", layout.shape)
    del group["embeddings"]
    group.create_virtual_dataset("embeddings", layout)


def linked(link):
    def change(group, secret):
        group.move("embeddings", "other")
        group["embeddings"] = link(secret)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_other_bytes, "is stored in other files"),
        (virtual, "is stored in other files"),
        (linked(lambda secret: h5py.ExternalLink(str(secret), "/numbers")), "is a link"),
        (linked(lambda secret: h5py.SoftLink("/embedding/embedding/other")), "is a link"),
    ],
)
def test_nothing_is_read_from_elsewhere(tmp_path, change, message):
    secret, path = tmp_path / "secret.h5", tmp_path / "weights.h5"
    secret.with_suffix(".raw").write_bytes(b"\x3f" * 84)
    with h5py.File(secret, "w") as file:
        file["numbers"] = np.ones((7, 3), "f4")
    write_keras_weights(make_weights(), path)
    with h5py.File(path, "r+") as file:
        change(file["embedding/embedding"], secret)
    with pytest.raises(ValueError, match=rf"weights\.h5 .*{message}.*save the weights again$"):
        read_keras_weights(path)


def test_names_stand_in_a_list_once(tmp_path):
    path = tmp_path / "weights.h5"
    for names, message in (([b"embedding"] * 2, "a name twice"), ([b"x"] * 101, "more than 100 names")):
        write_keras_weights(make_weights(), path)
        with h5py.File(path, "r+") as file:
            file.attrs["layer_names"] = names
        with pytest.raises(ValueError, match=f"layer_names .*{message}"):
            read_keras_weights(path)


def test_one_array_that_stands_for_many_is_refused(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"l0", b"l1"]
        first = file.create_group("l0").create_dataset("w0", data=np.zeros(10_000, "f4"))
        file["l0"].attrs["weight_names"] = [b"w0"]
        names = [b"w%d" % number for number in range(10)]
        file.create_group("l1").attrs["weight_names"] = names
        for name in names:
            file["l1"][name] = first
    with pytest.raises(ValueError, match="its arrays up to those of layer l1 are larger than the file"):
        read_keras_weights(path)
