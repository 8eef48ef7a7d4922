import pytest
import torch

from torchmoji.pretraining.loop import (
    check_same_run,
    load_training,
    random_states,
    restore_random_states,
    save_training,
)


def test_a_state_comes_back(tmp_path):
    path = tmp_path / "checkpoint.pt"
    assert load_training(path) is None
    save_training(path, {"step": 3, "model": {"weight": torch.ones(2)}, "losses": [0.5]})
    state = load_training(path)
    assert (state["step"], state["losses"]) == (3, [0.5])
    assert torch.equal(state["model"]["weight"], torch.ones(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_write_that_fails_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_training(path, {"step": 1})

    def fail(state, file):
        file.write_bytes(b"half of")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        save_training(path, {"step": 2})
    assert load_training(path) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged .*: remove it to start again"):
        load_training(path)


def test_generators_go_back(tmp_path):
    with torch.random.fork_rng(devices=[]):
        states = random_states(torch.device("cpu"))
        first = torch.rand(3)
        restore_random_states(states, torch.device("cpu"))
        assert torch.equal(torch.rand(3), first)


def test_another_run_is_refused_with_what_differs(tmp_path):
    check_same_run(tmp_path, {"passes": 1}, {"passes": 1})
    with pytest.raises(ValueError, match=r"other settings \(passes was 1, is 2; seed was None, is 3\): use"):
        check_same_run(tmp_path, {"passes": 1}, {"passes": 2, "seed": 3})
