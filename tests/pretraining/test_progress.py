import json
import sys
import types

import pytest

from torchmoji.pretraining.progress import TrainingProgress


def told(folder, **options):
    return TrainingProgress(folder, **{"total_steps": 10, "shown": False, "tensorboard": False, **options})


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_written_with_speed_and_time_left(tmp_path):
    progress = told(tmp_path)
    progress.begin(0, 0)
    for _ in range(4):
        progress.advance(32)
    progress.tell_training(4, 20.0, {"loss": 1.25, "learning_rate": 0.1})
    progress.tell_evaluation(
        4, dict.fromkeys(("first", "first_five", "average_first", "average_first_five"), 0.5)
    )
    progress.close()
    training, evaluation = lines_of(tmp_path)
    assert (training["step"], training["kind"], training["loss"]) == (4, "training", 1.25)
    assert training["seconds_left"] == 30.0
    assert training["texts_per_second"] > 0
    assert (evaluation["kind"], evaluation["first_five"]) == ("validation", 0.5)


def test_going_on_cuts_off_what_was_written_after_the_checkpoint(tmp_path):
    progress = told(tmp_path)
    progress.begin(0, 0)
    progress.tell_training(1, 1.0, {"loss": 1.0})
    written = progress.written
    progress.tell_training(2, 2.0, {"loss": 2.0})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "ki')
    again = told(tmp_path)
    again.begin(1, written)
    again.tell_training(2, 2.0, {"loss": 2.5})
    assert [line["loss"] for line in lines_of(tmp_path)] == [1.0, 2.5]


def test_other_processes_are_silent(tmp_path, capfd):
    progress = told(tmp_path, shown=True, tensorboard=True, is_first=False)
    progress.begin(0, 0)
    progress.advance(8)
    progress.tell_training(1, 1.0, {"loss": 1.0})
    progress.close()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_tensorboard_gets_the_same_numbers(tmp_path, monkeypatch):
    scalars = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            scalars.append(("from", purge_step))

        def add_scalar(self, name, value, step):
            scalars.append((name, value, step))

        def flush(self):
            pass

        def close(self):
            scalars.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    progress = told(tmp_path, tensorboard=True)
    progress.begin(1, 0)
    progress.tell_training(2, 1.0, {"loss": 1.5})
    progress.close()
    assert scalars[0] == ("from", 2)
    assert ("training/loss", 1.5, 2) in scalars
    assert scalars[-1] == "closed"


def test_a_missing_tensorboard_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match="which is not installed: pip install tensorboard"):
        told(tmp_path, tensorboard=True)
