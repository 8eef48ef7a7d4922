"""torchmoji.weights.formats: every file format read and written, int8 storage, and what is refused."""

import io
import os
import pickle
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save_file

from torchmoji.global_variables import LazyPath
from torchmoji.weights.formats import (
    FILE_ENDINGS,
    LAYERS,
    ModelSizes,
    load_state_dict,
    model_sizes,
    save_quantized,
    save_state_dict,
)
from torchmoji.weights.layers import dimensions

SMALL = ModelSizes(nb_tokens=7, embedding_dim=3, hidden_size=2, nb_outputs=5)
MATRICES = [name for name, names in LAYERS.items() if len(names) == 2]


def make_weights(sizes=SMALL, dtype=torch.float32):
    """Random weights of a model; the second LSTM biases are zero, so that Keras files hold them all."""
    generator = torch.Generator().manual_seed(3)
    lengths = dimensions(sizes)
    return {
        name: torch.randn([lengths[n] for n in names], generator=generator).to(dtype)
        * (0 if "bias_hh" in name else 1)
        for name, names in LAYERS.items()
        if sizes.nb_outputs is not None or not name.startswith("output_layer")
    }


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def write_old_torch(weights, path):
    torch.save(weights, path, _use_new_zipfile_serialization=False)


def write_torch_0_3(weights, path):
    """The bytes that `torch.save` of 2017 wrote for a model on a GPU: names that torch no longer writes."""

    class Storage:
        def __init__(self, key, tensor):
            self.key, self.tensor = key, tensor

    class Tensor:
        def __init__(self, storage):
            self.storage = storage

        def __reduce__(self):
            tensor = self.storage.tensor
            return torch._utils._rebuild_tensor, (self.storage, 0, tuple(tensor.shape), tensor.stride())

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if isinstance(item, Storage):
                return "storage", torch.FloatStorage, item.key, "cuda:0", item.tensor.numel(), None
            return None

    storages = [Storage(str(1000 + i), tensor.contiguous()) for i, tensor in enumerate(weights.values())]
    system = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(header, file, protocol=2)
        Pickler(file, protocol=2).dump(OrderedDict(zip(weights, map(Tensor, storages), strict=True)))
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            file.write(struct.pack("<q", storage.tensor.numel()))
            file.write(storage.tensor.numpy().astype("<f4").tobytes())


WRITERS = {
    "old torch": write_old_torch,
    "torch 0.3": write_torch_0_3,
    "new torch": torch.save,
    "safetensors": save_file,
    "safetensors with int8 rows": lambda weights, path: save_quantized(
        weights, path.with_suffix(".safetensors")
    ),
    "HDF5": lambda weights, path: save_state_dict(weights, path.with_suffix(".hdf5")),
}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """A weights file in each format."""
    path = tmp_path / "weights.bin"
    WRITERS[request.param](make_weights(), path)
    return next(tmp_path.iterdir())


# Reading


@pytest.mark.parametrize("name", [name for name in WRITERS if "int8" not in name])
@pytest.mark.parametrize("nb_outputs", [None, 1, 5])
def test_every_format_gives_the_same_tensors(name, nb_outputs, tmp_path):
    weights = make_weights(ModelSizes(7, 3, 2, nb_outputs))
    WRITERS[name](weights, tmp_path / "weights.bin")
    assert_same(load_state_dict(next(tmp_path.iterdir())), weights)


def test_content_not_ending_decides(tmp_path):
    save_file(make_weights(), tmp_path / "weights.bin")
    torch.save(make_weights(), tmp_path / "weights.safetensors")
    assert_same(load_state_dict(tmp_path / "weights.bin"), make_weights())
    assert_same(load_state_dict(tmp_path / "weights.safetensors"), make_weights())


def test_path_may_be_a_string_or_looked_up_when_used(tmp_path):
    torch.save(make_weights(), tmp_path / "weights.bin")
    assert_same(load_state_dict(str(tmp_path / "weights.bin")), make_weights())
    assert_same(load_state_dict(LazyPath("P", lambda: str(tmp_path / "weights.bin"))), make_weights())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("write", [torch.save, save_file])
