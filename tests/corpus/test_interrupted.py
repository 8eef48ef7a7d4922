"""A build that is killed goes on with the same bytes in the end, and leaves no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from support.hostile import check_mutations, disk_of
from support.processes import children, is_running, needs_proc, wait_for
from support.small_corpus import EMOJIS, files_of, rules, texts, write_texts

from torchmoji.corpus import build
from torchmoji.corpus.build import CorpusSettings, build_corpus
from torchmoji.corpus.chunks import TokenizedChunk

CHUNK_BYTES = 2500
TESTS = os.path.dirname(os.path.dirname(__file__))

PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
from support.small_corpus import rules
from torchmoji.corpus.build import CorpusSettings, build_corpus

folder, name, moment = Path(sys.argv[1]), *sys.argv[2:4]
workers, chunk_bytes, force = map(int, sys.argv[4:])
replaced = Path.replace

def replace(self, target):
    is_it = f"{target.parent.name}/{target.name}" == name
    if is_it and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = replaced(self, target)
    if is_it:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

Path.replace = replace
settings = CorpusSettings(rules=rules(), validation=0.1, min_count=1)
options = {"workers": workers, "chunk_bytes": chunk_bytes, "force": bool(force)}
build_corpus(folder / "texts.txt", folder / "corpus", settings, **options)
for line in Path("/proc/self/status").read_text().splitlines():
    if line.startswith("VmHWM"):  # the peak of this program; getrusage's is also that of its starter
        print(line.split()[1])
"""


def command(folder, name="", moment="never", workers=1, chunk_bytes=CHUNK_BYTES, force=False):
    """Build, and be killed before or after the file of this name gets it."""
    options = map(str, (folder, name, moment, workers, chunk_bytes, int(force)))
    return [sys.executable, "-c", PROGRAM, TESTS, *options]


@pytest.fixture(scope="module")
def lines():
    found = texts(400)
    return [*found, *found[:50]]


