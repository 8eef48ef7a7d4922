import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import torch
from support.small_corpus import EMOJIS, rules, small_corpus
from support.stopping import interrupted_at

from torchmoji import MojiPipeline
from torchmoji.pretraining import loop as pretraining_run
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.loop import Stepper
from torchmoji.pretraining.loss import save_soft_targets
from torchmoji.pretraining.pretraining import (
    STORED,
    Settings,
    adjust_to_prior,
    learned_frequencies,
    new_model,
    pretrain,
    train,
)
from torchmoji.pretraining.settings import learning_rate
from torchmoji.weights.formats import load_state_dict

SETTINGS = Settings(
    embedding_dim=6,
    hidden_size=5,
    passes=3,
    batch_size=8,
    learning_rate=0.02,
    warmup_steps=4,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("small"), count=120, validation=0.2)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    return train(corpus, tmp_path_factory.mktemp("run"), SETTINGS)


@pytest.fixture(scope="module")
def pretrained(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "model"
    settings = dataclasses.replace(SETTINGS, passes=20, evaluate_every=100, average=0.9)
    return pretrain(corpus, out, settings, int8=True, command="make it", notes="A reader's view.")


def changed(**changes):
    return dataclasses.replace(SETTINGS, **changes)


def weights_of(result):
    return result.model.state_dict()


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def metrics_of(folder, *names):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [[json.loads(line).get(name) for name in names] for line in lines]


# --- the run ------------------------------------------------------------------------------------------------


def test_training_learns_what_decides_the_emoji(pretrained):
    stored = pretrained.scores[STORED]
    assert stored.texts > 15
    assert stored.first > 0.8
    assert stored.first > 2 * pretrained.scores["always the commonest emojis"].first


def test_the_same_seed_gives_the_same_weights(corpus, trained, tmp_path):
    assert same(weights_of(trained), weights_of(train(corpus, tmp_path, SETTINGS)))
    assert not same(weights_of(trained), weights_of(train(corpus, tmp_path / "b", changed(seed=1))))


@pytest.mark.parametrize("steps", [1, 11, 12, 13, 30])
def test_an_interrupted_run_ends_with_the_same_weights(corpus, trained, tmp_path, steps):
    with interrupted_at(steps):
        train(corpus, tmp_path, SETTINGS, checkpoint_seconds=0)
    resumed = train(corpus, tmp_path, SETTINGS, checkpoint_seconds=0)
    assert resumed.steps == trained.steps
    assert same(weights_of(trained), weights_of(resumed))


def test_a_finished_run_is_read_from_its_checkpoint(corpus, trained, tmp_path, monkeypatch):
    train(corpus, tmp_path, SETTINGS)
    monkeypatch.setattr(Stepper, "step", None)
    assert same(weights_of(trained), weights_of(train(corpus, tmp_path, SETTINGS)))


def test_a_checkpoint_of_other_settings_is_refused(corpus, tmp_path):
    train(corpus, tmp_path, changed(passes=0.1))
    with pytest.raises(ValueError, match=r"checkpoint\.pt is of a run with other settings \(passes was 0\.1"):
        train(corpus, tmp_path, SETTINGS)


def test_a_checkpoint_of_another_corpus_is_refused(corpus, tmp_path):
    train(corpus, tmp_path / "run", changed(passes=0.1))
    other = small_corpus(tmp_path, count=40)
    with pytest.raises(ValueError, match=r"other settings \(corpus was"):
        train(other, tmp_path / "run", changed(passes=0.1))


def test_training_leaves_the_global_generators_alone(corpus, tmp_path):
    before, state = torch.get_rng_state(), np.random.get_state
    numpy_before = state()[1].copy()
    train(corpus, tmp_path, changed(passes=0.1))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(state()[1], numpy_before)


def test_a_loss_that_is_not_finite_stops_the_run_before_it_changes_weights(corpus, tmp_path):
    with pytest.raises(
        FloatingPointError,
        match=r"step \d+ has the loss .* try a lower learning_rate than 1e\+38, more warmup",
    ):
        train(corpus, tmp_path, changed(learning_rate=1e38), checkpoint_seconds=0)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] >= 1


def test_bfloat16_products_give_nearly_the_same_weights(corpus, tmp_path):
    runs = []
    for bfloat16 in (False, True):
        run = train(corpus, tmp_path / str(bfloat16), changed(passes=0.25, bfloat16=bfloat16))
        runs.append(weights_of(run)["output_layer.0.weight"])
    assert not torch.equal(*runs)
    assert torch.allclose(*runs, atol=0.05)


