"""`torchmoji.weights.formats`: every format read and written, int8, and what is refused."""

import io
import json
import os
import pickle
import re
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file
from support.hostile import check_mutations, run_with_memory
from support.python import python
from support.weights import assert_same, make_weights

from torchmoji.model_def import load_model
from torchmoji.weights.folder import save
from torchmoji.weights.formats import FILE_ENDINGS, load_state_dict, rewrite, save_quantized, save_state_dict
from torchmoji.weights.layers import LAYERS, Int8Rows, ModelSizes, _check_finite, as_float, read_layers

MATRICES = [name for name, names in LAYERS.items() if len(names) == 2]


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
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
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
@pytest.mark.parametrize("nb_outputs", [None, 5])
def test_every_format_gives_the_same_tensors(name, nb_outputs, tmp_path):
    weights = make_weights(ModelSizes(7, 3, 2, nb_outputs))
    WRITERS[name](weights, tmp_path / "weights.bin")
    assert_same(load_state_dict(next(tmp_path.iterdir())), weights)


def test_content_not_ending_decides_and_the_order_is_that_of_the_table(tmp_path):
    shuffled = {name: torch.nn.Parameter(tensor) for name, tensor in reversed(make_weights().items())}
    torch.save(shuffled, tmp_path / "weights.safetensors")
    assert_same(load_state_dict(str(tmp_path / "weights.safetensors")), make_weights())
    with pytest.raises(FileNotFoundError, match=r"no weights file .*model\.safetensors"):
        load_state_dict(tmp_path)


@pytest.mark.parametrize("ending", [*FILE_ENDINGS, ".H5"])
def test_a_file_has_the_format_of_its_ending_and_double_precision_stays(ending, tmp_path):
    path = tmp_path / f"weights{ending}"
    weights = make_weights(dtype=torch.float64)
    save_state_dict(weights, path)
    starts = {".safetensors": rb".{8}\{", ".hdf5": b"\x89HDF", ".h5": b"\x89HDF"}
    assert re.match(starts.get(ending.lower(), b"PK"), path.read_bytes(), re.DOTALL)
    assert_same(load_state_dict(path), weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("write", [torch.save, save_file])
def test_half_precision_becomes_float32(dtype, write, tmp_path):
    weights = make_weights(dtype=dtype)
    write(weights, tmp_path / "weights")
    assert_same(load_state_dict(tmp_path / "weights"), {name: t.float() for name, t in weights.items()})


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


# Files that are refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html>\n<html><body>Sign in</body></html>" * 20, "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:8cbf\n", "is a Git LFS pointer"),
        (pickle.dumps({"embed.weight": [1.0]}), "is a pickle that torch.save did not write"),
        (b'{"a": {"b": 1}}', r"starts with b'\{"),
        (b"PK\x03\x04" + bytes(200), "is truncated or damaged"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\xff" * 50, "is truncated or damaged"),
    ],
)
def test_file_of_another_kind(content, message, tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"pytorch_model\.bin {message}.*(again|alone)"):
        load_state_dict(path)


@pytest.mark.parametrize("left", [12, -1])
def test_truncated_file(written, left):
    written.write_bytes(written.read_bytes()[:left])
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


