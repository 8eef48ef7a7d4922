"""torchmoji.filter_input: lists of words, emojis and users, as files hold them."""

import logging

import numpy as np
import pytest

from torchmoji.filter_input import read_english, read_non_english_users, read_wanted_emojis


def test_read_english_lower_cases_and_leaves_out_blank_lines(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("Love\n\n  naïve \r\nlove\n", encoding="utf-8-sig")
    assert read_english(path, add_emojis=False) == {"love", "naïve"}
    assert read_english(path) > {"love", "naïve", "😂", "❤"}


@pytest.mark.parametrize("read", [read_english, read_wanted_emojis])
def test_missing_file(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        read(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("content", "emojis"),
    [
        ("😂\n❤\n", ["😂", "❤"]),
        ("\\U0001f602\n\\u2764\n", ["😂", "❤"]),
        ("\\U0001F602,tears of joy\n", ["😂"]),  # the first column counts
        ("\n ❤ \r\n,x\n", ["❤"]),
        ("❤\ufe0f\n\\u2764\\ufe0f\n", ["❤", "❤"]),  # as a phone's keyboard writes it
        ("\ufeff😂\n", ["😂"]),  # byte order mark
    ],
)
def test_read_wanted_emojis(tmp_path, content, emojis):
    path = tmp_path / "wanted.csv"
    path.write_text(content, encoding="utf-8", newline="")
    assert read_wanted_emojis(path) == emojis


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\\UFFFFFFFF", b"a" * 200_000])
def test_lists_that_cannot_be_read_are_named(tmp_path, content):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*list\.csv \(.{1,200}\): save it as UTF-8 text$"):
        read_wanted_emojis(tmp_path / "list.csv")


def test_read_non_english_users(tmp_path):
    path = tmp_path / "users.npz"
    np.savez(path, userids=np.array([7, 99, 7]))
    users = read_non_english_users(path)
    assert users == {7, 99}
    assert all(type(user) is int for user in users)


def test_no_list_of_users_means_none_and_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="torchmoji.filter_input"):
        assert read_non_english_users(tmp_path / "none.npz") == set()
    assert "none.npz" in caplog.text


def test_users_are_not_unpickled(tmp_path):
    path = tmp_path / "users.npz"
    np.savez(path, userids=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"users\.npz is not a list of users.* of object"):
        read_non_english_users(path)
