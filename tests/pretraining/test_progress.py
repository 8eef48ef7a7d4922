"""Reports of progress, and signals that wait for the end of a step."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from support.pretraining import metrics_of

from torchmoji.pretraining.progress import TrainingProgress, check_metrics, deferred_signals


def progress_of(folder, step=0, written=0, shown=False, **options):
    return TrainingProgress(folder, 10, step, written, shown, **options)


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


# --- progress -----------------------------------------------------------------------------------------------


def test_metrics_are_written_with_speed_and_time_left(tmp_path):
    progress = progress_of(tmp_path)
    for _ in range(4):
        progress.advance(32)
    progress.report_training(4, 20.0, {"loss": 1.25, "learning_rate": 0.1})
    names = ("first", "first_five", "average_first", "average_first_five")
    progress.report_evaluation(4, dict.fromkeys(names, 0.5))
    progress.close()
    training, evaluation = metrics_of(tmp_path, "training")[0], metrics_of(tmp_path, "validation")[0]
    assert (training["step"], training["loss"], training["seconds_left"]) == (4, 1.25, 30.0)
    assert training["texts_per_second"] > 0
    assert (evaluation["step"], evaluation["first_five"]) == (4, 0.5)


# --- signals ------------------------------------------------------------------------------------------------


def test_a_signal_waits_for_the_end_of_the_block_and_a_second_one_does_not():
    done = []
    with pytest.raises(KeyboardInterrupt), deferred_signals() as came:  # noqa: PT012
        assert came == []
        send()
        done.append(list(came))
    with pytest.raises(KeyboardInterrupt), deferred_signals():  # noqa: PT012
        send()
        done.append(2)
        send()
        done.append(3)
    assert done == [[signal.SIGINT], 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_handlers_of_others_and_other_threads_are_left_alone():
    def own(number, frame):
        heard.append(number)

    heard, noted = [], []
    before = signal.signal(signal.SIGINT, own)
    try:
        with deferred_signals() as came:
            send()
            noted.append(list(came))
    finally:
        signal.signal(signal.SIGINT, before)
    assert (heard, noted) == ([signal.SIGINT], [[]])

    def elsewhere():
        with deferred_signals():
            noted.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert noted[1] is before


def test_a_terminated_process_ends_as_such_after_its_work():
    program = (
        "import os, signal\n"
        "from torchmoji.pretraining.progress import deferred_signals\n"
        "with deferred_signals() as came:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(came[0].name, flush=True)\n"
        "print('not reached')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert ended.stdout == "SIGTERM\n"


def test_the_first_process_of_a_container_ends_too(monkeypatch):
    """The kernel keeps signals without a handler from it."""
    kill = os.kill
    with pytest.raises(SystemExit) as ended, deferred_signals():  # noqa: PT012
        kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(os, "kill", lambda *arguments: None)
    assert ended.value.code == 128 + signal.SIGTERM


def test_metrics_are_not_written_through_a_link(tmp_path):
    (tmp_path / "other").write_text("mine")
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(FileExistsError, match=r"metrics\.jsonl is a link or no file, and is not"):
        check_metrics(tmp_path, is_ours=True)
    assert (tmp_path / "other").read_text() == "mine"


def test_metrics_of_another_program_are_told_from_ours(tmp_path):
    path = tmp_path / "metrics.jsonl"
    check_metrics(tmp_path, is_ours=False)
    progress_of(tmp_path).close()
    check_metrics(tmp_path, is_ours=False)  # of a run that was killed before its first report
    progress_of(tmp_path).report_training(4, 20.0, {"loss": 1.25})
    check_metrics(tmp_path, is_ours=False)
    path.write_text('{"step": 1, "loss": 2.5}\n')
    check_metrics(tmp_path, is_ours=True)
    with pytest.raises(FileExistsError, match=r"metrics\.jsonl was not written by a training: name another"):
        check_metrics(tmp_path, is_ours=False)
