import pytest

from torchmoji.corpus.emoji_finder import EmojiFinder, parse_emojis
from torchmoji.emojis import EMOJIS


@pytest.fixture(scope="module")
def finder():
    return EmojiFinder(EMOJIS)


def index(name):
    return EMOJIS.index(name)


@pytest.mark.parametrize(
    ("text", "found", "rest"),
    [
        ("so good 😂", ["😂"], "so good  "),
        ("a😂b😂c", ["😂"], "a b c"),
        ("😭 and 😂", ["😂", "😭"], "  and  "),
        ("❤️ with a selector, ❤︎ in text style", ["❤"], "  with a selector,   in text style"),
        ("👍🏽 in brown, ✌🏿️", ["✌", "👍"], "  in brown,  "),
        ("a woman 💁🏽‍♀️, a man 🙅‍♂️", ["💁", "🙅"], "a woman  , a man  "),
        ("symbols ♡ ♥", ["♥", "♡"], "symbols    "),
        ("flags stay 🇩🇪😂", ["😂"], "flags stay 🇩🇪 "),
        ("others stay 🦖😂", ["😂"], "others stay 🦖 "),
    ],
)
def test_target_emojis_are_found_and_taken_out(finder, text, found, rest):
    assert finder.take_out(text) == (sorted(map(index, found)), rest)


def test_parts_of_other_emojis_are_not_found(finder):
    texts = ["a couple 👩‍❤️‍👨", "on fire ❤️‍🔥", "a doctor 💁‍⚕️", "unknown before it \u2fff\u200d❤", "1️⃣ keycap"]
    newer_than_the_package = "\U0001faff\u200d❤"
    for text in (*texts, newer_than_the_package, "nothing", ""):
        assert finder.take_out(text) == ([], text)


@pytest.mark.parametrize(
    ("target", "text", "is_found"),
    [
        ("🇩🇪", "🇫🇷🇩🇪", True),
        ("🇩🇪", "🇪🇩🇪🇫", False),
        ("❤️‍🔥", "x ❤‍🔥", True),
        ("❤️‍🔥", "x ❤️", False),
        ("👩‍❤️‍👨", "👩🏽‍❤️‍👨🏿", True),
        ("1️⃣", "1️⃣", True),
        ("1️⃣", "11 2️⃣", False),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", True),
        ("🏴", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", False),
    ],
)
def test_targets_may_be_sequences(target, text, is_found):
    assert bool(EmojiFinder([target, "😂"]).take_out(text)[0]) == is_found


@pytest.mark.parametrize(
    ("emojis", "message"),
    [
        ([], "must be a list of at least one emoji"),
        (["a"], "'a' is not an emoji"),
        (["1"], "'1' is not an emoji"),
        (["🏽"], "'🏽' is not an emoji"),
        (["😂😍"], "'😂😍' is not an emoji: separate"),
        (["👍", "👍🏽"], "'👍🏽' is the same emoji as '👍'"),
    ],
)
def test_wrong_lists_are_refused(emojis, message):
    with pytest.raises(ValueError, match=message):
        EmojiFinder(emojis)


@pytest.mark.parametrize(
    ("value", "classes"),
    [
        *(("3,51", [3, 51]), ("😂 😭️", [0, 3]), ([1, "😂"], [0, 1]), (["😂", "😂"], [0]), (7, [7])),
        *(("🦖", []), (None, []), ("", []), (3.0, [3]), ([3.0, 1], [1, 3])),
    ],
)
def test_labels_are_numbers_or_emojis(finder, value, classes):
    assert finder.read_labels(value) == classes


NESTED: list = []
for _ in range(20_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "value",
    [
        *("joy", "64", -1, True, [["😂"]], 1.5, float("nan"), float("inf")),
        *("9" * 5000, 10**5000, "x" * 5000, NESTED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_labels_are_refused(finder, value):
    with pytest.raises(ValueError, match="neither a class from 0 to 63 nor an emoji") as refusal:
        finder.read_labels(value)
    assert len(str(refusal.value)) < 200


def test_lists_are_read_from_strings_and_files(tmp_path):
    path = tmp_path / "emojis.csv"
    path.write_text("😂,face\n❤️,heart\n\\U0001f62d,crying\n", encoding="utf-8")
    assert parse_emojis(path) == ("😂", "❤", "😭")
    assert parse_emojis("😂, ❤️ 😭") == ("😂", "❤", "😭")
    with pytest.raises(ValueError, match=r"'no-such\.csv' is not an emoji: .* give a file of them"):
        parse_emojis("no-such.csv")
    for content in (b"\xff", b"\\UFFFFFFFF", b"x" * 10_000, b"\0", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^.*emojis\.csv is no file of emojis, one a line: .{1,200}$"):
            parse_emojis(path)
