"""torchmoji.word_generator: words of single texts, what is remembered, filters, counters, tweets."""

import random
import unicodedata
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from text_unidecode import unidecode

from torchmoji import word_generator
from torchmoji.filter_utils import (
    convert_linebreaks,
    process_word,
    punct_word,
    remove_variation_selectors,
    separate_emojis_and_text,
)
from torchmoji.tokenizer import RE_PATTERN
from torchmoji.word_generator import ALLOWED_CONVERTED_UNICODE_PUNCTUATION, TweetWordGenerator, WordGenerator


def for_sentences(**options):
    return WordGenerator(None, **{"allow_unicode_text": True, "ignore_emojis": False} | options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  I LOVE it  ", ["i", "love", "it"]),
        ("İstanbul ΟΔΟΣ", ["istanbul", "ο", "δ", "ο", "σ"]),  # lower-casing maps one character to one
        ("a\nb<br>c\\rd", ["a", "CUSTOM_BREAK", "b", "CUSTOM_BREAK", "c", "CUSTOM_BREAK", "d"]),
        ("❤\ufe0fok", ["❤", "ok"]),
        ("Ａｂｃ １２ ﬁn", ["abc", "CUSTOM_NUMBER", "fin"]),  # NFKC
        ("wait… what‼ it’s “ok”", ["wait", "..", "what", "!!", "it's", '"', "ok", '"']),
        ("sooooo ЯЯЯЯ", ["soo", "я", "я", "я", "я"]),
        ("@bob 12 http://t.co", ["CUSTOM_AT", "CUSTOM_NUMBER", "CUSTOM_URL"]),
        ("lol😂", ["lol", "😂"]),
        ("a\ud83db", ["a", "\ud83d", "b"]),  # a lone surrogate is a character like others
        ("a\u180eb", ["a", "b"]),
    ],
)
def test_words_of_a_sentence(text, words):
    assert for_sentences().get_words(text) == words


@pytest.mark.parametrize("text", ["", " \t", "\ufe0f", "\ufe0f \ufe0e"])
def test_texts_without_words(text):
    assert for_sentences().get_words(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("love it", ["love", "it"]),
        ("love 😂 it❤\ufe0f", ["love", "it"]),
        ("wait… it’s", ["wait", "..", "it's"]),
        ("one\u180etwo", ["one", "two"]),  # white space to Python 2
        ("one café", []),  # one other character refuses the text
    ],
)
def test_words_for_a_vocabulary(text, words):
    assert WordGenerator(None).get_words(text) == words


def test_options_of_a_sentence():
    assert for_sentences(break_replacement=False).get_words("a\nb<br>c") == ["a", "b", "<", "br", ">", "c"]
    assert for_sentences(remove_variation_selectors=False).get_words("❤\ufe0f") == ["❤", "\ufe0f"]


@pytest.mark.parametrize("text", [None, 3.5, b"love"])
def test_get_words_refuses_what_is_no_string(text):
    with pytest.raises(TypeError, match=f"a text must be a str, got {type(text).__name__}"):
        WordGenerator(None).get_words(text)


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({}, (False, "")),
        ({"allow_unicode_text": True}, (True, "é!!")),
        ({"allow_unicode_text": True, "ignore_emojis": False}, (True, "é!!😂")),
    ],
)
def test_convert_unicode_word(options, result):
    assert WordGenerator(None, **options).convert_unicode_word("é‼😂") == result


# --- parts of texts are processed on their own and remembered

PIECES = [
    *"a b C İ Σ ſ 1 23 ٣ ½ @ @x # #t http:// www. a@b.cc . , ! ... … ‼ ’ < 3 <3 : ) - _ mr. a.m.".split(),
    *"<br> <BR> <b r> 😂 ❤ é ﬁ 한 Ａ １ § € £ aaa ooooo !!!! CUSTOM_BREAK ' \" + / $".split(),
    *r"\n \\n \r \\r".split(),
    *" \t\n\r\x1c\x85\xa0\xa8\u180e\u2028\u3000\x00\x7f\u200d\ufe0f\u212a\ufdfa\ud83d\ude00",
    *"\u0301\u0316\u0344\u0345\u1100\u1161\u3099\uff9e",
]
SETTINGS = ["allow_unicode_text", "ignore_emojis", "remove_variation_selectors", "break_replacement"]


