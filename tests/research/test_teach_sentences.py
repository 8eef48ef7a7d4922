"""research/teach_sentences.py: sentences of our own, for the output layer alone."""

import numpy as np
import pytest
import torch
from judged_texts import JUDGED_TEXTS
from support.programs import loaded
from support.small_corpus import EMOJIS, small_corpus

from torchmoji import MojiPipeline
from torchmoji.emojis import EMOJIS as ALL_EMOJIS
from torchmoji.emojis import EXAMPLE_TEXTS
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.pretraining import Settings, pretrain
from torchmoji.weights.formats import load_state_dict

SETTINGS = Settings(
    embedding_dim=12,
    hidden_size=8,
    passes=10,
    batch_size=16,
    learning_rate=0.02,
    warmup_steps=4,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def program(repository):
    with loaded(repository / "research" / "teach_sentences.py") as module:
        yield module


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("own"), count=300, keep_text=True)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "model"
    pretrain(corpus, folder, SETTINGS, int8=True, notes="A reader's view.")
    return folder


@pytest.fixture(scope="module")
def taught(program, corpus, trained, tmp_path_factory):
    """The model after it learned that "game" is 😡, which no text of its corpus says."""
    out = tmp_path_factory.mktemp("taught") / "model"
    own = (
        program.OwnSentence("game game game", ("😡", "🔫")),
        program.OwnSentence("no emoji of it", ("🎧",)),
    )
    notes = out.with_name("notes.md")
    notes.write_text("What a reader says now.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "OWN_SENTENCES", own)
        patch.setattr(program, "LEARNING_RATE", 0.05)
        options = ["--weight", "0.5", "--texts", "100", "--device", "cpu", "--notes", str(notes)]
        program.main([str(trained), str(corpus.folder), str(out), *options])
    return out


def test_a_sentence_gets_what_fits_and_other_texts_what_they_had(trained, taught, corpus):
    before, after = (MojiPipeline.from_pretrained(folder) for folder in (trained, taught))
    assert before.predict("game game game")[0].emoji != "😡"
    assert after.predict("game game game")[0].emoji == "😡"
    texts = ["so funny day", "love the book", "a sad song", "angry at home"]
    assert [before.predict(text)[0].emoji for text in texts] == [
        after.predict(text)[0].emoji for text in texts
    ]
    assert np.array_equal(before.encode(texts), after.encode(texts))


def test_only_the_output_layer_changes(trained, taught):
    before, after = (load_state_dict(folder / "model.safetensors") for folder in (trained, taught))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"output_layer.0.weight", "output_layer.0.bias"}
    for name in ("vocabulary.json", "config.json"):
        assert (trained / name).read_bytes() == (taught / name).read_bytes()


def test_the_card_tells_of_it(program, taught):
    card = (taught / "README.md").read_text("utf-8")
    assert card.count(program.HEADING) == 1
    assert "learned 1 sentences of our own" in card
    assert "For 100 texts of the corpus" in card
    assert "| before |" in card
    assert "| after |" in card
    assert card.index("| this model, as stored |") < card.index("| before our sentences |")
    assert card.count("<details>") == 1
    assert "All other weights are as they were." in card
    assert card.count("What a reader says now.") == 1


def test_what_is_said_again_is_said_once(repository, program, taught):
    card, pipeline = (taught / "README.md").read_text("utf-8"), MojiPipeline.from_pretrained(taught)
    with loaded(repository / "research" / "changed_models.py") as changed:
        new = changed.new_card(card, f"{program.HEADING}\n\nAnew.", "before", pipeline)
    assert new.count(program.HEADING) == 1
    assert "Anew." in new
    assert "learned 1 sentences" not in new


def test_what_is_wanted_is_among_what_fits(program):
    given = torch.tensor([[0.6, 0.2, 0.1, 0.1]])
    fits = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    expected = [[0, (2 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2, 0]]
    assert torch.allclose(program.wanted(given, fits), torch.tensor(expected))
    assert program.divergence(given, given.log()).abs() < 1e-7


def test_a_model_without_such_emojis_and_a_wrong_weight_are_refused(
    program, trained, corpus, tmp_path, capsys
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "OWN_SENTENCES", (program.OwnSentence("a", ("🎧",)),))
        with pytest.raises(SystemExit):
            program.main([str(trained), str(corpus.folder), str(tmp_path / "out"), "--device", "cpu"])
    assert "none of the emojis that fit our sentences" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        program.main([str(trained), str(corpus.folder), str(tmp_path / "out"), "--weight", "0"])
    assert "--weight must be above 0, got 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def five_in_a_row(text):
    words = "".join(char for char in text.lower() if char.isalnum() or char.isspace()).split()
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


def test_our_sentences_are_not_those_that_a_model_is_judged_by(program):
    shown = [*EXAMPLE_TEXTS, *(judged.text for judged in JUDGED_TEXTS)]
    known = set.union(*map(five_in_a_row, shown))
    texts = [sentence.text for sentence in program.OWN_SENTENCES]
    assert len(texts) == len(set(texts)) > 500
    assert not set(texts) & set(shown)
    assert not [text for text in texts if five_in_a_row(text) & known]


def test_emojis_that_fit_are_among_the_64(program):
    fits = program.fitting(program.OWN_SENTENCES, ALL_EMOJIS)
    assert fits.sum(1).min() >= 3
    assert {emoji for sentence in program.OWN_SENTENCES for emoji in sentence.accepted} <= set(ALL_EMOJIS)


def test_features_come_in_the_order_of_the_texts(program, trained, monkeypatch):
    monkeypatch.setattr(program, "_ENCODED_TOGETHER", 2)
    pipeline = MojiPipeline.from_pretrained(trained)
    model = TorchMoji(len(EMOJIS), pipeline_tokens(trained), embedding_dim=12, hidden_size=8).eval()
    model.load_state_dict(load_state_dict(trained / "model.safetensors"))
    texts = ["a sad song", "love", "funny book home", "rain", "my train day"]
    found = program.encoded(model, pipeline.vocabulary, texts)
    assert np.allclose(found.numpy(), pipeline.encode(texts), atol=1e-6)


def pipeline_tokens(folder):
    return len(load_state_dict(folder / "model.safetensors")["embed.weight"])