@pytest.fixture
def folder(tmp_path, lines):
    write_texts(tmp_path / "texts.txt", lines)
    return tmp_path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, lines):
    """The files of a whole run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_texts(folder / "texts.txt", lines)
    return finish(folder)


def finish(folder, workers=1, out="corpus", force=False, **changes):
    settings = CorpusSettings(**{"rules": rules(), "validation": 0.1, "min_count": 1, **changes})
    options = {"workers": workers, "chunk_bytes": CHUNK_BYTES, "force": force}
    build_corpus(folder / "texts.txt", folder / out, settings, **options)
    return files_of(folder / out)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        pytest.param("work/plan.json", "before", marks=pytest.mark.nightly),
        ("work/chunk-000000.bin", "before"),
        pytest.param("work/vocabulary.json", "after", marks=pytest.mark.nightly),
        pytest.param("work/manifest.json", "before", marks=pytest.mark.nightly),
        ("corpus/validation-00000.arrow", "before"),
        ("corpus/manifest.json", "after"),
    ],
)
def test_a_build_killed_at_any_moment_ends_with_the_same_bytes(folder, undisturbed, name, moment):
    killed = subprocess.run(command(folder, name, moment), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (folder / "corpus" / "manifest.json").exists() == (name == "corpus/manifest.json")
    assert finish(folder) == undisturbed
    assert not (folder / "corpus" / "work").exists()


@pytest.mark.parametrize(
    ("changes", "first"), [({"min_count": 2, "skip_bad_lines": True}, 7), ({"validation": 0.2}, 0)]
)
def test_it_goes_on_where_it_was_unless_its_chunks_were_made_otherwise(folder, monkeypatch, changes, first):
    whole = finish(folder, out="whole", **changes)
    subprocess.run(command(folder, "work/chunk-000006.bin", "after"), check=False)
    assert len(list((folder / "corpus" / "work").glob("chunk-*"))) == 7
    chunks = []
    tokenize = build.tokenize_chunk
    monkeypatch.setattr(build, "tokenize_chunk", lambda chunk: chunks.append(chunk) or tokenize(chunk))
    assert finish(folder, **changes) == whole
    numbers = [int(chunk.path.stem[-6:]) for chunk in chunks]
    assert numbers == list(range(first, len(numbers) + first))


@pytest.mark.parametrize(
    ("name", "moment"), [("work/manifest.json", "after"), ("corpus/validation-00000.arrow", "before")]
)
def test_an_older_corpus_stays_until_the_new_one_is_whole(folder, undisturbed, name, moment):
    write_texts(folder / "texts.txt", texts(900, seed=3))
    old = finish(folder, hashtags=5)
    write_texts(folder / "texts.txt", [*texts(400), *texts(400)[:50]])
    subprocess.run(command(folder, name, moment, force=True), check=False)
    assert (files_of(folder / "corpus") == old) == name.startswith("work")
    assert finish(folder, force=True) == undisturbed
    assert not (folder / "corpus" / "work").exists()


@pytest.mark.parametrize("size", [300, 12_000])
def test_a_full_disk_is_told_and_nothing_is_lost(folder, undisturbed, size):
    """Before the first chunk, and between the chunks and the first shard."""
    full = subprocess.run(command(folder), preexec_fn=disk_of(size), capture_output=True, text=True)
    error = full.stderr.splitlines()[-1]
    assert error.startswith("OSError: ")
    assert "File too large" in error
    assert not list((folder / "corpus").glob("*.arrow"))
    assert (folder / "corpus" / "work" / "vocabulary.json").exists() == (size > 300)
    assert finish(folder) == undisturbed


@pytest.mark.parametrize("number", [0, 6])
def test_work_files_that_were_damaged_are_made_again(folder, undisturbed, number):
    subprocess.run(command(folder, "work/chunk-000006.bin", "after"), check=False)
    path = folder / "corpus" / "work" / f"chunk-{number:06d}.bin"
    check_mutations(path, TokenizedChunk.load, (ValueError,))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if number else data[:1000])
    with pytest.raises(ValueError, match=rf"chunk-00000{number}\.bin is damaged .its checksum does not"):
        TokenizedChunk.load(path)
    assert finish(folder) == undisturbed


@pytest.mark.parametrize("text", [None, "", "[]", "[" * 100_000])
def test_chunks_of_which_nobody_knows_the_settings_are_refused(folder, text):
    subprocess.run(command(folder, "work/chunk-000001.bin", "after"), check=False)
    plan = folder / "corpus" / "work" / "plan.json"
    plan.unlink() if text is None else plan.write_text(text)
    with pytest.raises(FileExistsError, match=r"work has no sound plan\.json, .*: move it away, or give"):
        finish(folder)
    assert (folder / "corpus" / "work" / "chunk-000001.bin").exists()


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_all_processes(folder, lines, undisturbed, number):
    """SIGKILL reaches the first process alone."""
    write_texts(folder / "texts.txt", lines * 3)  # repeats are duplicates
    with subprocess.Popen(
        command(folder, workers=2), start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as building:
        work = folder / "corpus" / "work"
        wait_for(lambda: len(list(work.glob("chunk-*"))) >= 2)
        workers = children(building.pid)
        assert workers
        if number == signal.SIGINT:
            os.killpg(building.pid, number)
            assert "KeyboardInterrupt" in building.stderr.read()
        else:
            building.kill()
    assert building.returncode != 0
    wait_for(lambda: not any(map(is_running, workers)))
    found = finish(folder)
    assert all(found[name] == undisturbed[name] for name in found if name != "manifest.json")


def test_a_worker_that_dies_is_told(folder, monkeypatch):
    monkeypatch.setattr(build, "tokenize_chunk", lambda chunk: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ChildProcessError, match="worker processes died over the same texts"):
        finish(folder, workers=2)
    for workers in (0, "2"):
        with pytest.raises(ValueError, match=f"workers must be a whole number from 1 on, got {workers!r}"):
            finish(folder, workers=workers)


@pytest.mark.nightly
def test_a_bad_line_ends_a_build_in_several_processes(folder):
    with open(folder / "texts.txt", "ab") as file:
        file.write(b"\xff\n")
    with pytest.raises(ValueError, match=r"texts\.txt, line 451, is not UTF-8"):
        finish(folder, workers=2)


def test_two_processes_do_not_build_in_one_folder(folder):
    (folder / "corpus" / "work").mkdir(parents=True)
    with (
        FileLock(folder / "corpus" / "work" / "lock"),
        pytest.raises(BlockingIOError, match="another process is building"),
    ):
        finish(folder)


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured on Linux")
def test_memory_hardly_grows_with_the_input(tmp_path):
    """A text more takes about 200 bytes while duplicates are looked for: its keys and their order."""
    peaks = []
    for count in (20_000, 120_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        lines = (f"{text} n{number} {EMOJIS[0]}" for number, text in enumerate(texts(200) * (count // 200)))
        write_texts(folder / "texts.txt", lines)
        peaks.append(1024 * int(subprocess.check_output(command(folder, chunk_bytes=100_000))))
    assert (peaks[1] - peaks[0]) / 100_000 < 300
