"""torchmoji.class_avg_finetuning: labels of one class against the rest, and the mean of their F1."""

import logging

import numpy as np
import pytest
import torch
from support.small_task import LAYERS, changed_layers, multi_label_task, small_model, small_task, weights_of
from torch import nn

from torchmoji import class_avg_finetuning
from torchmoji.class_avg_finetuning import (
    class_avg_chainthaw,
    class_avg_finetune,
    class_avg_tune_trainable,
    prepare_generators,
    prepare_labels,
    relabel,
)
from torchmoji.finetuning import find_f1_threshold, finetune
from torchmoji.global_variables import FINETUNING_METHODS
from torchmoji.training import loop
from torchmoji.training.optimizer import make_optimizer

QUICK = {"batch_size": 16, "epoch_size": 32, "nb_epochs": 1, "verbose": False}
LEARNING = {"batch_size": 8, "epoch_size": 128, "nb_epochs": 2}


def one_output():
    """A small model with one output, which begins below one half, where the thresholds are."""
    model = small_model(2)
    nn.init.constant_(model.output_layer[0].bias, -1.0)
    return model


def one_hot(labels, nb_classes):
    return [np.eye(nb_classes, dtype=np.int64)[y] for y in labels]


def tuned(method="last", task=None, nb_classes=3, **options):
    """Fine-tune a small model with one output: (model, class-average F1)."""
    texts, labels = task or multi_label_task(nb_classes)
    model = options.pop("model", None) or one_output()
    return class_avg_finetune(model, texts, labels, nb_classes, method=method, **{**QUICK, **options})


# --- labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "nb_classes", "expected"),
    [
        ([0, 2, 1, 2], 3, [0, 1, 0, 1]),
        ([[1, 0, 0], [0, 0, 1], [0, 1, 0]], 3, [0, 1, 0]),
        ([[1, 0, 1], [0, 0, 0], [1, 1, 1]], 3, [1, 0, 1]),
        ([[True, False, True], [False, True, False]], 3, [1, 0]),
        (torch.tensor([2, 0]), 3, [1, 0]),
    ],
    ids=["numbers", "one-hot", "multi-label", "truths", "tensor"],
)
def test_relabel_gives_one_class_against_the_rest(y, nb_classes, expected):
    relabelled = relabel(y, 2, nb_classes)
    assert relabelled.tolist() == expected
    assert relabelled.dtype == np.int64


@pytest.mark.parametrize("current", [0, 1])
def test_relabel_of_two_classes_keeps_numbers_and_takes_columns(current):
    assert relabel(np.array([0, 1, 1]), current, 2).tolist() == [0, 1, 1]
    y = np.array([[1, 0], [1, 1]])
    assert relabel(y, current, 2).tolist() == y[:, current].tolist()


@pytest.mark.parametrize("y", [[0, 3], [[1, 0], [0, 1]], [[0, 2, 1]], [[[1, 0, 0]]]])
def test_relabel_refuses_labels_of_other_classes(y):
    with pytest.raises(ValueError, match=r"not of 3 classes; give class numbers 0 to 2, .*, shape \(n, 3\)"):
        relabel(np.array(y), 0, 3)


def test_prepare_labels_relabels_all_three_parts():
    parts = prepare_labels([0, 1, 2], [1, 1], np.array([2, 0]), 1, 3)
    assert [part.tolist() for part in parts] == [[0, 1, 0], [1, 1], [0, 0]]


def test_prepare_generators_draws_a_fixed_validation_set():
    x, y = np.arange(20).reshape(10, 2), np.arange(10) % 2
    train_gen, x_val, y_val = prepare_generators(x, y, x + 100, y, batch_size=4, epoch_size=30, seed=3)
    sample = np.random.RandomState(3).choice(10, 30)
    assert [len(labels) for _, labels in train_gen] == [4] * 7 + [2]
    assert x_val.tolist() == (x + 100)[sample].tolist()
    assert y_val.tolist() == y[sample].tolist()


# --- training ---------------------------------------------------------------------------------------------


@pytest.fixture
def runs(monkeypatch):
    """Records each run of the loop: (stage, its first weights, the optimizer's steps, training labels)."""
    recorded, fit = [], loop.fit

    def recording(model, loss_op, optimizer, train_gen, val_gen, options, stage, *args):
        steps = {int(state["step"]) for state in optimizer.state.values()}
        recorded.append((stage, weights_of(model), steps, train_gen.dataset.y_in.tolist()))
        return fit(model, loss_op, optimizer, train_gen, val_gen, options, stage, *args)

    monkeypatch.setattr(loop, "fit", recording)
    monkeypatch.setattr(class_avg_finetuning, "fit", recording)
    return recorded