def test_half_precision_becomes_float32(dtype, write, tmp_path):
    weights = make_weights(dtype=dtype)
    write(weights, tmp_path / "weights")
    assert_same(load_state_dict(tmp_path / "weights"), {name: t.float() for name, t in weights.items()})


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_double_precision_is_kept(ending, tmp_path):
    weights = make_weights(dtype=torch.float64)
    save_state_dict(weights, tmp_path / f"weights{ending}")
    assert_same(load_state_dict(tmp_path / f"weights{ending}"), weights)


def test_layers_come_in_order_without_history(tmp_path):
    shuffled = {name: torch.nn.Parameter(tensor) for name, tensor in reversed(make_weights().items())}
    torch.save(shuffled, tmp_path / "weights.bin")
    loaded = load_state_dict(tmp_path / "weights.bin")
    assert list(loaded) == list(LAYERS)
    assert not any(tensor.requires_grad for tensor in loaded.values())


@pytest.mark.parametrize("write", [write_old_torch, torch.save])
def test_layers_that_share_memory_come_apart(write, tmp_path):
    weights = make_weights()
    weights["lstm_0.bias_hh_l0"] = weights["lstm_0.bias_ih_l0"]
    weights["lstm_1.bias_hh_l0"] = torch.zeros(1).expand(8)
    write(weights, tmp_path / "weights.bin")
    loaded = load_state_dict(tmp_path / "weights.bin")
    loaded["lstm_0.bias_hh_l0"] += 1
    loaded["lstm_1.bias_hh_l0"][0] = 1
    assert torch.equal(loaded["lstm_0.bias_ih_l0"], weights["lstm_0.bias_ih_l0"])
    assert loaded["lstm_1.bias_hh_l0"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


def test_changing_loaded_weights_leaves_the_file(tmp_path):
    save_file(make_weights(), tmp_path / "weights.safetensors")
    for tensor in load_state_dict(tmp_path / "weights.safetensors").values():
        tensor.zero_()
    assert_same(load_state_dict(tmp_path / "weights.safetensors"), make_weights())


# Files that are refused


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights file .*none\.bin: .*download_weights\.py"):
        load_state_dict(tmp_path / "none.bin")


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"is not a file: .*model\.safetensors"):
        load_state_dict(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html>\n<html><body>Sign in</body></html>" * 20, "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:8cbf\n", "is a Git LFS pointer"),
        (pickle.dumps({"embed.weight": [1.0]}), "is a pickle that torch.save did not write"),
        (b'{"a": {"b": 1}}', r"starts with b'\{"),
        (b"12345678{" + bytes(100), "starts with b'12345678"),
        (b"PK\x03\x04" + bytes(200), "is truncated or damaged"),
        (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\xff" * 50,
            "was not loaded, for it holds a damaged pickle",
        ),
    ],
)
def test_file_of_another_kind(content, message, tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"pytorch_model\.bin {message}.*(again|alone)"):
        load_state_dict(path)


def test_zip_archive_that_torch_did_not_write(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"embed.weight": np.zeros((2, 2))})
    with pytest.raises(ValueError, match=r"weights\.npz is truncated or damaged"):
        load_state_dict(tmp_path / "weights.npz")


@pytest.mark.parametrize("left", [12, 40, 300, 0.5, -1])
def test_truncated_file(written, left):
    content = written.read_bytes()
    written.write_bytes(content[: int(len(content) * left) if isinstance(left, float) else left])
    with pytest.raises(ValueError, match=f"^{written} "):
        load_state_dict(written)


