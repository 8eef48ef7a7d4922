"""Asks to stop wait for the end of a piece of work."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from torchmoji.pretraining.progress import waiting_stop


def ask(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), waiting_stop() as asked:  # noqa: PT012
        assert asked.signal is None
        ask()
        done.append(asked.signal)
    assert done == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_second_one_interrupts_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), waiting_stop():  # noqa: PT012
        ask()
        done.append(1)
        ask()
        done.append(2)
    assert done == [1]


def test_nothing_happens_where_nobody_asks():
    with waiting_stop() as asked:
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert asked.signal is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_others_and_other_threads_are_left_alone():
    def own(number, frame):
        heard.append(number)

    heard, noted = [], []
    before = signal.signal(signal.SIGINT, own)
    try:
        with waiting_stop() as asked:
            ask()
            noted.append(asked.signal)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (heard, noted) == ([signal.SIGINT], [None])

    def elsewhere():
        with waiting_stop() as asked:
            noted.append(asked.signal)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert noted == [None, None]


def test_a_terminated_process_ends_as_such_after_its_work():
    program = (
        "import os, signal\n"
        "from torchmoji.pretraining.progress import waiting_stop\n"
        "with waiting_stop() as asked:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(asked.signal.name, flush=True)\n"
        "print('not reached')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert ended.stdout == "SIGTERM\n"


def test_the_first_process_of_a_container_ends_too(monkeypatch):
    """The kernel keeps signals without a handler from it."""
    kill = os.kill
    with pytest.raises(SystemExit) as ended, waiting_stop():  # noqa: PT012
        kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(os, "kill", lambda *arguments: None)
    assert ended.value.code == 128 + signal.SIGTERM
