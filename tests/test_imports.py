"""What imports what: the text half needs neither torch nor scikit-learn; public names are where they were."""

import ast
import re
from pathlib import Path

import pytest
from support.python import python

import torchmoji

HEAVY = ["torch", "sklearn", "safetensors", "huggingface_hub", "h5py"]
TEXT_HALF = [
    *("torchmoji", "torchmoji.files.atomic", "torchmoji.weights.layers"),
    *(f"torchmoji.{name}" for name in "create_vocab emojis emoticons filter_input filter_utils".split()),
    *(f"torchmoji.{name}" for name in "global_variables sentence_tokenizer tokenizer word_generator".split()),
]


@pytest.mark.parametrize("module", TEXT_HALF)
def test_text_half_imports_nothing_heavy(module):
    code = f"import json, sys, {module}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    assert python(code) == []


def test_using_the_text_half_imports_nothing_heavy():
    code = f"""
import json, sys
from torchmoji import EMOJIS, SentenceTokenizer
tokenizer = SentenceTokenizer({{"love": 10}}, 3)
rows = [part.tolist() for part in tokenizer.split_train_val_test(["love"] * 5, [0] * 5, extend_with=2)[0]]
print(json.dumps([EMOJIS[0], len(rows), [name for name in {HEAVY} if name in sys.modules]]))
"""
    assert python(code) == ["😂", 3, []]


def test_importing_makes_no_files(tmp_path):
    """The 2017 package made a temporary folder at import."""
    code = f"""
import json, os, tempfile
tempfile.tempdir = {str(tmp_path)!r}
import {", ".join(TEXT_HALF)}
print(json.dumps(os.listdir({str(tmp_path)!r})))
"""
    assert python(code) == []


def test_package_lists_its_names_and_gives_the_modules_own_objects():
    from torchmoji.sentence_tokenizer import SentenceTokenizer

    assert {"EMOJIS", "SentenceTokenizer", "torchmoji_emojis"} <= set(dir(torchmoji))
    assert sorted(torchmoji.__all__) == dir(torchmoji)
    assert torchmoji.SentenceTokenizer is SentenceTokenizer
    assert [name for name in torchmoji.__all__ if getattr(torchmoji, name) is None] == []


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"no attribute 'torchmoji_emoji'; it has EMOJIS, .*_emojis"):
        _ = torchmoji.torchmoji_emoji


def test_version_is_that_of_the_package_metadata(repository):
    metadata = (repository / "pyproject.toml").read_text("utf-8")
    assert f'version = "{torchmoji.__version__}"' in metadata


# --- directions ---------------------------------------------------------------------------------------------

LEVELS = [
    "global_variables runtime",
    "files",
    "emojis emoticons tokenizer filter_utils filter_input word_generator create_vocab shipped "
    "sentence_tokenizer balancing",
    "batching lstm recurrence attlayer model_def weights",
    "onnx training corpus",
    "pipeline finetuning class_avg_finetuning pretraining",
    "batch estimator plot server",
    "cli __main__",
]
"""Rooms and modules at the top; each imports from its own line and those above it."""
PACKAGE = Path(torchmoji.__file__).parent


def imports():
    """Pairs (module, imported module), in full; what is imported for types alone is left out."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["torchmoji", *path.relative_to(PACKAGE).with_suffix("").parts]
        modules[".".join(parts).removesuffix(".__init__")] = path
    for name, path in modules.items():
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):  # what stands under `if TYPE_CHECKING` is not run
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                node.body = []
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torchmoji":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield name, inner if inner in modules else node.module


def test_imports_point_one_way():
    level = {room: number for number, line in enumerate(LEVELS) for room in line.split()}
    pairs = {(a.split(".")[1], b.split(".")[1]) for a, b in imports() if a.count(".") and b.count(".")}
    assert len(pairs) > 50
    assert {room for pair in pairs for room in pair} <= set(level)
    assert [pair for pair in sorted(pairs) if level[pair[0]] < level[pair[1]]] == []
    onto_faces = {a for a, b in pairs if b in ("cli", "server", "plot") and a != b}
    assert onto_faces <= {"cli", "__main__"}


def test_no_module_imports_itself_by_way_of_others():
    graph = {}
    for module, imported in imports():
        graph.setdefault(module, set()).add(imported)
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            path.append(module)
            for imported in sorted(graph.get(module, ())):
                visit(imported)
            done.add(path.pop())

    for module in sorted(graph):
        visit(module)


def test_every_room_is_in_the_package_that_is_built(repository):
    listed = re.search(r"^packages = \[(.*)\]$", (repository / "pyproject.toml").read_text("utf-8"), re.M)[1]
    rooms = [f"torchmoji.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")]
    assert sorted(re.findall(r'"(.*?)"', listed)) == sorted(["torchmoji", "torchmoji.model", *rooms])