def test_tar_archive_disguised_as_a_torch_file(tmp_path):
    # Its first member's name is what torch's old format starts with.
    name = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".decode("latin-1")
    path = tmp_path / "weights.bin"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=r"weights\.bin is a tar archive"):
        load_state_dict(tmp_path / "weights.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "holds an object of type Tensor: expected a state dict"),
        ({"state_dict": make_weights(), "epoch": 3}, r"unexpected layers 'state_dict', 'epoch'; .*bare sta"),
        ({f"module.{name}": t for name, t in make_weights().items()}, "unexpected layers 'module.embed.w"),
        (
            {f"model.{name}": t for name, t in make_weights().items()},
            "'model.lstm_0.weight_ih_.* and 15 more",
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


# save_state_dict


@pytest.mark.parametrize(
    ("name", "extra", "message"),
    [
        ("weights.npz", {}, r"unknown file ending '\.npz' .* use one of \.bin, \.pt, .*\.h5"),
        ("weights.bin", {"other": torch.zeros(2)}, "unexpected layers 'other'"),
        ("weights.h5", {"other": torch.zeros(2)}, "unexpected layers 'other'"),
    ],
)
def test_what_is_not_written(name, extra, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_state_dict({**make_weights(), **extra}, tmp_path / name)
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
    weights["embed.weight"][:3] = 0
    weights["embed.weight"][0, :3] = torch.tensor([127.0, 0.5, -2.5])  # halves go to the even neighbour
    weights["embed.weight"][1, 0] = 1e-45
    save_quantized(weights, tmp_path / "weights.safetensors")
    loaded = load_state_dict(tmp_path / "weights.safetensors")
    for name in MATRICES:
        step = weights[name].abs().amax(dim=1, keepdim=True) / 127
        assert ((loaded[name] - weights[name]).abs() <= step * 0.5001 + 1e-44).all(), name
        assert not torch.equal(loaded[name], weights[name])
    assert loaded["embed.weight"][0, :3].tolist() == [127, 0, -2]
    assert not loaded["embed.weight"][1:3].any()
    vectors = [name for name in LAYERS if name not in MATRICES]
    assert_same({n: loaded[n] for n in vectors}, {n: weights[n] for n in vectors})


def test_int8_file_holds_rows_scales_and_its_header(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_quantized(make_weights(), path, {"trained_on": "tweets", "format": "other"})
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "quantization": "int8 rows", "trained_on": "tweets"}
        assert sorted(file.keys()) == sorted([*LAYERS, *(f"{name}.scale" for name in MATRICES)])
        for name in MATRICES:
            assert file.get_tensor(name).dtype == torch.int8
            assert file.get_tensor(f"{name}.scale").shape == file.get_tensor(name).shape[:1]


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        ({"embed.weight": torch.full((7, 3), np.nan)}, "w.safetensors", "layer embed.weight holds NaN, in"),
        ({"other": torch.zeros(2)}, "w.safetensors", "unexpected layers 'other'"),
        ({}, "w.bin", r"ending '\.bin'.* int8 weights are written as \.safetensors"),
    ],
)
def test_what_is_not_written_as_int8(change, name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_quantized({**make_weights(), **change}, tmp_path / name)
    assert not list(tmp_path.iterdir())


def stored_int8(tmp_path):
    """The tensors of an int8 file as they are stored."""
    save_quantized(make_weights(), tmp_path / "whole.safetensors")
    with safetensors.safe_open(tmp_path / "whole.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed.weight.scale": None}, r"layer embed\.weight\.scale: found nothing, expected 7 floats"),
        ({"embed.weight.scale": torch.ones(6)}, r"found float32 of shape \(6,\), expected 7 floats"),
        ({"lstm_0.bias_hh_l0": torch.ones(8).char()}, r"layer lstm_0\.bias_hh_l0: found .*int8"),
        ({"quantization": "int2"}, "quantization 'int2', expected 'int8 rows', .*: update torchmoji"),
        ({"quantization": None}, r"unexpected layers 'embed\.weight\.scale'"),
    ],
)
def test_int8_file_of_something_else(change, message, tmp_path):
    stored = {**stored_int8(tmp_path), "quantization": "int8 rows", **change}
    quantization = stored.pop("quantization")
    path = tmp_path / "weights.safetensors"
    kept = {name: tensor for name, tensor in stored.items() if tensor is not None}
    save_file(kept, path, metadata={"quantization": quantization} if quantization else None)
    for read in (load_state_dict, read_layers):
        with pytest.raises(ValueError, match=f"{path}.*{message}"):
            read(path)


# Without torch


@pytest.mark.parametrize("written", [name for name in WRITERS if "safetensors" in name], indirect=True)
def test_numpy_reads_what_torch_reads(written):
    read, expected = read_layers(written), load_state_dict(written)
    has_int8_rows = written.suffix == ".safetensors"  # as `WRITERS` name it
    assert list(read) == list(expected)
    for name, layer in read.items():
        assert isinstance(layer, Int8Rows) == (has_int8_rows and name in MATRICES)
        np.testing.assert_array_equal(as_float(layer), expected[name].numpy())


