"""Building goes on after SIGKILL at any moment, with the same bytes in the end; memory does not grow."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.small_corpus import EMOJIS, files_of, rules, texts, write_texts

from torchmoji.corpus.build import CorpusSettings, build_corpus

CHUNK_BYTES = 2500

PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.small_corpus import rules
from torchmoji.corpus import selection as corpus_selection
from torchmoji.corpus.build import CorpusSettings, build_corpus

def main():
    folder, number, moment, workers, chunk_bytes, most_keys = Path(sys.argv[1]), *sys.argv[2:]
    corpus_selection.MOST_KEYS = int(most_keys)
    replaced, left = Path.replace, [int(number)]

    def replace(self, target):
        left[0] -= 1
        if left[0] == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = replaced(self, target)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    if moment != "never":
        Path.replace = replace
    settings = CorpusSettings(rules=rules(), validation=0.1, min_count=1)
    build_corpus(
        folder / "texts.txt", folder / "corpus", settings, workers=int(workers), chunk_bytes=int(chunk_bytes)
    )
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):  # the peak of this program; getrusage's is also that of its starter
            print(line.split()[1])

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "build.py"
    path.write_text(PROGRAM.format(tests=os.path.dirname(os.path.dirname(__file__))))
    return path


def command(program, folder, number=0, moment="never", workers=1, chunk_bytes=CHUNK_BYTES, most_keys=10**6):
    """Build, and be killed before or after the file of this number gets its name."""
    return [sys.executable, *map(str, (program, folder, number, moment, workers, chunk_bytes, most_keys))]


@pytest.fixture(scope="module")
def lines():
    found = texts(400)
    return [*found, *found[:50]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, lines):
    """The files of a whole run, and how many were written on the way."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_texts(folder / "texts.txt", lines)
    written = []
    with pytest.MonkeyPatch.context() as patch:
        replace = Path.replace
        patch.setattr(Path, "replace", lambda path, target: written.append(target) or replace(path, target))
        return finish(folder), len(written)


def finish(folder, **options):
    settings = CorpusSettings(rules=rules(), validation=0.1, min_count=1)
    build_corpus(
        folder / "texts.txt",
        folder / "corpus",
        settings,
        **{"workers": 1, "chunk_bytes": CHUNK_BYTES, **options},
    )
    return files_of(folder / "corpus")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_build_killed_at_any_moment_ends_with_the_same_bytes(
    tmp_path, program, lines, undisturbed, share, moment
):
    expected, writes = undisturbed
    number = max(1, round(share * writes))
    write_texts(tmp_path / "texts.txt", lines)
    killed = subprocess.run(command(program, tmp_path, number, moment), check=False)
    assert killed.returncode == -signal.SIGKILL
    is_whole = (number, moment) == (writes, "after")
    assert (tmp_path / "corpus" / "manifest.json").exists() == is_whole
    assert finish(tmp_path) == expected
    assert not (tmp_path / "corpus" / "work").exists()


def test_it_goes_on_where_it_was(tmp_path, program, lines, monkeypatch):
    write_texts(tmp_path / "texts.txt", lines)
    subprocess.run(command(program, tmp_path, 8, "after"), check=False)
    done = {path.name for path in (tmp_path / "corpus" / "work").glob("chunk-*")}
    assert len(done) == 7
    from torchmoji.corpus import build

    made = []
    process = build.process_chunk
    monkeypatch.setattr(build, "process_chunk", lambda task: made.append(task.chunk.number) or process(task))
    finish(tmp_path)
    assert made == list(range(7, made[-1] + 1))
    assert made[-1] >= 7


def test_a_build_in_several_processes_can_be_killed_as_well(tmp_path, program, lines, undisturbed):
    write_texts(tmp_path / "texts.txt", lines)
    with subprocess.Popen(command(program, tmp_path, workers=2)) as building:
        work = tmp_path / "corpus" / "work"
        end = time.monotonic() + 30
        while len(list(work.glob("chunk-*"))) < 3 and building.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        building.kill()
    assert finish(tmp_path, workers=2) == undisturbed[0]


def test_other_settings_do_not_go_on_with_it(tmp_path, program, lines):
    write_texts(tmp_path / "texts.txt", lines)
    subprocess.run(command(program, tmp_path, 5, "after"), check=False)
    with pytest.raises(
        ValueError, match=r"plan\.json is of a corpus with other settings: give another folder"
    ):
        build_corpus(
            tmp_path / "texts.txt",
            tmp_path / "corpus",
            CorpusSettings(rules=rules(), validation=0.2, min_count=1),
            workers=1,
            chunk_bytes=CHUNK_BYTES,
        )


def test_two_processes_do_not_build_in_one_folder(tmp_path, lines):
    from filelock import FileLock

    path = write_texts(tmp_path / "texts.txt", lines)
    (tmp_path / "corpus" / "work").mkdir(parents=True)
    with (
        FileLock(tmp_path / "corpus" / "work" / "lock"),
        pytest.raises(BlockingIOError, match="another process is building"),
    ):
        build_corpus(path, tmp_path / "corpus", CorpusSettings(rules=rules()), workers=1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured on Linux")
def test_memory_does_not_grow_with_the_input(tmp_path, program):
    """Four times as many texts take less than a twentieth more, with small chunks and ranges of keys."""
    words = [f"word{number}" for number in range(3000)]
    peaks = []
    for factor in (1, 4):
        folder = tmp_path / str(factor)
        folder.mkdir()
        random = np.random.default_rng(factor)
        picked = random.choice(words, (10_000 * factor, 12))
        write_texts(folder / "texts.txt", (f"{' '.join(row)} {EMOJIS[len(row[0]) % 4]}" for row in picked))
        result = subprocess.run(
            command(program, folder, chunk_bytes=200_000, most_keys=20_000),
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(result.stdout))
    assert peaks[1] < 1.05 * peaks[0], f"{peaks[0]} and {peaks[1]} kB"