def test_no_part_of_the_result_is_in_training(trained):
    assert not any(module.training for module in trained.model.modules())


@pytest.mark.parametrize("is_fast", [True, False])
def test_bfloat16_is_left_to_the_machine(corpus, tmp_path, monkeypatch, is_fast):
    monkeypatch.setattr(pretraining_run, "has_fast_bfloat16", lambda device: is_fast)
    run = train(corpus, tmp_path / "left", changed(passes=0.25, bfloat16=None))
    assert run.settings == changed(passes=0.25, bfloat16=is_fast)
    said = train(corpus, tmp_path / "said", run.settings)
    assert same(weights_of(run), weights_of(said))
    state = torch.load(tmp_path / "left" / "checkpoint.pt", weights_only=True)
    assert state["identity"]["bfloat16"] is is_fast


def test_a_machine_of_another_kind_does_not_go_on_unasked(corpus, tmp_path, monkeypatch):
    for is_fast in (True, False):
        monkeypatch.setattr(pretraining_run, "has_fast_bfloat16", lambda device, fast=is_fast: fast)
        if is_fast:
            train(corpus, tmp_path, changed(passes=0.25, bfloat16=None))
    with pytest.raises(ValueError, match="bfloat16 was True, is False"):
        train(corpus, tmp_path, changed(passes=0.25, bfloat16=None))


def test_steps_computed_in_parts_are_the_same_steps(corpus, tmp_path, monkeypatch):
    """Dropout is on: masks belong to texts, not to parts."""
    monkeypatch.setattr(pretraining_run, "_TELL_EVERY", 1)
    curves = []
    for parts in (1, 3):
        train(corpus, tmp_path / str(parts), changed(accumulation=parts, class_weights=0.5))
        curves.append(metrics_of(tmp_path / str(parts), "loss", "gradient_norm"))
    assert len(curves[0]) == 36
    assert np.allclose(*curves, rtol=1e-4)


def test_the_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate(step, 100, SETTINGS) for step in range(101)]
    assert rates[:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])
    assert np.all(np.diff(rates[4:]) < 0)
    assert rates[52] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(0)


def test_metrics_are_those_of_a_run_without_interruption(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining_run, "_TELL_EVERY", 5)
    settings = changed(evaluate_every=10)
    train(corpus, tmp_path / "whole", settings)
    times = iter([0.0, *[0.0] * 40, *[1000.0] * 400])  # one checkpoint in the middle
    with monkeypatch.context() as patch, interrupted_at(18):
        patch.setattr(pretraining_run.time, "monotonic", lambda: next(times))
        train(corpus, tmp_path / "parts", settings)
    train(corpus, tmp_path / "parts", settings)
    names = ("step", "kind", "loss", "learning_rate", "first_five")
    assert metrics_of(tmp_path / "parts", *names) == metrics_of(tmp_path / "whole", *names)
    assert [kind for (kind,) in metrics_of(tmp_path / "whole", "kind") if kind != "training"] == [
        "validation"
    ] * 3


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"passes": 0}, "passes must be above 0, got 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be a share from 0 to 1, got 1\.0"),
        ({"soft_share": 1.5}, r"soft_share must be a share from 0 to 1, got 1\.5"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative, got -1"),
        ({"class_weights": 1.0, "balanced_sampling": 0.5}, "both make rare classes count more: choose one"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"label_smoothing": 0.2}, {"class_weights": 1.0}, {"balanced_sampling": 1.0}, {"average": 0.5}],
)
def test_each_setting_changes_the_weights(corpus, trained, tmp_path, changes):
    result = train(corpus, tmp_path, changed(**changes))
    assert not same(weights_of(trained), weights_of(result))


def test_balanced_sampling_is_that_of_the_data_order(corpus, tmp_path, monkeypatch):
    seen = []
    make = DataOrder.__init__
    monkeypatch.setattr(DataOrder, "__init__", lambda self, *args: seen.append(args) or make(self, *args))
    train(corpus, tmp_path, changed(passes=0.1, balanced_sampling=1.0))
    counts, weights = np.array(corpus.class_counts("train")), seen[0][3]
    assert np.allclose(weights * counts, (weights * counts)[0])


def test_the_average_of_the_weights_is_what_comes_out(corpus, trained, tmp_path):
    averaged = train(corpus, tmp_path, changed(average=0.9))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert same(state["model"], weights_of(trained))
    assert same(state["average"], weights_of(averaged))


