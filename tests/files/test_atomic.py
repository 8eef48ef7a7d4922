"""torchmoji.files.atomic: files are written whole or not at all."""

import os
import stat

import pytest

from torchmoji.files.atomic import atomic_path, atomic_write_text, remove_leftovers


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
        assert (temporary.parent, temporary.suffix) == (path.parent, ".npz")
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


def test_long_names_and_text_as_utf_8(tmp_path):
    path = tmp_path / ("a" * 250 + ".txt")
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


def test_only_what_a_killed_write_left_is_removed(tmp_path):
    kept = {"model.safetensors", ".lock", ".hidden.txt", ".a.0123.bin", "elsewhere"}
    for name in kept - {"elsewhere"}:
        (tmp_path / name).touch()
    for name in ("model.safetensors", "checkpoint.pt", "noending"):
        with atomic_path(tmp_path / "elsewhere" / name) as temporary:
            pass
        (tmp_path / temporary.name).touch()
    assert len(list(tmp_path.iterdir())) == len(kept) + 3
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
