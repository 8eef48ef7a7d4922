"""research/widen_vocabulary.py: hashtags and emojis for a model that has not seen them."""

import json

import numpy as np
import pytest
import torch
from support.programs import loaded
from support.small_corpus import CUES, EMOJIS, rules, small_corpus

from torchmoji import MojiPipeline, SentenceTokenizer
from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.create_vocab import load_vocabulary, words_by_id
from torchmoji.model_def import load_model
from torchmoji.pretraining.pretraining import Settings, new_model, pretrain
from torchmoji.weights.formats import load_state_dict

SETTINGS = Settings(
    embedding_dim=12,
    hidden_size=8,
    passes=15,
    batch_size=16,
    learning_rate=0.02,
    warmup_steps=4,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("wide"), count=300, keep_text=True)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "model"
    pretrain(corpus, folder, SETTINGS, int8=True, notes="A reader's view.")
    return folder


@pytest.fixture
def program(repository):
    with loaded(repository / "research" / "widen_vocabulary.py") as module:
        yield module


@pytest.fixture(scope="module")
def wider(repository, corpus, trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("wider") / "model"
    with loaded(repository / "research" / "widen_vocabulary.py") as module:
        module.main([str(trained), str(corpus.folder), str(out), "--steps", "10", "--device", "cpu"])
    return out


def test_a_hashtag_is_read_like_its_word(trained, wider):
    for cue in CUES:
        plain, tagged = (MojiPipeline.from_pretrained(wider).predict_proba([t]) for t in (cue, f"#{cue}"))
        assert np.array_equal(plain, tagged)
        assert not np.allclose(tagged, MojiPipeline.from_pretrained(trained).predict_proba([f"#{cue}"]))


def test_what_was_known_stays_but_for_the_rarest_words(trained, wider):
    old, new = (load_vocabulary(folder / "vocabulary.json") for folder in (trained, wider))
    rarest = set(words_by_id(old)[-len(EMOJIS) :])
    assert {word: index for word, index in new.items() if word in old} == {
        word: index for word, index in old.items() if word not in rarest
    }
    before, after = (load_state_dict(folder / "model.safetensors") for folder in (trained, wider))
    kept = [index for word, index in old.items() if word not in rarest]
    assert np.array_equal(before["embed.weight"][kept], after["embed.weight"][kept])
    assert all(np.array_equal(before[key], after[key]) for key in before if key != "embed.weight")
    assert before["embed.weight"].shape == after["embed.weight"].shape


def test_an_emoji_in_a_text_says_what_it_is(program, trained, monkeypatch):
    monkeypatch.setattr(program, "LEARNING_RATE", 0.1)
    vocabulary = load_vocabulary(trained / "vocabulary.json")
    state = load_state_dict(trained / "model.safetensors")
    model = new_model(SETTINGS, len(vocabulary), len(EMOJIS)).eval().requires_grad_(False)
    model.load_state_dict(state)
    ids = [vocabulary[word] for word in words_by_id(vocabulary)[-len(EMOJIS) :]]
    pairs = [[a, b] for a in range(len(EMOJIS)) for b in range(a)]
    words = [vocabulary["the"], vocabulary["game"]]
    program.learn_emojis(model, TokenRows([in_memory([words] * len(pairs), pairs)]), ids, 200, seed=0)
    given = torch.softmax(model(torch.tensor([[*words, emoji] for emoji in ids])), dim=1)
    assert (given.diag() > given.sum(0).sub(given.diag()) / (len(EMOJIS) - 1) + 0.1).all()
    assert all(torch.equal(model.state_dict()[key], state[key]) for key in state if key != "embed.weight")
    others = [index for index in range(len(vocabulary)) if index not in ids]
    assert torch.equal(model.embed.weight[others], state["embed.weight"][others])


def test_the_card_tells_of_it(program, wider):
    card = (wider / "README.md").read_text()
    assert "A reader's view." in card
    assert card.count(program.HEADING) == 1
    assert card.index("| this model, as stored |") < card.index("| before words were added |")
    assert card.count("<details>") == 1
    found = [line for line in card.splitlines() if "nats" in line]
    assert len(found) == 1


def test_words_whose_place_an_emoji_takes_lose_their_hashtags_too(program):
    vocabulary = {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "fear": 2, "#rare": 3, "rare": 3}
    wide, ids = program.with_emojis(vocabulary, ["😂"])
    assert wide == {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "fear": 2, "😂": 3}
    assert ids == [3]


def test_an_emoji_that_is_there_keeps_its_place(program):
    vocabulary = {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "fear": 2, "😂": 3, "rare": 4, "rarer": 5}
    wide, ids = program.with_emojis(vocabulary, ["😂", "❤", "👨‍👩‍👧", "😭"])
    assert ids == [3, 5, -1, 4]
    assert wide == {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "fear": 2, "😂": 3, "❤": 5, "😭": 4}


@pytest.mark.parametrize("others", [False, True])
def test_batches_show_one_emoji_and_ask_for_one(program, corpus, others):
    rows = corpus.rows("train")
    ids = [900, 901, -1, 903]
    generator = np.random.default_rng(0)
    batches, asked_for_shown = program.emoji_batches(rows, ids, generator, others), 0
    own = {}
    owners, classes = rows.labels(np.arange(len(rows)))
    for owner, label in zip(owners, classes, strict=True):
        own.setdefault(tuple(rows.token_ids(np.array([owner]))[0]), set()).add(label)
    for _ in range(3):
        for row, first, label in zip(*next(batches), strict=True):
            shown = {int(i) for i in row if i >= 900}
            assert len(shown) == 1
            assert 1 <= sum(row >= 900) <= program.MOST_REPEATS
            text = tuple(i for i in row if 0 < i < 900)
            given = next(found for key, found in own.items() if tuple(i for i in key if i) == text)
            emoji = ids.index(shown.pop())
            assert emoji == first
            assert given >= {emoji, label}
            asked_for_shown += emoji == label
    assert asked_for_shown == 0 if others else 0.4 < asked_for_shown / 3 / program.BATCH_SIZE < 0.6


def test_without_steps_no_emoji_is_learned(program, corpus, trained, tmp_path):
    program.main([str(trained), str(corpus.folder), str(tmp_path / "out"), "--steps", "0", "--device", "cpu"])
    before, after = (load_state_dict(f / "model.safetensors") for f in (trained, tmp_path / "out"))
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert "nats" not in (tmp_path / "out" / "README.md").read_text()


def test_a_corpus_without_validation_texts_will_do(program, trained, tmp_path):
    whole = small_corpus(tmp_path / "whole", count=300, validation=0.0, keep_text=True)
    program.main([str(trained), str(whole.folder), str(tmp_path / "out"), "--steps", "1", "--device", "cpu"])
    card = (tmp_path / "out" / "README.md").read_text()
    assert "A hashtag has the embedding of its word" in card
    assert "| after |" not in card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_other_users_of_the_folder_read_it(wider):
    vocabulary = json.loads((wider / "vocabulary.json").read_text())
    tokenizer = SentenceTokenizer(vocabulary, 10)
    ids = tokenizer.tokenize_sentences(["so #funny 😂"])[0]
    assert tokenizer.to_sentence(ids[0]).split()[-2:] == ["funny", "😂"]
    assert load_model(wider / "model.safetensors").run_ids(ids)[0].shape == (1, len(EMOJIS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hashtags", "-1"), "argument --hashtags: -1 is below 0"),
        (("--steps", "-2"), "argument --steps: -2 is below 0"),
        (("--device", "cuda:99"), "there is no device cuda:99"),
    ],
)
def test_wrong_options_are_refused(program, corpus, trained, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        program.main([str(trained), str(corpus.folder), str(tmp_path / "out"), *options])
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_and_other_emojis_are_refused(program, corpus, trained, tmp_path, capsys):
    with pytest.raises(SystemExit):
        program.main([str(trained), str(corpus.folder), str(trained)])
    assert "is there already: give a new folder" in capsys.readouterr().err
    other = small_corpus(
        tmp_path / "other", keep_text=True, rules=rules(emojis=EMOJIS[::-1], keep_near_duplicates=True)
    )
    with pytest.raises(SystemExit):
        program.main([str(trained), str(other.folder), str(tmp_path / "out")])
    assert "has other emojis than the corpus" in capsys.readouterr().err
