"""The model that comes with the package: its shapes, what it reads, and how well it guesses."""

import gzip

import numpy as np
import pytest

from torchmoji import MojiPipeline
from torchmoji.create_vocab import load_vocabulary, words_by_id
from torchmoji.emojis import EMOJIS
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS, default_model_directory
from torchmoji.weights import load_state_dict, model_sizes

FASTTEXT = (0.273, 0.628)
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
    assert all(word in (f"#{own}", own.lower()) for word, own in further.items())
    assert set(EMOJIS) <= set(vocabulary)
    assert words[:10] == list(SPECIAL_TOKENS)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 24_000_000


def test_it_reads_emojis_and_hashtags(pipeline):
    guesses = [prediction[0].emoji for prediction in pipeline.predict(list(EMOJIS), top_k=1)]
    assert sum(map(str.__eq__, guesses, EMOJIS)) >= 60
    assert np.array_equal(pipeline.predict_proba(["so #angry"]), pipeline.predict_proba(["so angry"]))


def test_it_tells_glad_from_sad_texts(pipeline):
    glad, sad = pipeline.predict_proba(
        ["i love you so much, happy birthday", "i miss you, i can't stop crying"]
    )
    hearts = [EMOJIS.index(emoji) for emoji in "❤😍💕😘♥💖"]
    tears = [EMOJIS.index(emoji) for emoji in "😭😔😢💔😩😞"]
    assert glad[hearts].sum() > 2 * sad[hearts].sum()
    assert sad[tears].sum() > 2 * glad[tears].sum()


def test_it_beats_fasttext_on_texts_it_never_saw(pipeline, data_root):
    lines = (
        gzip.decompress((data_root / "data" / "emoji" / "valid.tsv.gz").read_bytes()).decode().splitlines()
    )
    labels, texts = zip(*(line.split("\t", 1) for line in lines[::10]), strict=True)
    five = np.argsort(-pipeline.predict_proba(list(texts)), axis=1)[:, :5]
    right = [
        np.isin(row, [int(n) for n in label.split(",")]) for row, label in zip(five, labels, strict=True)
    ]
    assert np.mean([row[0] for row in right]) > FASTTEXT[0]
    assert np.mean([row.any() for row in right]) > FASTTEXT[1]