def test_hashtags_that_share_ids_travel_with_the_model(tmp_path):
    corpus = small_corpus(tmp_path, hashtags=5)
    made = pretrain(corpus, tmp_path / "model", dataclasses.replace(SETTINGS, passes=1))
    pipeline = MojiPipeline.from_pretrained(made.folder)
    hashtags = [word for word in corpus.vocabulary if word[0] == "#"]
    assert len(hashtags) == 5
    assert corpus.nb_tokens < len(corpus.vocabulary)
    assert np.array_equal(pipeline.encode(hashtags), pipeline.encode([word[1:] for word in hashtags]))
    card = (made.folder / "README.md").read_text(encoding="utf-8")
    assert "Words share their embeddings with their hashtags, the 5 commonest at most." in card


def test_a_teacher_is_learned_from(corpus, tmp_path):
    """A teacher who always says the last class, and has all the say."""
    save_soft_targets(tmp_path / "soft.npy", corpus, lambda ids: np.tile([0.0, 0, 0, 1], (len(ids), 1)))
    settings = changed(soft_targets=str(tmp_path / "soft.npy"), soft_share=1.0, passes=6)
    model = train(corpus, tmp_path, settings).model
    rows = corpus.rows("train")
    with torch.no_grad():
        guesses = model(torch.from_numpy(rows.token_ids(np.arange(len(rows))))).argmax(1)
    assert (guesses == 3).all()


def test_soft_targets_of_another_corpus_are_refused(corpus, tmp_path):
    np.save(tmp_path / "soft.npy", np.ones((3, 4), dtype=np.float16))
    with pytest.raises(ValueError, match="but the corpus needs float16"):
        train(corpus, tmp_path, changed(soft_targets=str(tmp_path / "soft.npy")))


def test_the_prior_can_be_taken_off_the_output():
    torch.manual_seed(0)
    model = new_model(SETTINGS, 20, 3)
    before = model.output_layer[0].bias.detach().clone()
    adjust_to_prior(model, [1000, 100, 1], changed(prior_adjustment=0.5))
    change = (model.output_layer[0].bias - before).detach()
    assert change[1] - change[0] == pytest.approx(0.5 * np.log(10), rel=1e-5)
    assert change[2] - change[0] == pytest.approx(0.5 * np.log(1000), rel=1e-5)
    adjust_to_prior(model, [1000, 100, 1], changed(prior_adjustment=0.5, class_weights=1.0))
    assert torch.allclose(model.output_layer[0].bias - before, change)


# --- torch.compile ------------------------------------------------------------------------------------------


def test_a_compiled_model_trains_alike(corpus, tmp_path, monkeypatch):
    """What is compiled is stood in for: the tests need no compiler."""
    lengths = set()

    def compiled(model, dynamic):
        def run(ids):
            lengths.add(ids.shape[1])
            return model(ids)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    settings = changed(passes=1)
    one = train(corpus, tmp_path / "one", settings, compiled=True)
    assert lengths <= {10, 20, 30}
    assert len(lengths) >= 1
    two = train(corpus, tmp_path / "two", settings)
    for name, weight in weights_of(one).items():
        assert torch.allclose(weight, weights_of(two)[name], atol=1e-4), name


def test_where_compiling_fails_training_goes_on_without(corpus, tmp_path, monkeypatch, caplog):
    def compiled(model, dynamic):
        def run(ids):
            raise RuntimeError("no C++ compiler\nfound")

        return run

    settings = changed(passes=0.3)
    plain = train(corpus, tmp_path / "plain", settings)
    monkeypatch.setattr(torch, "compile", compiled)
    result = train(corpus, tmp_path / "run", settings, compiled=True)
    assert same(weights_of(plain), weights_of(result))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "torch.compile failed (no C++ compiler): training goes on without it"
    ]


# --- what is stored -----------------------------------------------------------------------------------------


def test_the_folder_is_that_of_a_pipeline(pretrained, corpus):
    pipeline = MojiPipeline.from_pretrained(pretrained.folder)
    assert pipeline.classes == EMOJIS
    assert pipeline.emojize("such a sad day").endswith("😭")
    assert pipeline.vocabulary == corpus.vocabulary


def test_weights_are_stored_as_int8_or_as_they_are(pretrained, corpus, tmp_path):
    def size(folder):
        return (folder / "model.safetensors").stat().st_size

    plain = pretrain(corpus, tmp_path, changed(passes=0.1))
    assert load_state_dict(tmp_path / "model.safetensors")["embed.weight"].dtype == torch.float32
    assert size(pretrained.folder) < 0.75 * size(plain.folder)