def test_reading_safetensors_imports_no_torch(tmp_path):
    save_quantized(make_weights(), tmp_path / "weights.safetensors")
    code = f"""
import json, sys
from torchmoji.weights.layers import read_layers
layers = read_layers({str(tmp_path / "weights.safetensors")!r})
print(json.dumps([len(layers), "torch" in sys.modules]))
"""
    assert python(code) == [len(LAYERS), False]


# --- files that are damaged or wish harm


def write(kind, weights, path):
    """Write weights without a check, to a file of a kind."""
    if kind == "safetensors":
        save_file(weights, path)
    elif kind == "int8":
        whole = {name: torch.nan_to_num(tensor, 0, 1, 1) for name, tensor in weights.items()}
        save_quantized(whole, path.with_suffix(".safetensors"))
        stored = load_file(path.with_suffix(".safetensors"))
        stored["embed.weight.scale"][0] = weights["embed.weight"][0, 0]
        save_file(stored, path, metadata={"quantization": "int8 rows"})
    elif kind == "hdf5":
        save_state_dict(make_weights(), path.with_suffix(".hdf5"))
        path.with_suffix(".hdf5").rename(path)
        with h5py.File(path, "r+") as file:
            file["embedding/embedding/embeddings"][...] = weights["embed.weight"].numpy()
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    return path


KINDS = ["zip", "old torch", "safetensors", "int8", "hdf5"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [np.nan, -np.inf, np.inf])
def test_numbers_that_are_not_finite_are_refused_by_every_loader(tmp_path, kind, number):
    weights = make_weights()
    weights["embed.weight"][0, 0] = number
    path = write(kind, weights, tmp_path / "weights")
    with pytest.raises(ValueError, match=r"weights: layer embed\.weight holds NaN, infinity or"):
        load_state_dict(path)
    if kind in ("safetensors", "int8"):
        with pytest.raises(ValueError, match=r"weights: layer embed\.weight holds NaN, infinity or"):
            read_layers(path)


def expanded(path, **layers):
    """A file with one number in a hundred million rows."""
    rows = torch.ones(1).expand(10**8, 3)
    torch.save(make_weights() | {"embed.weight": rows}, path, **layers)


def old_expanded(path):
    expanded(path, _use_new_zipfile_serialization=False)


def deflated(path):
    torch.save(make_weights() | {"embed.weight": torch.zeros(10**7, 3)}, path.with_suffix(".all"))
    with zipfile.ZipFile(path.with_suffix(".all")) as all_of_it, zipfile.ZipFile(path, "w") as archive:
        for name in all_of_it.namelist():
            archive.writestr(name, all_of_it.read(name), zipfile.ZIP_DEFLATED)


def never_written(path):
    with keras_file(path) as file:
        del file["embedding/embedding/embeddings"]
        file["embedding/embedding"].create_dataset("embeddings", (10**9, 3), "f4")


def other_numel(path):
    """A torch file whose first array is said to have 2^28 numbers."""
    torch.save(make_weights(), path.with_suffix(".good"))
    with zipfile.ZipFile(path.with_suffix(".good")) as good, zipfile.ZipFile(path, "w") as archive:
        for name in good.namelist():
            archive.writestr(name, good.read(name).replace(b"K\x15", b"J\0\0\0\x10"))


