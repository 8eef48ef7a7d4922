"""Some rows of a large array, computed a window at a time."""

import numpy as np
import pytest
from wanted_rows import write_wanted_rows

from torchmoji.files import resumable as resuming
from torchmoji.files.resumable import PartialFile

ABOUT = {"input": [1, 2], "model": "m"}


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_wanted_rows_are_the_same_after_an_interruption(tmp_path, monkeypatch, device):
    """Beside the CPU windows are larger than what is noted: it goes on in the middle of one."""
    monkeypatch.setattr(resuming, "ROWS_AT_ONCE", 10)
    is_wanted = np.arange(205) % 3 > 0
    asked, failing = [], True

    def compute(numbers):
        asked.append(len(numbers))
        return np.stack([numbers, numbers**2 / 100], axis=1)

    def interrupted(self):
        keep(self)
        if failing and self.done == 130:
            raise Interrupted

    keep = PartialFile._keep
    monkeypatch.setattr(PartialFile, "_keep", interrupted)
    path = tmp_path / "rows.npy"
    with pytest.raises(Interrupted):
        write_wanted_rows(path, compute, is_wanted, 2, ABOUT, False, device)
    failing = False
    asked.clear()
    write_wanted_rows(path, compute, is_wanted, 2, ABOUT, True, device)
    numbers = np.arange(205)
    expected = np.where(is_wanted[:, None], np.stack([numbers, numbers**2 / 100], axis=1), 0)
    assert np.array_equal(np.load(path), expected.astype(np.float16))
    assert asked == ([7, 7, 6, 7, 7, 6, 7, 3] if device == "cpu" else [53, 30])