def made_up_text(rng):
    """Pieces of all kinds; one in four texts has a long run of combining marks too."""
    text = "".join(rng.choices(PIECES, k=rng.randint(0, 20)))
    if rng.random() < 0.25:
        text += "".join(rng.choices(["\u0301", "\u0316", "\u0344", "\uff9e", "é"], [9, 9, 9, 9, 1], k=60))
    return text


def words_of_whole_text(text, allow_unicode_text, ignore_emojis, remove_selectors, break_replacement):
    """The rules as they are written in words, each applied to the whole text."""

    def converted(word):
        if word.isascii():
            return word
        decoded = [(c, unidecode(c).lower()) for c in unicodedata.normalize("NFKC", word)]
        allowed = ALLOWED_CONVERTED_UNICODE_PUNCTUATION
        word = "".join(new if new and punct_word(new, allowed) else old for old, new in decoded)
        return separate_emojis_and_text(word)[1] if ignore_emojis else word

    text = text.translate(str.maketrans({"İ": "i", "Σ": "σ", "\u180e": " "})).strip().lower()
    if break_replacement:
        text = convert_linebreaks(text)
    if remove_selectors:
        text = remove_variation_selectors(text)
    text = " ".join(map(converted, text.split()))
    if not allow_unicode_text and not text.isascii():
        return []
    return [process_word(word) for word in RE_PATTERN.findall(text) if word]


@pytest.mark.parametrize(
    "settings",
    [
        (True, False, True, True),
        (False, True, True, True),
        (True, True, True, False),
        (True, False, False, True),
        (False, False, False, False),
    ],
)
def test_words_are_those_of_the_whole_text(settings):
    rng = random.Random(5)
    texts = [made_up_text(rng) for _ in range(4000)]
    generator = WordGenerator(None, **dict(zip(SETTINGS, settings, strict=True)))
    n_with_words = 0
    for text in [*texts, *texts[:500]]:
        words = words_of_whole_text(text, *settings)
        assert generator.get_words(text) == words, ascii(text)
        n_with_words += bool(words)
    assert n_with_words > (3000 if settings[0] else 200)


@pytest.fixture
def tokenized(monkeypatch):
    """Starts with nothing remembered; lists the arguments of all calls of `tokenize`."""
    monkeypatch.setattr(word_generator, "_REMEMBERED", defaultdict(dict))
    calls = []
    monkeypatch.setattr(word_generator, "tokenize", lambda text: calls.append(text) or [text])
    return calls


def test_a_part_is_tokenized_once(tokenized):
    for _ in range(2):
        assert for_sentences().get_words("Love love é love") == ["love", "love", "é", "love"]
    assert tokenized == ["love", "é"]


def test_settings_may_change_at_any_time():
    generator = for_sentences()
    assert generator.get_words("é") == ["é"]
    generator.allow_unicode_text = False
    assert generator.get_words("é") == []


@pytest.mark.parametrize("part", ["a" * 33, "ab.cd,ef;gh!"])
def test_long_parts_are_not_remembered(monkeypatch, part):
    monkeypatch.setattr(word_generator, "_REMEMBERED", {(True, False, True): {}})
    monkeypatch.setattr(word_generator, "_REMEMBERED_WORDS", 7)
    for_sentences().get_words(f"{part} short")
    assert word_generator._REMEMBERED == {(True, False, True): {"short": ("short",)}}


def test_changing_the_words_of_a_text_changes_no_other(tokenized):
    words = for_sentences().get_words("love")
    words += ["x"]
    assert for_sentences().get_words("love") == ["love"]


class Counting(WordGenerator):
    """Its conversion of a word depends on how often it was called."""

    calls = 0

    def convert_unicode_word(self, word):
        self.calls += 1
        return True, f"{word} n{'x' * self.calls}"


class Dashed(WordGenerator):
    def convert_unicode_punctuation(self, word):
        return super().convert_unicode_punctuation(word).replace("é", "-")


def test_own_conversion_of_words_is_always_called():
    generator = Counting(None)
    assert generator.get_words("a a") == ["a", "nx", "a", "nxx"]
    assert generator.get_words("a a") == ["a", "nxx", "a", "nxx"]
    assert generator.calls == 4


def test_own_methods_are_used_for_parts_that_are_remembered():
    assert for_sentences().get_words("é") == ["é"]
    assert Dashed(None, allow_unicode_text=True).get_words("é") == ["-"]


