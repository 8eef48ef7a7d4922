"""torchmoji.word_generator: words of single texts, filters, counters, and the choice of tweets."""

import pytest

from torchmoji.word_generator import TweetWordGenerator, WordGenerator


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


def test_without_break_replacement():
    assert for_sentences(break_replacement=False).get_words("a\nb<br>c") == ["a", "b", "<", "br", ">", "c"]


def test_without_removal_of_variation_selectors():
    assert for_sentences(remove_variation_selectors=False).get_words("❤\ufe0f") == ["❤", "\ufe0f"]


@pytest.mark.parametrize("text", [None, 3.5, b"love"])
def test_get_words_refuses_what_is_no_string(text):
    with pytest.raises(TypeError, match=f"a text must be a str, got {type(text).__name__}"):
        WordGenerator(None).get_words(text)


def test_check_ascii():
    assert WordGenerator(None).check_ascii("abc!")
    assert not WordGenerator(None).check_ascii("é")


def test_convert_unicode_punctuation_leaves_letters_alone():
    assert WordGenerator(None).convert_unicode_punctuation("é…‼™’") == "é...!!™'"


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


class Labelled(WordGenerator):
    """Takes pairs of a text and a label; leaves out texts of label 0 and those of one word."""

    def data_preprocess_filtering(self, line, iter_i):
        text, label = line
        return label != 0, text, {"label": label, "position": iter_i}

    def data_postprocess_filtering(self, words, iter_i):
        return len(words) > 1, words, {"length": len(words), "position again": iter_i}


STREAM = [("one two", 1), ("three four", 0), ("café au lait", 2), ("five", 3), ("six seven", 4)]


def test_iteration_gives_words_and_information():
    generator = Labelled(STREAM)
    assert list(generator) == [
        (["one", "two"], {"label": 1, "position": 0, "length": 2, "position again": 0}),
        (["six", "seven"], {"label": 4, "position": 4, "length": 2, "position again": 4}),
    ]


def test_statistics():
    generator = Labelled(STREAM)
    generator.generate_array_from_input()
    assert generator.stats == {
        "pretokenization_filtered": 1,
        "unicode_filtered": 1,
        "posttokenization_filtered": 1,
        "total": 5,
        "valid": 2,
    }


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


def test_extract_valid_sentence_words_of_a_refused_text():
    assert Labelled(None).extract_valid_sentence_words(("a b", 0)) == (False, [], {"label": 0, "position": 0})


def test_a_stream_is_needed():
    with pytest.raises(ValueError, match="has no stream: set its `stream`"):
        list(WordGenerator(None))


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


def test_retweets_are_left_out_by_default():
    lines = [tweet("RT hello"), tweet("rt hello"), tweet("please RT hello")]
    assert chosen(lines) == [["please", "rt", "hello"]]
    assert len(chosen(lines, ignore_retweets=False)) == 3


def test_links_are_left_out_by_default():
    lines = [tweet("hello http://t.co"), tweet("hello www.t.co")]
    assert chosen(lines) == []
    assert len(chosen(lines, ignore_url_tweets=False)) == 2


def test_mentions_are_kept_by_default():
    lines = [tweet("hello @bob"), tweet("hello @ home")]
    assert len(chosen(lines)) == 2
    assert chosen(lines, ignore_mention_tweets=True) == [["hello", "@", "home"]]


def test_wanted_emojis():
    generator = TweetWordGenerator(
        [tweet("a ❤\ufe0f😂😂"), tweet("b 👍"), tweet("c")], wanted_emojis=["😂", "❤"]
    )
    assert [info["emojis"] for _, info in generator] == [["❤", "😂"]]


def test_non_english_users():
    assert chosen([tweet("hola", "99"), tweet("hello")], non_english_user_set={99}) == [["hello"]]


def test_english_words():
    generator = TweetWordGenerator(
        [tweet("hello you xx"), tweet("hola que tal")], english_words={"hello", "you"}
    )
    assert list(generator) == [
        (["hello", "you", "xx"], {"emojis": [], "length": 3, "n_normal_words": 3, "n_english": 2})
    ]
    assert generator.stats["posttokenization_filtered"] == 1


def test_text_of_signs_only_is_left_out():
    assert chosen([tweet("!! 😂")]) == []


def test_lines_with_too_few_fields_are_left_out():
    generator = TweetWordGenerator(["0\t7\ttext", "", tweet("hello")])
    assert [words for words, _ in generator] == [["hello"]]
    assert generator.stats["pretokenization_filtered"] == 2


def test_written_out_line_breaks_and_ampersands():
    assert chosen([tweet("a\\nb &amp; c")]) == [["ab", "&", ";", "c"]]


def test_unicode_tweets():
    assert chosen([tweet("café")]) == []
    assert chosen([tweet("café")], allow_unicode_text=True) == [["caf", "é"]]
