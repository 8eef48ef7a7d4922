import gzip
import json

import numpy as np
import pytest

from torchmoji import default_model
from torchmoji.create_vocab import load_vocabulary
from torchmoji.default_model import make_default_model
from torchmoji.emojis import EMOJIS
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS, default_model_directory
from torchmoji.model_def import torchmoji_emojis, torchmoji_feature_encoding
from torchmoji.pretraining import Settings
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights import load_state_dict, model_sizes

SETTINGS = Settings(nb_tokens=28, embedding_dim=6, hidden_size=5, passes=2, batch_size=16, bfloat16=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    words = "good bad day night love hate rain sun song game food work home sleep run win lose cry".split()
    generator = np.random.default_rng(0)
    for name, count in (("train.tsv.gz", 120), ("valid.tsv.gz", 40)):
        lines = [f"{index % 64}\t{' '.join(generator.choice(words, 4))}\n" for index in range(count)]
        (folder / name).write_bytes(gzip.compress("".join(lines).encode()))
    return folder


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    scores = make_default_model(
        data, out, SETTINGS, command="make it", notes="A reader's view.", progress=False
    )
    return out, scores


def test_the_model_and_its_vocabulary_can_be_used_together(made):
    out, _ = made
    vocabulary = load_vocabulary(out / "vocabulary.json")
    tokens, _, _ = SentenceTokenizer(vocabulary, 10).tokenize_sentences(["good day"])
    assert torchmoji_emojis(out / "model.safetensors")(tokens).shape == (1, 64)
    assert list(vocabulary)[:10] == SPECIAL_TOKENS


def test_the_configuration_holds_sizes_and_classes(made):
    config = json.loads((made[0] / "config.json").read_text(encoding="utf-8"))
    assert config["classes"] == list(EMOJIS)
    assert (config["nb_tokens"], config["embedding_dim"], config["hidden_size"]) == (28, 6, 5)


def test_the_card_says_what_was_done_and_measured(made):
    out, (exact, stored) = made
    card = (out / "README.md").read_text(encoding="utf-8")
    for part in (
        "120 texts for training, 40 for validation",
        "make it",
        "A reader's view.",
        "| I love mom's cooking |",
        "must not be",
    ):
        assert part in card
    assert f"| this model, as stored | {stored.first:.2%} | {stored.first_five:.2%} |" in card
    assert f"| the same before rounding to int8 | {exact.first:.2%} |" in card


def test_a_second_call_starts_from_what_the_first_left(made, data, monkeypatch):
    out, scores = made
    monkeypatch.setattr(default_model, "read_labelled_texts", None)
    before = load_state_dict(out / "model.safetensors")
    assert make_default_model(data, out, SETTINGS, command="again", progress=False) == scores
    after = load_state_dict(out / "model.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_the_card_says_nothing_of_data_it_was_not_made_from(made):
    card = (made[0] / "README.md").read_text(encoding="utf-8")
    assert "fastText" not in card
    assert "GitHub" not in card


def test_without_progress_nothing_is_printed(data, tmp_path, capfd):
    make_default_model(data, tmp_path, SETTINGS, command="", progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_other_texts_is_refused(made, tmp_path):
    for name in ("train.tsv.gz", "valid.tsv.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"0\tgood day\n"))
    with pytest.raises(ValueError, match="was made from other texts than those in"):
        make_default_model(tmp_path, made[0], SETTINGS, command="", progress=False)


def test_a_folder_with_another_vocabulary_is_refused(made, data):
    settings = Settings(nb_tokens=20, embedding_dim=6, hidden_size=5)
    with pytest.raises(ValueError, match="has 28 words, not 20: use another folder"):
        make_default_model(data, made[0], settings, command="", progress=False)


def test_the_shipped_model_has_the_shapes_of_the_original():
    folder = default_model_directory()
    sizes = model_sizes(load_state_dict(folder / "model.safetensors"))
    assert (sizes.nb_tokens, sizes.embedding_dim, sizes.hidden_size, sizes.nb_outputs) == (
        NB_TOKENS,
        256,
        512,
        64,
    )
    vocabulary = load_vocabulary(folder / "vocabulary.json")
    assert list(vocabulary.values()) == list(range(NB_TOKENS))
    assert list(vocabulary)[:10] == SPECIAL_TOKENS
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 24_000_000


def test_the_shipped_model_tells_glad_from_sad_texts():
    folder = default_model_directory()
    tokenizer = SentenceTokenizer(load_vocabulary(folder / "vocabulary.json"), 30)
    tokens, _, _ = tokenizer.tokenize_sentences(
        ["i love you so much, happy birthday", "i miss you, i can't stop crying"]
    )
    glad, sad = torchmoji_emojis(folder / "model.safetensors")(tokens)
    hearts = [EMOJIS.index(emoji) for emoji in "❤😍💕😘♥💖"]
    tears = [EMOJIS.index(emoji) for emoji in "😭😔😢💔😩😞"]
    assert glad[hearts].sum() > 2 * sad[hearts].sum()
    assert sad[tears].sum() > 2 * glad[tears].sum()
    assert torchmoji_feature_encoding(folder / "model.safetensors")(tokens).shape == (2, 2304)


def test_the_shipped_model_beats_fasttext_on_texts_it_never_saw(data_root):
    from torchmoji.corpus import make_corpus, read_labelled_texts, word_lists
    from torchmoji.pretraining import evaluate

    folder = default_model_directory()
    texts, labels = read_labelled_texts(data_root / "data" / "emoji" / "valid.tsv.gz", 64)
    part = slice(0, 15000, 5)
    vocabulary = load_vocabulary(folder / "vocabulary.json")
    corpus = make_corpus(word_lists(texts[part]), labels[part], vocabulary)
    scores = evaluate(torchmoji_emojis(folder / "model.safetensors"), corpus)
    assert scores.first > default_model.FASTTEXT[0]
    assert scores.first_five > default_model.FASTTEXT[1]
