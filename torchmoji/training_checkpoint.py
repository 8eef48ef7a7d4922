"""The state of a pretraining run on disk: complete, and written whole or not at all.

With the weights, the optimizer, the average of the weights and the number of the step a run goes on as if it
had never stopped: the step decides the learning rate, the texts and dropout. The state of torch's generators
is kept as well.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from torchmoji.files import atomic_path

CHECKPOINT_NAME = "checkpoint.pt"


def save_training(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run; power may fail as soon as this returns.

    Args:
        path: The file. An older one stays until the new one is whole.
        state: Tensors, numbers, strings, and lists and dicts of them.
    """
    with atomic_path(path) as temporary:
        torch.save(dict(state), temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


def load_training(path: Path) -> dict[str, Any] | None:
    """Read the state of a run; None where there is none.

    Raises:
        ValueError: The file is damaged.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # cut or changed bytes make torch raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is damaged ({reason}): remove it to start again") from error
    return state


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of torch's generators, of the CPU and of a CUDA device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Put torch's generators into the states of `random_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def check_same_run(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with another run.

    Raises:
        ValueError: Names the settings that differ.
    """
    differing = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if differing:
        parts = [f"{name} was {found.get(name)!r}, is {wanted.get(name)!r}" for name in differing]
        raise ValueError(
            f"{path} is of a run with other settings ({'; '.join(parts)}): use those, name another folder, "
            "or remove the file to start again"
        )