def test_scores_are_those_of_each_stage(corpus, tmp_path):
    made = pretrain(corpus, tmp_path, changed(passes=0.5, prior_adjustment=1.0), int8=True)
    assert list(made.scores) == [
        "this model, as stored",
        "the same before rounding to int8",
        "before the adjustment to the prior",
        "always the commonest emojis",
    ]


def test_the_card_says_what_was_done_and_measured(pretrained, corpus):
    card = (pretrained.folder / "README.md").read_text(encoding="utf-8")
    stored = pretrained.scores[STORED]
    train_rows = corpus.manifest["splits"]["train"]["rows"]
    for part in (
        "# A torchMoji model for 4 emojis\n\n😂 😭 ❤ 😡\n",
        f"{train_rows} texts for training, {120 - train_rows} for validation",
        "`texts.txt`",
        "    make it\n",
        "A reader's view.",
        "passes=20",
        f"| this model, as stored | {stored.first:.2%} | {stored.first_five:.2%} |",
        f"| 😭 | {stored.counts[1]} | {stored.class_first[1]:.1%} |",
        "must not be used to judge persons",
    ):
        assert part in card


def test_evaluations_are_among_the_metrics(pretrained):
    kinds = metrics_of(pretrained.folder, "step", "kind")
    assert [step for step, kind in kinds if kind == "validation"] == [100, 200]


def test_without_held_out_texts_there_are_no_scores(tmp_path):
    corpus = small_corpus(tmp_path, count=30, validation=0.0)
    made = pretrain(corpus, tmp_path / "model", changed(passes=0.5, evaluate_every=1))
    assert made.scores == {}
    assert "No texts were held out" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_two_emojis_are_enough_and_one_is_not(tmp_path):
    two = rules(emojis=("😂", "😭"), keep_near_duplicates=True)
    corpus = small_corpus(tmp_path / "two", count=60, rules=two)
    pretrain(corpus, tmp_path / "model", changed(passes=20))
    pipeline = MojiPipeline.from_pretrained(tmp_path / "model")
    assert pipeline.emojize("such a sad day").endswith("😭")
    one = small_corpus(tmp_path / "one", rules=rules(emojis=("😂",), keep_near_duplicates=True))
    with pytest.raises(ValueError, match="a model needs at least two emojis"):
        train(one, tmp_path / "run", SETTINGS)


def test_two_processes_do_not_train_in_one_folder(corpus, tmp_path):
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(BlockingIOError, match="another process is training in"),
    ):
        pretrain(corpus, tmp_path, SETTINGS)


def test_without_progress_nothing_is_printed(corpus, tmp_path, capfd):
    pretrain(corpus, tmp_path, changed(passes=0.1))
    assert capfd.readouterr() == ("", "")


def test_the_frequencies_are_those_that_the_stored_model_has_learned(pretrained, corpus):
    config = json.loads((pretrained.folder / "config.json").read_text())
    counts = np.array(corpus.class_counts("train"))
    np.testing.assert_allclose(config["class_frequencies"], counts / counts.sum(), rtol=1e-4)
    roots = np.sqrt(counts) / np.sqrt(counts).sum()
    for changes in ({"class_weights": 0.5}, {"balanced_sampling": 0.5}, {"prior_adjustment": 0.5}):
        np.testing.assert_allclose(learned_frequencies(counts, changed(**changes)), roots, rtol=1e-4)
    alike = learned_frequencies([0, 10**9, 5], changed(prior_adjustment=1, class_weights=0.3))
    assert alike == pytest.approx([1 / 3] * 3, rel=1e-5)
    assert learned_frequencies([0, 10**9, 5], SETTINGS)[0] > 0


def test_a_run_that_is_asked_to_stop_does_not_evaluate_before(corpus, tmp_path, monkeypatch):
    settings, step = changed(evaluate_every=5), Stepper.step

    def ask_at_five(self, number, rows, rate):
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, number, rows, rate)

    monkeypatch.setattr(Stepper, "step", ask_at_five)
    with pytest.raises(KeyboardInterrupt):
        train(corpus, tmp_path, settings, checkpoint_seconds=1000)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 5
    assert (
        not (tmp_path / "metrics.jsonl").exists()
        or "validation" not in (tmp_path / "metrics.jsonl").read_text()
    )


def test_the_card_names_the_precision_and_no_setting_that_was_left_alone(pretrained, corpus, tmp_path):
    assert "Products in float32." in (pretrained.folder / "README.md").read_text()
    made = pretrain(corpus, tmp_path, Settings(embedding_dim=6, hidden_size=5, passes=0.1, bfloat16=False))
    card = (made.folder / "README.md").read_text()
    assert "embedding_dim=6, hidden_size=5, passes=0.1. Products in float32" in " ".join(card.split())
