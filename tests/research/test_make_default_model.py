"""The default model made on a small scale, with a tiny encoder in place of one of `transformers`."""

import dataclasses
import gzip
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.fake_encoder import with_fake_encoder
from support.programs import loaded
from support.small_corpus import small_corpus

from torchmoji import MojiPipeline
from torchmoji.create_vocab import words_by_id
from torchmoji.emojis import EMOJIS, EXAMPLE_TEXTS
from torchmoji.emoticons import EMOTICONS
from torchmoji.weights import load_state_dict
from torchmoji.word_generator import every_word

WORDS = [first + second for first in "bdfgklmnprst" for second in ("an", "el", "im", "or", "ud", "ay", "ee")]
SMALL = {"embedding_dim": 6, "hidden_size": 5, "bfloat16": False, "evaluate_every": 0, "batch_size": 16}


@pytest.fixture(scope="module")
def sentences(repository):
    with loaded(repository / "research" / "sentences.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for name, count in (("train.tsv.gz", 160), ("valid.tsv.gz", 40)):
        labels = [f"{n % 64},{(n + 7) % 64}" if n % 4 == 0 else f"{n % 64}" for n in range(count)]
        lines = [f"{label}\t{' '.join(generator.choice(WORDS, 6))}\n" for label in labels]
        (folder / name).write_bytes(gzip.compress("".join(lines).encode()))
    (folder / "drop_train.txt.gz").write_bytes(gzip.compress(b"4\n68\n132\n"))  # all of class 4
    return folder


@pytest.fixture(scope="module")
def make(repository, data, tmp_path_factory):
    """Make a model of a few thousand weights."""
    encoder = tmp_path_factory.mktemp("encoder")
    (encoder / "config.json").write_text("{}")
    with with_fake_encoder(repository / "research" / "make_default_model.py") as program:
        program.RULES = dataclasses.replace(program.RULES, put_in=1.0)  # there are few texts
        every = program.read_sentences
        program.read_sentences = lambda name: every(name)[:: 200 if name == "sentences.jsonl" else 1]
        student = dataclasses.replace(program.STUDENT, **SMALL)
        teacher = dataclasses.replace(program.TEACHER, batch_size=16, bfloat16=False)

        again = dataclasses.replace(program.AGAIN, **SMALL)

        def made(out, start=encoder, *more, passes="2"):
            small = ["--nb-tokens", "200", "--passes", passes, "--teachers", "2", "--device", "cpu"]
            _, options = program.parse([str(data), str(start), str(out), *small, *map(str, more)])
            program.make_default_model(options, student, teacher, again)

        yield made


def weights_of(folder):
    return {name: weight.tolist() for name, weight in load_state_dict(folder / "model.safetensors").items()}


@pytest.mark.nightly
def test_the_program_makes_a_model_with_its_card_and_leaves_out_what_is_done(make, tmp_path, monkeypatch):
    make(tmp_path)
    pipeline = MojiPipeline.from_pretrained(tmp_path)
    assert pipeline.classes == EMOJIS
    marks = " ".join(spellings for _, spellings, _ in EMOTICONS)
    known = {*WORDS, *EMOJIS, *every_word().get_words(marks)}
    assert set(words_by_id(pipeline.vocabulary)[10:]) <= known
    assert sum(emoji in pipeline.vocabulary for emoji in EMOJIS) >= 10
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for part in ("157 texts for training, 40 for validation", "make_default_model.py", "67 sentences"):
        assert part in card
    assert "| this model, as stored |" in card
    assert "fastText" not in card  # these are other texts than those that it was measured on
    monkeypatch.setattr("torchmoji.pretraining.loop.Stepper.step", None)
    before = weights_of(tmp_path)
    make(tmp_path)
    assert weights_of(tmp_path) == before
    with pytest.raises(ValueError, match="is of another recipe"):
        make(tmp_path, passes="3")


@pytest.mark.nightly
def test_an_interrupted_run_makes_the_same_model(make, tmp_path):
    make(tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchmoji.pretraining.pretraining.train", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make(tmp_path / "stopped")
    make(tmp_path / "stopped")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert weights_of(whole) == weights_of(stopped)
    assert (whole / "vocabulary.json").read_bytes() == (stopped / "vocabulary.json").read_bytes()


@pytest.mark.nightly
def test_a_torchmoji_model_may_be_the_teacher(make, tmp_path):
    make(tmp_path / "first")
    make(tmp_path / "second", tmp_path / "first", "--features", tmp_path / "first")
    features = np.load(tmp_path / "second" / "work" / "embeddings.npy").astype(np.float32)
    lengths = np.linalg.norm(features, axis=1)
    assert np.allclose(lengths[lengths > 0], 1, atol=0.01)
    assert lengths[157:].min() > 0
    card = (tmp_path / "second" / "README.md").read_text(encoding="utf-8")
    assert card.count("the model that it began with") >= 2  # scores, and everyday sentences
    said = np.load(tmp_path / "second" / "work" / "targets.npy").astype(np.float32)
    assert np.allclose(said.sum(1), 1, atol=0.01)
    # all lines with this emoji were left out, which no emoticon means; sentences stand behind the texts
    assert said[:157, 4].max() == 0
    assert said[157:, 4].max() > 0
    assert "157 texts for training" in card
    alone = weights_of(tmp_path / "second")
    make(tmp_path / "second", tmp_path / "first", "--features", tmp_path / "first", "--keep", "0.5")
    name = "attention_layer.attention_vector"
    mean = np.add(alone[name], weights_of(tmp_path / "first")[name]) / 2
    assert np.allclose(weights_of(tmp_path / "second")[name], mean, atol=1e-6)
    for keep, features in (("0.5", ()), ("1", ("--features", tmp_path / "first"))):
        with pytest.raises(ValueError, match="--keep"):
            make(tmp_path / "second", tmp_path / "first", *features, "--keep", keep)


# --- sentences ----------------------------------------------------------------------------------------------


def test_sentences_stand_after_the_texts_of_a_corpus(sentences, tmp_path):
    corpus = small_corpus(tmp_path, count=300, keep_text=True)
    own = [sentences.Sentence("game game", ("😡", "🔫")), sentences.Sentence("so loud", ("😂",))]
    both = sentences.with_sentences(corpus, own)
    count, rows = len(corpus.rows("train")), both.rows("train")
    assert len(rows) == count + 2 * sentences.REPEATS
    assert len(both.rows("validation")) == len(corpus.rows("validation"))
    game = corpus.vocabulary["game"]
    assert rows.token_ids(np.array([count, count + 2])).tolist() == [[game, game]] * 2
    angry = corpus.classes.index("😡")
    row, label = rows.labels(np.arange(count, count + 2))
    assert row[label == angry].tolist() == [0]
    with pytest.raises(ValueError, match="'hm' has no emoji of the corpus"):
        sentences.with_sentences(corpus, [sentences.Sentence("hm", ("🎧",))])


def test_what_is_asked_for_is_among_what_fits(sentences):
    guesses, fits = torch.tensor([[0.6, 0.2, 0.1, 0.1]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    expected = [[0, (2 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2, 0]]
    assert torch.allclose(sentences.target_of(guesses, fits), torch.tensor(expected))


def five_in_a_row(text):
    words = "".join(char for char in text.lower() if char.isalnum() or char.isspace()).split()
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


def test_everyday_sentences_are_scored_by_kind(repository, capsys):
    with loaded(repository / "research" / "everyday.py") as program:
        sentences = [program.Sentence("good", ("a", "b"), "x"), program.Sentence("bad", ("c",), "y")]
        pipeline = SimpleNamespace(
            classes=("a", "b", "c", "d"),
            predict_proba=lambda texts: np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.1, 0.2]]),
        )
        assert program.hits(pipeline, sentences).tolist() == [[False, True], [False, False]]
        assert program.table({"m": pipeline}, sentences).splitlines()[2:] == [
            "| x | 1 | 0.00 | 1.00 |",
            "| y | 1 | 0.00 | 0.00 |",
            "| all | 2 | 0.00 | 0.50 |",
        ]
        program.main(["--failures"])
    printed = capsys.readouterr().out
    assert "| all | 360 | 0." in printed
    assert "| alone | 15 | 1.00 | 1.00 |" in printed
    assert "| after a neutral sentence | 900 | 0." in printed
    assert "| kind | sentences | an emoji at random | default |" in printed
    assert "| all | 360 | 0.29 | 0.86 |" in printed  # as the card says
    assert "\ndefault fails on:\n\n- " in printed


def test_readers_have_judged_the_everyday_sentences(sentences):
    everyday, judged = sentences.read_sentences("everyday.jsonl"), sentences.read_sentences("judged.jsonl")
    assert [(one.text, one.kind) for one in judged] == [(one.text, one.kind) for one in everyday]


def test_the_overlap_of_emojis_tells_feelings_better_than_the_encodings(repository, capsys):
    with loaded(repository / "research" / "similarity.py") as program:
        program.main([])
    overlap, cosine = (float(line.split("|")[3]) for line in capsys.readouterr().out.splitlines()[2:])
    assert overlap > cosine + 0.3


def test_our_sentences_are_not_those_that_a_model_is_judged_by(sentences, repository):
    own, hard = sentences.read_sentences("sentences.jsonl"), sentences.read_sentences("hard_sentences.jsonl")
    everyday, emoticons = sentences.read_sentences("everyday.jsonl"), sentences.read_emoticons()
    assert len(everyday) >= 200
    pairs = (repository / "research" / "pairs.jsonl").read_text("utf-8").splitlines()
    pairs = [text for line in pairs for text in json.loads(line).values()]
    after = [sentence for sentence in emoticons if sentence.kind != "alone"]  # which are taught
    shown = [*EXAMPLE_TEXTS, *pairs, *(sentence.text for sentence in [*hard, *everyday, *after])]
    known = set.union(*map(five_in_a_row, shown))
    assert [sentence.text for sentence in own if five_in_a_row(sentence.text) & known] == []
    assert {sentence.text.lower() for sentence in own} & {text.lower() for text in shown} == set()
    for listed in (own, hard, everyday, emoticons):
        assert len({sentence.text for sentence in listed}) == len(listed)
        assert all(sentence.emojis and set(sentence.emojis) <= set(EMOJIS) for sentence in listed)
    assert max(sum(emoji in sentence.emojis for sentence in hard) for emoji in EMOJIS) < len(hard) / 2