@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_methods_learn(method):
    epoch_size = 64 if method == "chain-thaw" else 128  # each of its stages has as many
    _, f1 = tuned(method, nb_classes=2, **{**LEARNING, "epoch_size": epoch_size})
    assert f1 > 0.75  # 0.67 where all texts are taken for the class


NUMBERS = small_task(3), small_task(2)


@pytest.mark.parametrize(
    ("task", "nb_classes", "rounds", "least"),
    [
        (NUMBERS[0], 3, np.eye(3)[NUMBERS[0][1][0]].T, 0.8),
        ((NUMBERS[0][0], one_hot(NUMBERS[0][1], 3)), 3, np.eye(3)[NUMBERS[0][1][0]].T, 0.8),
        (multi_label_task(3), 3, multi_label_task(3)[1][0].T, 0.5),
        (NUMBERS[1], 2, [NUMBERS[1][1][0]], 0.9),
        ((NUMBERS[1][0], one_hot(NUMBERS[1][1], 2)), 2, np.eye(2)[NUMBERS[1][1][0]].T, 0.8),
    ],
    ids=["numbers", "one-hot", "multi-label", "numbers of two classes", "vectors of two classes"],
)
def test_each_class_is_trained_against_the_rest(runs, task, nb_classes, rounds, least):
    _, f1 = tuned(task=task, nb_classes=nb_classes, **LEARNING)
    assert [labels for *_, labels in runs] == np.asarray(rounds).astype(int).tolist()
    assert f1 > least


@pytest.mark.parametrize(("method", "changed"), [("last", LAYERS[-1:]), ("new", LAYERS)])
def test_each_class_starts_from_the_same_weights_and_a_fresh_optimizer(runs, method, changed):
    model = one_output()
    initial = weights_of(model)
    tuned(method, model=model)
    assert len(runs) == 3
    for _, weights, steps, _ in runs:
        assert not changed_layers(weights, initial)
        assert steps == set()
    assert changed_layers(initial, weights_of(model)) == set(changed)


def test_score_is_the_mean_over_classes_and_thresholds_apply_to_probabilities(monkeypatch):
    calls = []

    def recording(y_val, p_val, y_test, p_test):
        result = find_f1_threshold(y_val, p_val, y_test, p_test)
        calls.append((p_val, p_test, result))
        return result

    monkeypatch.setattr(class_avg_finetuning, "find_f1_threshold", recording)
    texts, labels = multi_label_task(3)
    model, f1 = tuned(task=(texts, labels))
    assert f1 == pytest.approx(np.mean([result[0] for _, _, result in calls]))
    with torch.no_grad():  # the model is that of the last class
        expected = [torch.sigmoid(model(torch.from_numpy(x.astype(np.int64)))[:, 0]) for x in texts[1:]]
    assert np.allclose(calls[2][0], expected[0], atol=1e-6)
    assert np.allclose(calls[2][1], expected[1], atol=1e-6)


def test_class_without_examples_scores_zero():
    texts, labels = small_task(2)
    _, f1 = tuned(task=(texts, labels), nb_classes=3)
    full = [tuned(task=(texts, one_hot(labels, 2)), nb_classes=2)[1]]
    assert f1 == pytest.approx(2 / 3 * full[0])


def parts_of(task):
    return list(zip(*task, strict=True))


def test_class_avg_tune_trainable_keeps_its_files(tmp_path):
    model = one_output()
    initial = weights_of(model)
    paths = tmp_path / "initial.bin", tmp_path / "best.bin"
    f1 = class_avg_tune_trainable(
        *(model, 3, nn.BCEWithLogitsLoss(), make_optimizer(model, 1e-3, 0), *parts_of(multi_label_task(3))),
        *(40, 1, 10, *paths, 5, False),
    )
    assert 0 < f1 <= 1
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    saved = [torch.load(path, weights_only=True) for path in paths]
    assert torch.equal(saved[0]["embed.weight"], initial["embed"]["embed.weight"])
    assert torch.equal(saved[1]["embed.weight"], model.embed.weight)


