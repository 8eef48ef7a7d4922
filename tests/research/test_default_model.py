import gzip
import json

import default_model
import numpy as np
import pytest
from default_model import make_default_model, prepare
from judged_texts import JudgedText
from support.programs import run

from torchmoji import MojiPipeline
from torchmoji.corpus.reading import read_corpus_texts
from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.create_vocab import load_vocabulary, words_by_id
from torchmoji.emojis import EMOJIS
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS, default_model_directory
from torchmoji.model_def import torchmoji_emojis, torchmoji_feature_encoding
from torchmoji.pretraining.pretraining import STORED, Settings
from torchmoji.pretraining.scores import score_emojis
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights.formats import load_state_dict, model_sizes

SETTINGS = Settings(embedding_dim=6, hidden_size=5, passes=2, batch_size=16, bfloat16=False)
WORDS = "good bad day night love hate rain sun song game food work home sleep run win lose cry".split()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for name, count in (("train.tsv.gz", 120), ("valid.tsv.gz", 40)):
        lines = [f"{index % 64}\t{' '.join(generator.choice(WORDS, 6))}\n" for index in range(count)]
        (folder / name).write_bytes(gzip.compress("".join(lines).encode()))
    return folder


def make(data, out, **options):
    return make_default_model(data, out, SETTINGS, **{"nb_tokens": 28, "progress": False, **options})


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    return out, make(data, out, command="make it", notes="A reader's view.")


def test_the_model_and_its_vocabulary_can_be_used_together(made):
    pipeline = MojiPipeline.from_pretrained(made[0])
    assert pipeline.classes == EMOJIS
    assert pipeline.predict_proba(["good day"]).shape == (1, 64)
    words = words_by_id(pipeline.vocabulary)
    assert words[:10] == list(SPECIAL_TOKENS)
    assert set(words[10:]) == set(WORDS)
    assert all(pipeline.vocabulary[f"#{word}"] == pipeline.vocabulary[word] for word in WORDS)


def test_the_configuration_holds_sizes_and_classes(made):
    config = json.loads((made[0] / "config.json").read_text(encoding="utf-8"))
    assert config["classes"] == list(EMOJIS)
    assert (config["nb_tokens"], config["embedding_dim"], config["hidden_size"]) == (28, 6, 5)


def test_the_card_says_what_was_done_and_measured(made):
    out, result = made
    card = (out / "README.md").read_text(encoding="utf-8")
    for part in (
        "120 texts for training, 40 for validation",
        "make it",
        "A reader's view.",
        "| I love mom's cooking |",
        "must not be",
    ):
        assert part in card
    stored, exact = result.scores[STORED], result.scores["the same before rounding to int8"]
    assert f"| this model, as stored | {stored.first:.2%} | {stored.first_five:.2%} |" in card
    assert f"| the same before rounding to int8 | {exact.first:.2%} |" in card


def test_the_card_shows_twenty_failures_of_all_kinds(made):
    failed = default_model.failures(MojiPipeline.from_pretrained(made[0]))
    assert len(failed) > 20
    card = (made[0] / "README.md").read_text(encoding="utf-8")
    shown = card.split("## Where it fails")[1].split("## Limits")[0]
    assert f"would not\naccept for {len(failed)}. 20 of these:" in shown
    rows = [line for line in shown.splitlines() if line.startswith("| ")][1:]
    assert len(set(rows)) == 20
    assert f"| {failed[0][0]} | {failed[0][1]} |" == rows[0]
    assert f"| {failed[-1][0]} | {failed[-1][1]} |" == rows[-1]


def test_a_first_guess_that_fits_is_no_failure(made, monkeypatch):
    pipeline = MojiPipeline.from_pretrained(made[0])
    first = pipeline.predict("good day", top_k=5)[0].emoji
    for accepted, expected in ((first, 0), ("🔫" if first != "🔫" else "😂", 1)):
        judged = (JudgedText("good day", frozenset([accepted])),)
        monkeypatch.setattr(default_model, "JUDGED_TEXTS", judged)
        assert len(default_model.failures(pipeline)) == expected
    assert default_model.failures_section([]) == ""