class MakesFile:
    """Unpickled without care, this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", [write_old_torch, torch.save])
def test_code_in_a_torch_file_is_refused_and_not_run(write, tmp_path):
    path = tmp_path / "weights.bin"
    write({**make_weights(), "extra": MakesFile(tmp_path / "made")}, path)
    with pytest.raises(ValueError, match=r"it holds \w+\.mkdir, which could run code: expected"):
        load_state_dict(path)
    assert not (tmp_path / "made").exists()


def test_code_in_a_pickle_is_not_run(tmp_path):
    (tmp_path / "weights.bin").write_bytes(pickle.dumps(MakesFile(tmp_path / "made")))
    with pytest.raises(ValueError, match=r"a pickle that torch\.save did not write"):
        load_state_dict(tmp_path / "weights.bin")
    assert not (tmp_path / "made").exists()


def test_tar_archive_disguised_as_a_torch_file(tmp_path):
    # Its first member's name is what torch's old format starts with.
    name = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".decode("latin-1")
    with tarfile.open(
        tmp_path / "weights.bin", "w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=r"weights\.bin is a tar archive"):
        load_state_dict(tmp_path / "weights.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "holds an object of type Tensor: expected a state dict"),
        (
            {"state_dict": make_weights(), "epoch": 3},
            r"unexpected layers 'state_dict', 'epoch'; .*bare state dict",
        ),
        (
            {f"module.{name}": t for name, t in make_weights().items()},
            "unexpected layers 'module.embed.weight'",
        ),
        (
            {f"model.{name}": t for name, t in make_weights().items()},
            "'model.lstm_0.weight_ih_l0'.* and 15 more",
        ),
        ({}, "missing layers 'embed.weight'.* found none"),
        ({**make_weights(), "embed.weight": 3}, "layer embed.weight: found an object of type int"),
        ({**make_weights(), 7: torch.zeros(3)}, "unexpected layers 7"),
    ],
)
def test_torch_file_of_something_else(content, message, tmp_path):
    torch.save(content, tmp_path / "weights.bin")
    with pytest.raises(ValueError, match=rf"weights\.bin.*{message}"):
        load_state_dict(tmp_path / "weights.bin")


# model_sizes


def test_sizes_of_the_original_weights():
    lstm = {
        f"lstm_{layer}.{name}_l0{direction}": torch.zeros(1).expand(shape)
        for layer, inputs in ((0, 256), (1, 1024))
        for direction in ("", "_reverse")
        for name, shape in (
            ("weight_ih", (2048, inputs)),
            ("weight_hh", (2048, 512)),
            ("bias_ih", (2048,)),
            ("bias_hh", (2048,)),
        )
    }
    weights = {
        "embed.weight": torch.zeros(1).expand(50000, 256),
        **lstm,
        "attention_layer.attention_vector": torch.zeros(2304),
        "output_layer.0.weight": torch.zeros(64, 2304),
        "output_layer.0.bias": torch.zeros(64),
    }
    assert model_sizes(weights) == ModelSizes(50000, 256, 512, 64)


@pytest.mark.parametrize("nb_outputs", [None, 1, 20])
def test_sizes_are_read_from_the_tensors(nb_outputs):
    sizes = ModelSizes(nb_tokens=11, embedding_dim=4, hidden_size=6, nb_outputs=nb_outputs)
    assert model_sizes(make_weights(sizes)) == sizes


@pytest.mark.parametrize("name", LAYERS)
def test_missing_layer(name):
    weights = make_weights()
    del weights[name]
    with pytest.raises(ValueError, match=f"^missing layers '{name}'; found "):
        model_sizes(weights)


def test_surplus_layer():
    weights = {**make_weights(), "lstm_2.weight_ih_l0": torch.zeros(8, 4)}
    with pytest.raises(ValueError, match=r"^unexpected layers 'lstm_2\.weight_ih_l0'; expected only 'embed"):
        model_sizes(weights)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "embed.weight"])
def test_misshapen_layer(name):
    weights = make_weights()
    weights[name] = torch.zeros(weights[name].shape[0] + 1, *weights[name].shape[1:])
    blamed = "output_layer.0.bias" if name == "output_layer.0.weight" else name
    with pytest.raises(
        ValueError, match=rf"^layer {blamed}: found shape \(\d+.*\), expected \(\d+.*\), that is"
    ):
        model_sizes(weights)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_with_the_wrong_number_of_dimensions(name):
    weights = make_weights()
    weights[name] = weights[name][None]
    with pytest.raises(
        ValueError, match=rf"^layer {name}: found shape \(1, .*\), expected \([a-z]+,? ?[a-z]*\)"
    ):
        model_sizes(weights)


def test_embedding_of_another_width_is_named_against_the_lstm():
    weights = {**make_weights(), "embed.weight": torch.zeros(7, 4)}
    with pytest.raises(
        ValueError, match=r"layer lstm_0\.weight_ih_l0: found shape \(8, 3\), expected \(8, 4\)"
    ):
        model_sizes(weights)


def test_empty_layer():
    with pytest.raises(ValueError, match=r"layer embed\.weight: found shape \(0, 3\)"):
        model_sizes({**make_weights(), "embed.weight": torch.zeros(0, 3)})


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(7, 3, dtype=torch.int64),
        torch.zeros(7, 3, dtype=torch.complex64),
        torch.zeros(7, 3).to_sparse(),
        torch.zeros(7, 3, device="meta"),
    ],
)
def test_layer_that_is_no_dense_float_tensor(tensor):
    with pytest.raises(
        ValueError, match=r"layer embed\.weight: found torch\.s.* expected a dense tensor of float"
    ):
        model_sizes({**make_weights(), "embed.weight": tensor})


# save_state_dict


@pytest.mark.parametrize("ending", [*FILE_ENDINGS, ".H5"])
def test_written_file_has_the_format_of_its_ending(ending, tmp_path):
    path = tmp_path / f"weights{ending}"
    save_state_dict(make_weights(), path)
    start = {".bin": b"PK", ".pt": b"PK", ".pth": b"PK", ".hdf5": b"\x89HDF", ".h5": b"\x89HDF"}
    content = path.read_bytes()
    if ending == ".safetensors":
        assert content[8:9] == b"{"
    else:
        assert content.startswith(start[ending.lower()])
    assert_same(load_state_dict(path), make_weights())


@pytest.mark.parametrize("name", ["weights", "weights.npz", "weights.bin.gz"])
def test_unknown_ending(name, tmp_path):
    with pytest.raises(ValueError, match=r"unknown file ending .* use one of \.bin, \.pt, .*\.h5"):
        save_state_dict(make_weights(), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_wrong_weights_are_not_written(ending, tmp_path):
    with pytest.raises(ValueError, match="unexpected layers 'other'"):
        save_state_dict({**make_weights(), "other": torch.zeros(2)}, tmp_path / f"weights{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".bin", ".safetensors"])
def test_views_parameters_and_shared_memory_are_written_alone(ending, tmp_path):
    weights = make_weights()
    large = torch.zeros(100_000, 3)
    large[:7] = weights["embed.weight"]
    shared = {**weights, "embed.weight": torch.nn.Parameter(large)[:7], "lstm_0.bias_ih_l0": torch.ones(8)}
    shared["lstm_0.bias_ih_l0_reverse"] = shared["lstm_0.bias_ih_l0"]
    shared["lstm_1.weight_hh_l0"] = weights["lstm_1.weight_hh_l0"].T.contiguous().T
    path = tmp_path / f"weights{ending}"
    save_state_dict(shared, path)
    assert path.stat().st_size < 30_000
    assert_same(load_state_dict(path), {name: tensor.detach() for name, tensor in shared.items()})


@pytest.mark.parametrize(
    ("ending", "broken"),
    [
        (".bin", "torch.save"),
        (".safetensors", "torchmoji.weights.formats.save_file"),
        (".h5", "h5py.Group.create_group"),
    ],
)
def test_failure_leaves_the_old_file(ending, broken, tmp_path, monkeypatch):
    path = tmp_path / f"weights{ending}"
    path.write_text("old")

    def fail(first, *arguments, **options):
        if arguments and isinstance(arguments[0], Path):
            arguments[0].write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(broken, fail)
    with pytest.raises(KeyboardInterrupt):
        save_state_dict(make_weights(), path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


# save_quantized


def test_int8_rows_are_no_further_than_half_a_step(tmp_path):
    weights = make_weights(ModelSizes(40, 9, 6, 11))
    save_quantized(weights, tmp_path / "weights.safetensors")
    loaded = load_state_dict(tmp_path / "weights.safetensors")
    for name in MATRICES:
        step = weights[name].abs().amax(dim=1, keepdim=True) / 127
        assert ((loaded[name] - weights[name]).abs() <= step * 0.5001).all(), name
        assert not torch.equal(loaded[name], weights[name])
    vectors = [name for name in LAYERS if name not in MATRICES]
    assert_same({n: loaded[n] for n in vectors}, {n: weights[n] for n in vectors})


def test_rounding_is_symmetric_and_to_the_nearest_even(tmp_path):
    weights = make_weights()
    weights["embed.weight"][0] = torch.tensor([127.0, 0.5, -0.5])
    weights["embed.weight"][1] = torch.tensor([1.5, -2.5, -127.0])
    weights["embed.weight"][2] = 0
    weights["embed.weight"][3] = torch.tensor([1e-45, 0.0, 0.0])
    save_quantized(weights, tmp_path / "weights.safetensors")
    rows = load_state_dict(tmp_path / "weights.safetensors")["embed.weight"]
    assert rows[:4].tolist() == [[127, 0, 0], [2, -2, -127], [0, 0, 0], [0, 0, 0]]


def test_int8_file_holds_rows_scales_and_its_header(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_quantized(make_weights(), path, {"trained_on": "tweets", "format": "other"})
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "quantization": "int8 rows", "trained_on": "tweets"}
        assert sorted(file.keys()) == sorted([*LAYERS, *(f"{name}.scale" for name in MATRICES)])
        for name in MATRICES:
            assert file.get_tensor(name).dtype == torch.int8
            assert file.get_tensor(f"{name}.scale").shape == file.get_tensor(name).shape[:1]


def test_int8_file_at_the_original_sizes_is_below_22_9_megabytes(tmp_path):
    lengths = dimensions(ModelSizes(50000, 256, 512, 64))
    weights = {name: torch.zeros(1).expand([lengths[n] for n in names]) for name, names in LAYERS.items()}
    save_quantized(weights, tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_size < 22_900_000


def test_int8_without_output_layer_and_from_double_precision(tmp_path):
    weights = make_weights(ModelSizes(7, 3, 2, None), dtype=torch.float64)
    save_quantized(weights, tmp_path / "weights.safetensors")
    loaded = load_state_dict(tmp_path / "weights.safetensors")
    assert list(loaded) == list(weights)
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}


def test_int8_refuses_other_endings(tmp_path):
    with pytest.raises(
        ValueError, match=r"unknown file ending '\.bin'.* int8 weights are written as \.safetensors"
    ):
        save_quantized(make_weights(), tmp_path / "weights.bin")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["output_layer.0.bias", "embed.weight"])
def test_int8_refuses_weights_that_are_not_finite(value, name, tmp_path):
    weights = make_weights()
    weights[name][-1] = value
    with pytest.raises(ValueError, match=f"layer {name} holds NaN or infinity"):
        save_quantized(weights, tmp_path / "weights.safetensors")
    assert not list(tmp_path.iterdir())


def test_int8_refuses_weights_of_another_model(tmp_path):
    with pytest.raises(ValueError, match=r"missing layers 'embed\.weight'"):
        save_quantized({}, tmp_path / "weights.safetensors")


def test_int8_refuses_metadata_other_than_strings(tmp_path):
    with pytest.raises(TypeError, match=r"metadata has to be strings only, found \{'epochs': 3\}"):
        save_quantized(make_weights(), tmp_path / "weights.safetensors", {"epochs": 3})


def stored_int8(tmp_path):
    """The tensors of an int8 file as they are stored."""
    save_quantized(make_weights(), tmp_path / "whole.safetensors")
    with safetensors.safe_open(tmp_path / "whole.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed.weight.scale": None}, r"layer embed\.weight\.scale: found nothing, expected 7 floats"),
        ({"embed.weight.scale": torch.ones(6)}, r"found torch\.float32 of shape \(6,\), expected 7 floats"),
        (
            {"embed.weight.scale": torch.ones(7).int()},
            r"found torch\.int32 of shape \(7,\), expected 7 floats",
        ),
        ({"embed.weight": torch.ones(7, 3)}, r"unexpected layers 'embed\.weight\.scale'"),
        ({"other.scale": torch.ones(3)}, r"unexpected layers 'other\.scale'"),
        (
            {"lstm_0.bias_hh_l0": torch.ones(8).char()},
            r"layer lstm_0\.bias_hh_l0: found torch\.strided torch\.int8",
        ),
        ({"embed.weight": torch.tensor(3).char()}, r"unexpected layers 'embed\.weight\.scale'"),
    ],
)
def test_int8_file_with_wrong_scales(change, message, tmp_path):
    stored = {**stored_int8(tmp_path), **change}
    path = tmp_path / "weights.safetensors"
    kept = {name: tensor for name, tensor in stored.items() if tensor is not None}
    save_file(kept, path, metadata={"quantization": "int8 rows"})
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        load_state_dict(path)


def test_unknown_quantization(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(stored_int8(tmp_path), path, metadata={"quantization": "int4 blocks"})
    with pytest.raises(ValueError, match=r"has the quantization 'int4 blocks', expected 'int8 rows'.*update"):
        load_state_dict(path)


def test_int8_without_its_header(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(stored_int8(tmp_path), path)
    with pytest.raises(ValueError, match=r"unexpected layers 'embed\.weight\.scale'"):
        load_state_dict(path)