def longer_than_the_file(path):
    save_file(make_weights(), path)
    size, data = int.from_bytes(path.read_bytes()[:8], "little"), path.read_bytes()[8:]
    header = json.loads(data[:size])
    end = header["embed.weight"]["data_offsets"][0] + 12 * 10**9
    header["embed.weight"] |= {"shape": [10**9, 3], "data_offsets": [end - 12 * 10**9, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[size:])


BOMBS = [expanded, old_expanded, deflated, never_written, other_numel, longer_than_the_file]


def keras_file(path):
    write("hdf5", make_weights(), path)
    return h5py.File(path, "r+")


def test_files_that_declare_more_than_they_hold_take_no_memory(tmp_path):
    for make in BOMBS:
        make(tmp_path / make.__name__)
    code = (
        "from torchmoji.weights import load_state_dict\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        load_state_dict(path)\n"
        "    except ValueError as error:\n        print(error)\n"
    )
    said = run_with_memory(code, *(tmp_path / make.__name__ for make in BOMBS), gigabytes=0.5).splitlines()
    for make, line in zip(BOMBS, said, strict=True):
        assert make.__name__ in line
        assert line.endswith("again")
        assert "memory" not in line


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read(tmp_path, kind):
    path = write(kind, make_weights(), tmp_path / "weights")
    check_mutations(path, load_state_dict, (ValueError,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_list_is_not_made_a_dictionary_a_thousand_times(tmp_path, zipped):
    """Each of these dictionaries takes four bytes of the file, and as much memory as the list is long."""
    path, pairs = tmp_path / "weights.bin", [(number, 0) for number in range(1000)]
    state = {"embed.weight": [Makes(OrderedDict, pairs) for _ in range(1000)]}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="its pickle has more than 10000 instructions"):
        load_state_dict(path)


def test_torch_files_with_another_list_of_contents_are_refused(tmp_path):
    path = tmp_path / "weights.bin"
    torch.save(make_weights(), path)
    load_state_dict(path)
    content = path.read_bytes()
    path.write_bytes(content[:-50] + b"\0" * 8 + content[-42:])  # where the contents begin
    with pytest.raises(ValueError, match=r"weights\.bin is (truncated or )?damaged"):
        load_state_dict(path)


def test_a_long_list_of_arrays_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({f"layer_{'x' * 90}_{number}": torch.zeros(1) for number in range(8000)}, path)
    with pytest.raises(ValueError, match="its header has more than 1048576 bytes"):
        load_state_dict(path)


@contextmanager
def full_disk(size):
    """Files of this process cannot be longer."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100, 2000])
@pytest.mark.parametrize("name", ["w.bin", "w.safetensors", "w.hdf5", "int8", "converted.h5", "folder"])
def test_a_full_disk_is_an_os_error_that_names_the_file_and_leaves_nothing(tmp_path, name, size):
    weights = make_weights(ModelSizes(200, 30, 20, 5))
    save_state_dict(weights, tmp_path / "good.pth")

    def write():
        if name == "int8":
            save_quantized(weights, tmp_path / "int8.safetensors")
        elif name == "converted.h5":
            rewrite(tmp_path / "good.pth", tmp_path / name)
        elif name == "folder":
            save(tmp_path / name, weights, {"a": 0}, {})
        else:
            save_state_dict(weights, tmp_path / name)

    with full_disk(size), pytest.raises(OSError, match=rf"/{name}.* cannot be written .*: make room, or"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["good.pth"]


class Makes:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("call", [(bytearray, 1 << 30), (set, [1]), (torch.Size, [1]), (Counter, "a")])
def test_objects_that_could_fill_the_memory_are_not_made(tmp_path, call, zipped):
    path = tmp_path / "a.bin"
    torch.save({"embed.weight": Makes(*call)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="it makes objects with"):
        load_state_dict(path)


def test_layers_of_two_types_become_a_model_of_one(tmp_path):
    state = make_weights()
    for name in list(state)[-2:]:
        state[name] = state[name].double()
    save_state_dict(state, tmp_path / "a.bin")
    model = load_model(tmp_path / "a.bin")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    model(torch.tensor([[1, 2, 3]]))


def test_scales_that_are_no_numbers_give_an_error_and_no_warning(recwarn):
    signalling = np.array([0x7F800001, 0x3F800000], dtype=np.uint32).view(np.float32)
    with pytest.raises(ValueError, match=r"embed\.weight holds NaN"):
        _check_finite("embed.weight", Int8Rows(np.zeros((2, 2), np.int8), signalling))
    assert not recwarn


def test_metadata_that_no_reader_would_take_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="metadata must have at most 524288 characters"):
        save_quantized(make_weights(), tmp_path / "a.safetensors", {"about": "x" * 600_000})
    assert list(tmp_path.iterdir()) == []