def test_optimizer_with_a_state_starts_each_class_from_that_state(tmp_path, runs):
    model = small_model(2)
    optimizer = make_optimizer(model, 1e-3, 0)
    model(torch.ones(2, 3, dtype=torch.int64)).sum().backward()
    optimizer.step()
    class_avg_tune_trainable(
        *(model, 3, nn.BCEWithLogitsLoss(), optimizer, *parts_of(multi_label_task(3))),
        *(40, 1, 10, tmp_path / "initial.bin", tmp_path / "best.bin"),
        verbose=False,
    )
    assert [steps for _, _, steps, _ in runs] == [{1}] * 3


def test_chain_thaw_of_each_class_starts_from_the_same_weights(runs, tmp_path):
    model = one_output()
    initial = weights_of(model)["embed"]["embed.weight"]
    paths = tmp_path / "best.bin", tmp_path / "initial.bin"
    parts, loss_op = parts_of(multi_label_task(2)), nn.BCEWithLogitsLoss()
    f1 = class_avg_chainthaw(model, 2, loss_op, *parts, 10, 40, 1, *paths, 4, 0.01, 0.002, verbose=False)
    assert 0 <= f1 <= 1
    assert len(runs) == 12
    seconds = [weights for stage, weights, *_ in runs if "2/6, embed" in stage]
    assert [torch.equal(weights["embed"]["embed.weight"], initial) for weights in seconds] == [True, True]
    saved = [torch.load(path, weights_only=True)["embed.weight"] for path in paths]
    assert torch.equal(saved[0], model.embed.weight)
    assert torch.equal(saved[1], initial)


# --- reproducible, and without traces ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["new", "chain-thaw"])
def test_the_result_depends_on_the_seed_alone(method):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    torch.manual_seed(1)
    first, first_f1 = tuned(method, nb_classes=2)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, second_f1 = tuned(method, nb_classes=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert first_f1 == second_f1
    assert changed_layers(weights_of(first), weights_of(second)) == set()
    other, _ = tuned(method, nb_classes=2, seed=2)
    assert "output_layer" in changed_layers(weights_of(first), weights_of(other))
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_model_comes_back_in_evaluation_mode_with_its_flags():
    model = small_model(2)
    model.lstm_0.requires_grad_(False)
    flags = [p.requires_grad for p in model.parameters()]
    tuned("chain-thaw", nb_classes=2, model=model)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert not model.training


@pytest.mark.parametrize(
    ("method", "bar"), [("last", "class 2/2"), ("chain-thaw", "class 2/2, chain-thaw 6/6")]
)
@pytest.mark.parametrize("verbose", [True, False])
def test_verbose_shows_classes_and_logs_their_scores(method, bar, verbose, capfd, caplog):
    caplog.set_level(logging.INFO)
    tuned(method, nb_classes=2, verbose=verbose)
    out, err = capfd.readouterr()
    assert (out, bar in err, bool(err)) == ("", verbose, verbose)
    messages = ["class 1/2", "class 2/2"] if verbose else []
    logged = [record.message for record in caplog.records if "limit" not in record.message]
    assert [message.split(":")[0] for message in logged] == messages


# --- wrong input ------------------------------------------------------------------------------------------

THREE = small_task(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": small_model(3)}, r"has 3 outputs, but class_avg_finetune, .*wants 1; .*_transfer\(2, "),
        ({"method": "all"}, "method is 'all'; it must be one of last, full, new, chain-thaw"),
        ({"task": multi_label_task(4)}, "not of 3 classes"),
        (
            {"task": (THREE[0], [THREE[1][0], *one_hot(THREE[1][1:], 3)])},
            "class numbers in one part and vectors",
        ),
    ],
)
def test_wrong_arguments_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        tuned(**options)


@pytest.mark.parametrize(
    "labels",
    [*([value] * 4 for value in (10**20, 10**400, 2**63, 0.5, None, {}, "x" * 9999)), [[0], [0, 1]] * 2, 5],
)
def test_labels_of_any_other_kind_are_one_message(labels):
    with pytest.raises(ValueError, match=r"^labels") as caught:
        relabel(labels, 1, 3)
    assert len(str(caught.value)) < 300
    ids = [np.ones((4, 3), dtype=np.int64)] * 3
    for train in (finetune, class_avg_finetune):
        with pytest.raises(ValueError, match=r"^labels"):
            train(small_model(3 if train is finetune else 2), ids, [labels] * 3, 3, 4, "last")
