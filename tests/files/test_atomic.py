"""torchmoji.files.atomic: files are written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from torchmoji.files.atomic import (
    atomic_folder,
    atomic_path,
    atomic_write_text,
    locked,
    read_json,
    remove_leftovers,
    writing,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the process's mask for new files, for the time of a test."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_the_file_appears_at_the_end_and_its_folder_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "weights.npz"
    with atomic_path(str(path)) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.name == path.name
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_existing_file_is_kept_where_the_block_fails(tmp_path, exception):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write(is_gone):
        with atomic_path(path) as temporary:
            temporary.write_text("hal")
            if is_gone:
                temporary.unlink()
            raise exception("in the middle")

    for is_gone in (False, True):
        with pytest.raises(exception, match="in the middle"):
            write(is_gone)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write_text(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["a" * 250 + ".txt", "😂" * 62 + ".csv"], ids=["letters", "emojis"])
def test_names_as_long_as_the_system_lets_them_and_text_as_utf_8(tmp_path, name):
    path = tmp_path / name
    atomic_write_text(path, "é😂")
    assert path.read_bytes() == "é😂".encode()


@pytest.mark.skipif(os.name == "nt", reason="permissions are other things there")
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("before", "after"), [(None, 0o640), (0o600, 0o600), (0o664, 0o664)])
def test_new_files_have_the_usual_permissions_and_replaced_ones_keep_theirs(tmp_path, before, after):
    path = tmp_path / "file.txt"
    if before is not None:
        path.write_text("old and longer")
        path.chmod(before)
    with atomic_path(path) as temporary:  # another file may take its place
        (tmp_path / "other").write_text("text")
        (tmp_path / "other").chmod(0o666)
        (tmp_path / "other").replace(temporary)
    assert (path.read_text(), mode(path)) == ("text", after)


def killed(target, content=""):
    """Leave what a process leaves that is killed in `atomic_path`; give the folder's name."""
    with atomic_path(target) as temporary:
        (target.parent / "copy").mkdir()
    left = (target.parent / "copy").rename(temporary.parent)
    (left / target.name).write_text(content)
    target.unlink()
    return left


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks there")
def test_only_what_a_killed_write_left_is_removed(tmp_path):
    kept = {"model.safetensors", ".lock", ".hidden.txt", ".a.0123.bin"}
    for name in kept:
        (tmp_path / name).touch()
    for name in ("model.bin", "checkpoint.pt", "noending"):
        killed(tmp_path / name)
    (tmp_path / f".model.{'0' * 32}.bin").touch()  # of an older version
    assert len(list(tmp_path.iterdir())) == len(kept) + 4
    with atomic_path(tmp_path / "other") as temporary:  # which is still being written
        remove_leftovers(tmp_path)
        assert temporary.exists()
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "other"}


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks there")
def test_the_next_write_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    left, other = killed(path), killed(path.with_name("other.txt"))
    with atomic_path(path) as first, atomic_path(path) as second:  # neither removes the other's
        assert not left.exists()
        first.write_text("first")
        second.write_text("second")
    assert sorted(path.parent.iterdir()) == sorted([other, path])
    folders = [tmp_path / f".new.{number * 32}" for number in "01"]
    for folder in folders:
        folder.mkdir()
    with atomic_folder(tmp_path / "new") as temporary:
        (temporary / "a").touch()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "new"]


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_of_a_link_the_file_is_replaced(tmp_path):
    target, link = tmp_path / "elsewhere" / "blob", tmp_path / "file.txt"
    atomic_write_text(target, "old")
    link.symlink_to(target)
    atomic_write_text(link, "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")


@pytest.mark.skipif(os.name == "nt", reason="there are none there")
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(FileExistsError, match="is a pipe or a device: name a file"):
            atomic_write_text(path, "text")
        assert not path.is_file()


def test_what_a_library_says_of_a_full_disk_names_the_file(tmp_path):
    def write():
        with atomic_folder(tmp_path / "a") as folder, atomic_path(folder / "a.bin") as path, writing(path):
            raise RuntimeError("unexpected pos\nmore")

    with pytest.raises(OSError, match=r"/a/a\.bin cannot be written \(unexpected pos\): make room"):
        write()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told_with_the_file(tmp_path):
    def write():
        with atomic_path(tmp_path / "a.csv"), open("/dev/full", "w") as full:
            full.write("x" * 100_000)

    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.csv'"):
        write()


def test_a_lock_whose_file_is_removed_meanwhile_still_holds(tmp_path, monkeypatch):
    path, acquire, acquired = tmp_path / "lock", FileLock.acquire, []

    def removed(self, *arguments, **options):
        acquire(self, *arguments, **options)
        if not acquired:
            path.unlink()  # by its last holder, between our opening and locking it
        acquired.append(self)

    monkeypatch.setattr(FileLock, "acquire", removed)
    with locked(path, "held"), pytest.raises(BlockingIOError, match="held"), locked(path, "held"):
        pass
    assert len(acquired) == 2


def test_a_json_file_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}]')
    assert read_json(path) == [{"a": 1}]
    with pytest.raises(ValueError, match="it has more than 9 bytes"):
        read_json(path, 9)
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(path)
