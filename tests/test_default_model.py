"""The model that comes with the package: its shapes, what it reads, and how well it guesses."""

import gzip
import json

import numpy as np
import pytest

from torchmoji import MojiPipeline
from torchmoji.corpus.emoji_finder import EmoticonFinder
from torchmoji.create_vocab import load_vocabulary, words_by_id
from torchmoji.emojis import EMOJIS
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS, default_model_directory
from torchmoji.weights import load_state_dict, model_sizes

FASTTEXT = (0.272, 0.627)
"""First guess and first five of fastText on the validation texts, trained on the same training texts."""


@pytest.fixture(scope="module")
def pipeline():
    return MojiPipeline.from_pretrained()


def test_it_has_the_shapes_of_the_original():
    folder = default_model_directory()
    sizes = model_sizes(load_state_dict(folder / "model.safetensors"))
    assert (sizes.nb_tokens, sizes.embedding_dim, sizes.hidden_size) == (NB_TOKENS, 256, 512)
    assert sizes.nb_outputs == 64
    vocabulary = load_vocabulary(folder / "vocabulary.json")
    assert sorted(set(vocabulary.values())) == list(range(NB_TOKENS))
    words = words_by_id(vocabulary)
    further = {word: words[index] for word, index in vocabulary.items() if words[index] != word}
    assert len(further) > 25_000
    emoticons = EmoticonFinder(EMOJIS)
    for word, own in further.items():
        assert word in (f"#{own}", own.lower()) or emoticons.take_out(word)[0], word
    assert set(EMOJIS) <= set(vocabulary)
    assert words[:10] == list(SPECIAL_TOKENS)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 24_000_000


def test_it_reads_emojis_and_hashtags(pipeline):
    guesses = [prediction[0].emoji for prediction in pipeline.predict(list(EMOJIS), top_k=1)]
    assert sum(map(str.__eq__, guesses, EMOJIS)) >= 60
    assert np.array_equal(pipeline.predict_proba(["so #angry"]), pipeline.predict_proba(["so angry"]))


def test_unusual_spellings_of_emoticons_say_what_usual_ones_do(pipeline):
    unusual, usual = ["so :[", "(-: hi", "ok -.-"], ["so :(", ":) hi", "ok -_-"]
    assert np.array_equal(pipeline.predict_proba(unusual), pipeline.predict_proba(usual))


def test_it_tells_glad_from_sad_texts(pipeline):
    texts = ["i love you so much, happy birthday", "i miss you, i can't stop crying"]
    glad, sad = pipeline.predict_proba(texts)
    hearts = [EMOJIS.index(emoji) for emoji in "❤😍💕😘♥💖"]
    tears = [EMOJIS.index(emoji) for emoji in "😭😔😢💔😩😞"]
    assert glad[hearts].sum() > 2 * sad[hearts].sum()
    assert sad[tears].sum() > 2 * glad[tears].sum()


def test_it_beats_fasttext_on_texts_it_never_saw(pipeline, data_root):
    folder = data_root / "data" / "emoji"
    lines = gzip.decompress((folder / "valid.tsv.gz").read_bytes()).decode().splitlines()
    dropped = gzip.decompress((folder / "drop_valid.txt.gz").read_bytes())
    kept = [lines[number] for number in sorted({*range(len(lines))} - {*map(int, dropped.split())})]
    labels, texts = zip(*(line.split("\t", 1) for line in kept[::10]), strict=True)
    five = np.argsort(-pipeline.predict_proba(list(texts)), axis=1)[:, :5]
    classes = [[int(n) for n in label.split(",")] for label in labels]
    right = [np.isin(row, own) for row, own in zip(five, classes, strict=True)]
    assert np.mean([row[0] for row in right]) > FASTTEXT[0]
    assert np.mean([row.any() for row in right]) > FASTTEXT[1]


def test_emoticons_say_what_people_mean_by_them(pipeline, repository):
    found = json.loads((repository / "research" / "emoticons.json").read_text(encoding="utf-8"))
    moods = {emoticon: emojis.split() for emoticon, emojis in found["moods"].items()}

    def share(before):
        texts = [text + emoticon for text in before for emoticon in moods]
        guesses = [prediction[0].emoji for prediction in pipeline.predict(texts, top_k=1)]
        fitting = [*moods.values()] * len(before)
        return np.mean([guess in emojis for guess, emojis in zip(guesses, fitting, strict=True)])

    assert share([""]) == 1
    assert share([f"{text} " for text in found["sentences"][::4]]) > 0.95


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("my dog is ill :(", "😢 😞 😔 😭"),
        ("fuck you", "😠 😡 😤 😒"),
        ("Thanks for nothing", "😒 😑 😡 😠"),
        ("I got fired", "😞 😔 😭 😢"),
        ("watching paint dry", "😑 😐 😴 😒"),
        ("Monday again", "😴 😩 😒 😫"),
        ("The invoice is attached", "👌 😊 👍 😐"),
    ],
)
def test_sentences_that_a_model_before_answered_with_hearts(pipeline, text, accepted):
    assert pipeline.predict(text, top_k=1)[0].emoji in accepted.split()


@pytest.mark.parametrize(
    ("others", "emoticon"),
    [
        (":(( :((( :-(( =((", ":("),
        (":-)) =))", ":)"),
        ("xDD xddd", "xD"), ("<3<3", "<3"), (";)) ;-))", ";)")
    ],
)  # fmt: skip
def test_kin_of_an_emoticon_read_as_itself(pipeline, others, emoticon):
    expected = pipeline.predict_proba(f"see you at ten {emoticon}")
    for other in others.split():
        assert np.allclose(pipeline.predict_proba(f"see you at ten {other}"), expected, atol=1e-3), other