def test_threads_give_the_same_words(monkeypatch):
    monkeypatch.setattr(word_generator, "_REMEMBERED_CHUNKS", 20)
    rng = random.Random(6)
    texts = [made_up_text(rng) for _ in range(1000)]
    generator = for_sentences()
    expected = [generator.get_words(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(generator.get_words, [*texts, *texts])) == expected * 2


class Labelled(WordGenerator):
    """Takes pairs of a text and a label; leaves out texts of label 0 and those of one word."""

    def data_preprocess_filtering(self, line, iter_i):
        text, label = line
        return label != 0, text, {"label": label, "position": iter_i}

    def data_postprocess_filtering(self, words, iter_i):
        return len(words) > 1, words, {"length": len(words), "position again": iter_i}


STREAM = [("one two", 1), ("three four", 0), ("café au lait", 2), ("five", 3), ("six seven", 4)]


def test_iteration_gives_words_and_information_and_counts():
    generator = Labelled(STREAM)
    assert list(generator) == [
        (["one", "two"], {"label": 1, "position": 0, "length": 2, "position again": 0}),
        (["six", "seven"], {"label": 4, "position": 4, "length": 2, "position again": 4}),
    ]
    assert generator.stats == {
        "pretokenization_filtered": 1,
        "unicode_filtered": 1,
        "posttokenization_filtered": 1,
        "total": 5,
        "valid": 2,
    }
    with pytest.raises(ValueError, match="has no stream: set its `stream`"):
        list(WordGenerator(None))


def test_statistics_add_up_until_they_are_reset():
    generator = WordGenerator(["a", "b"])
    generator.generate_array_from_input()
    generator.generate_array_from_input()
    assert generator.stats["total"] == 4
    generator.reset_stats()
    assert set(generator.stats.values()) == {0}


def test_texts_that_a_filter_leaves_without_words_are_not_given():
    class Silent(WordGenerator):
        def data_postprocess_filtering(self, words, iter_i):
            return True, [], {}

    generator = Silent(["a", "b"])
    assert list(generator) == []
    assert (generator.stats["total"], generator.stats["valid"]) == (2, 0)


def test_an_iterator_is_read_only_as_far_as_needed():
    lines = iter(["a", "b", "c"])
    generator = iter(WordGenerator(lines))
    assert next(generator)[0] == ["a"]
    assert next(lines) == "b"


# --- tweets


def tweet(text, user="7"):
    return "\t".join(["0", user, *"xxxxxxx", text])


def chosen(lines, **options):
    return [words for words, _ in TweetWordGenerator(lines, **options)]


@pytest.mark.parametrize(
    ("texts", "option", "kept_with", "kept_without"),
    [
        (["RT hello", "rt hello", "please RT hello"], "ignore_retweets", [2], [0, 1, 2]),
        (["hello http://t.co", "hello www.t.co"], "ignore_url_tweets", [], [0, 1]),
        (["hello @bob", "hello @ home"], "ignore_mention_tweets", [1], [0, 1]),
    ],
)
def test_kinds_of_tweets_that_may_be_left_out(texts, option, kept_with, kept_without):
    by_default = kept_without if option == "ignore_mention_tweets" else kept_with
    for options, kept in (({option: True}, kept_with), ({option: False}, kept_without), ({}, by_default)):
        expected = [WordGenerator(None).get_words(texts[index]) for index in kept]
        assert chosen(map(tweet, texts), **options) == expected


def test_wanted_emojis():
    tweets = [tweet("a ❤\ufe0f😂😂"), tweet("b 👍"), tweet("c")]
    generator = TweetWordGenerator(tweets, wanted_emojis=["😂", "❤"])
    assert [info["emojis"] for _, info in generator] == [["❤", "😂"]]


def test_non_english_users():
    assert chosen([tweet("hola", "99"), tweet("hello")], non_english_user_set={99}) == [["hello"]]


def test_english_words():
    tweets = [tweet("hello you xx"), tweet("hola que tal")]
    generator = TweetWordGenerator(tweets, english_words={"hello", "you"})
    about = {"emojis": [], "length": 3, "n_normal_words": 3, "n_english": 2}
    assert list(generator) == [(["hello", "you", "xx"], about)]
    assert generator.stats["posttokenization_filtered"] == 1


def test_lines_with_too_few_fields_are_left_out():
    generator = TweetWordGenerator(["0\t7\ttext", "", tweet("hello")])
    assert [words for words, _ in generator] == [["hello"]]
    assert generator.stats["pretokenization_filtered"] == 2


def test_written_out_line_breaks_and_ampersands():
    assert chosen([tweet("a\\nb &amp; c")]) == [["ab", "&", ";", "c"]]
