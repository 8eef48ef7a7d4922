"""torchmoji.files.atomic: files are written whole or not at all."""

import os
import stat

import pytest

from torchmoji.files.atomic import atomic_path, atomic_write_text


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the process's mask for new files, for the time of a test."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_path_is_beside_the_file_with_its_ending(tmp_path):
    with atomic_path(tmp_path / "weights.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npz"


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old and longer")
    atomic_write_text(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_existing_file_is_kept_where_the_block_fails(tmp_path, exception):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write():
        with atomic_path(path) as temporary:
            temporary.write_text("hal")
            raise exception("in the middle")

    with pytest.raises(exception, match="in the middle"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_may_come_after_the_temporary_file_is_gone(tmp_path):
    def write():
        with atomic_path(tmp_path / "file.txt") as temporary:
            temporary.unlink()
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write_text(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_missing_folders_are_made(tmp_path):
    atomic_write_text(tmp_path / "a" / "b" / "file.txt", "text")
    assert (tmp_path / "a" / "b" / "file.txt").read_text() == "text"


def test_paths_may_be_strings(tmp_path):
    atomic_write_text(str(tmp_path / "file"), "text")
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.usefixtures("umask")
def test_new_files_have_the_usual_permissions(tmp_path):
    atomic_write_text(tmp_path / "file.txt", "text")
    assert mode(tmp_path / "file.txt") == 0o640


@pytest.mark.parametrize("permissions", [0o600, 0o664])
@pytest.mark.usefixtures("umask")
def test_a_replaced_file_keeps_its_permissions(tmp_path, permissions):
    path = tmp_path / "file.txt"
    path.touch()
    path.chmod(permissions)
    atomic_write_text(path, "text")
    assert mode(path) == permissions


def test_long_names(tmp_path):
    path = tmp_path / ("a" * 250 + ".txt")
    atomic_write_text(path, "text")
    assert path.read_text() == "text"


def test_text_is_utf_8(tmp_path):
    atomic_write_text(tmp_path / "file.txt", "é😂")
    assert (tmp_path / "file.txt").read_bytes() == "é😂".encode()


@pytest.mark.skipif(os.name == "nt", reason="permissions are other things there")
def test_a_file_that_was_put_in_its_place_gets_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with atomic_path(tmp_path / "new") as temporary:
        other = tmp_path / "other"
        other.touch(mode=0o600)
        other.replace(temporary)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
