"""Helpers to run the programs of examples/ and scripts/ inside the test process."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch

from torchmoji.create_vocab import save_vocabulary
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.model_def import TorchMoji
from torchmoji.training.datasets import read_labelled_texts
from torchmoji.word_generator import WordGenerator


@contextmanager
def loaded(path: Path) -> Iterator[ModuleType]:
    """Import a program as a module, with `sys.path` as Python sets it for a program, then put it back."""
    before = list(sys.path)
    sys.path.insert(0, str(path.parent))
    try:
        spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = before


def run(path: Path, *arguments: object) -> None:
    """Call a program's `main` with arguments."""
    with loaded(path) as program:
        program.main([str(argument) for argument in arguments])


def refusal(path: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message with which a program refuses its arguments; its exit status must be 2."""
    with pytest.raises(SystemExit) as stop:
        run(path, *arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def make_model_files(folder: Path, examples: Path) -> list[str]:
    """Write small weights and a vocabulary of the sample data's words; gives arguments that name them."""
    words = dict.fromkeys(SPECIAL_TOKENS)
    for path in sorted((examples / "data").glob("*.csv")):
        for row, _ in WordGenerator(read_labelled_texts(path).texts):
            words.update(dict.fromkeys(row))
    save_vocabulary({word: index for index, word in enumerate(words)}, folder / "vocabulary.json")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = TorchMoji(64, len(words), embedding_dim=4, hidden_size=4)
    torch.save(model.state_dict(), folder / "weights.bin")
    return ["--weights", str(folder / "weights.bin"), "--vocabulary", str(folder / "vocabulary.json")]