def test_a_second_call_starts_from_what_the_first_left(made, data, monkeypatch):
    out, result = made
    monkeypatch.setattr("torchmoji.corpus.build.tokenize_chunk", None)
    monkeypatch.setattr("torchmoji.pretraining.loop.Stepper.step", None)
    before = load_state_dict(out / "model.safetensors")
    assert make(data, out, command="again").scores == result.scores
    after = load_state_dict(out / "model.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_the_card_says_nothing_of_data_it_was_not_made_from(made):
    card = (made[0] / "README.md").read_text(encoding="utf-8")
    assert "fastText" not in card
    assert "GitHub" not in card


def test_the_card_of_the_known_data_compares_with_fasttext(made, data, tmp_path, monkeypatch):
    known = next(
        entry for entry in prepare(data, made[0] / "corpus", 28).manifest["inputs"] if entry["held_out"]
    )
    monkeypatch.setattr(default_model, "KNOWN_VALIDATION_TEXTS", known["sha256"])
    make(data, tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| fastText on the same texts | 27.30% |" in card
    assert "public GitHub repositories" in card


def test_without_progress_nothing_is_printed(data, tmp_path, capfd):
    make(data, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_other_texts_is_refused(made, tmp_path):
    for name in ("train.tsv.gz", "valid.tsv.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"0\tgood day\n"))
    with pytest.raises(ValueError, match="is of a corpus with other inputs: give another folder"):
        make(tmp_path, made[0])


def test_a_folder_with_another_vocabulary_is_refused(made, data):
    with pytest.raises(ValueError, match="is of a corpus with other settings: give another folder"):
        make(data, made[0], nb_tokens=20)


def test_the_program_trains_and_prints_scores(data, tmp_path, repository, capsys):
    small = [
        "--embedding-dim",
        6,
        "--hidden-size",
        5,
        "--nb-tokens",
        28,
        "--passes",
        0.5,
        "--float32",
        "--quiet",
    ]
    run(repository / "research" / "train_default.py", data, tmp_path, *small)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("this model, as stored: first guess ")
    assert "python research/train_default.py" in (tmp_path / "README.md").read_text(encoding="utf-8")


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
    assert sorted(set(vocabulary.values())) == list(range(NB_TOKENS))
    words = words_by_id(vocabulary)
    further = {word: words[index] for word, index in vocabulary.items() if words[index] != word}
    assert len(further) > 25_000
    assert all(word in (f"#{own}", own.lower()) for word, own in further.items())
    assert set(EMOJIS) <= set(vocabulary)
    assert words[:10] == list(SPECIAL_TOKENS)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 24_000_000


def test_the_shipped_model_reads_emojis_and_hashtags():
    pipeline = MojiPipeline.from_pretrained()
    guesses = [prediction[0].emoji for prediction in pipeline.predict(list(EMOJIS), top_k=1)]
    assert sum(map(str.__eq__, guesses, EMOJIS)) >= 60
    assert np.array_equal(pipeline.predict_proba(["so #angry"]), pipeline.predict_proba(["so angry"]))


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
    folder = default_model_directory()
    texts, labels = read_corpus_texts(data_root / "data" / "emoji" / "valid.tsv.gz", 64)
    part = slice(0, 15000, 5)
    tokenizer = SentenceTokenizer(load_vocabulary(folder / "vocabulary.json"), 512)
    tokens = [row[row > 0] for row in tokenizer.tokenize_sentences(texts[part])[0]]
    kept = [number for number, row in enumerate(tokens) if len(row)]
    rows = TokenRows([in_memory([tokens[n] for n in kept], [labels[part][n] for n in kept])])
    scores = score_emojis(torchmoji_emojis(folder / "model.safetensors"), rows, len(EMOJIS))
    assert scores.first > default_model.FASTTEXT[0]
    assert scores.first_five > default_model.FASTTEXT[1]
