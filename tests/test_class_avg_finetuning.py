"""torchmoji.class_avg_finetuning: all kinds of labels, a fresh start for each class, thresholds."""

import inspect
import logging
import tempfile

import numpy as np
import pytest
import torch
from support.small_task import changed_layers, multi_label_task, small_model, small_task, weights_of
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
from torchmoji.finetuning import find_f1_threshold
from torchmoji.global_variables import FINETUNING_METHODS
from torchmoji.training.loop import make_optimizer

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


# --- the interface of 2017 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("relabel", "y, current_label_nr, nb_classes"),
        (
            "class_avg_finetune",
            "model, texts, labels, nb_classes, batch_size, method, epoch_size=5000, nb_epochs=1000, "
            "embed_l2=1e-06, verbose=True",
        ),
        ("prepare_labels", "y_train, y_val, y_test, iter_i, nb_classes"),
        ("prepare_generators", "X_train, y_train_new, X_val, y_val_new, batch_size, epoch_size"),
        (
            "class_avg_tune_trainable",
            "model, nb_classes, loss_op, optim_op, train, val, test, epoch_size, nb_epochs, batch_size, "
            "init_weight_path, checkpoint_weight_path, patience=5, verbose=True",
        ),
        (
            "class_avg_chainthaw",
            "model, nb_classes, loss_op, train, val, test, batch_size, epoch_size, nb_epochs, "
            "checkpoint_weight_path, f1_init_weight_path, patience=5, initial_lr=0.001, next_lr=0.0001, "
            "verbose=True",
        ),
    ],
)
def test_names_arguments_and_defaults_of_2017(name, signature):
    parameters = inspect.signature(getattr(class_avg_finetuning, name)).parameters.values()
    positional = [p.replace(annotation=p.empty) for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert ", ".join(str(p) for p in positional) == signature
    assert name in class_avg_finetuning.__all__


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
def test_relabel_keeps_class_numbers_of_two_classes(current):
    assert relabel(np.array([0, 1, 1]), current, 2).tolist() == [0, 1, 1]


@pytest.mark.parametrize("current", [0, 1])
def test_relabel_takes_the_column_of_vectors_of_two_classes(current):
    y = np.array([[1, 0], [1, 1]])
    assert relabel(y, current, 2).tolist() == y[:, current].tolist()


@pytest.mark.parametrize("y", [[0, 3], [[1, 0], [0, 1]], [[0, 2, 1]], [[[1, 0, 0]]], [0.5, 1]])
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
def rounds(monkeypatch):
    """Records each call of fit_model: (model's weights, optimizer's steps so far, training labels)."""
    recorded = []
    fit_model = class_avg_finetuning.fit_model

    def recording(model, loss_op, optimizer, train_gen, *args, **kwargs):
        recorded.append((weights_of(model), len(optimizer.state), train_gen.dataset.y_in.numpy()))
        return fit_model(model, loss_op, optimizer, train_gen, *args, **kwargs)

    monkeypatch.setattr(class_avg_finetuning, "fit_model", recording)
    return recorded


@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_methods_learn(method):
    epoch_size = 64 if method == "chain-thaw" else 128  # each of its stages has as many
    _, f1 = tuned(method, nb_classes=2, **{**LEARNING, "epoch_size": epoch_size})
    assert f1 > 0.75  # 0.67 where all texts are taken for the class


@pytest.mark.parametrize("kind", ["numbers", "one-hot"])
def test_exclusive_classes(rounds, kind):
    texts, labels = small_task(3)
    _, f1 = tuned(task=(texts, labels if kind == "numbers" else one_hot(labels, 3)), **LEARNING)
    assert [y.tolist() for _, _, y in rounds] == [(labels[0] == c).astype(int).tolist() for c in range(3)]
    assert f1 > 0.8


def test_multi_label_classes(rounds):
    texts, labels = multi_label_task(3)
    tuned(task=(texts, labels))
    assert [y.tolist() for _, _, y in rounds] == labels[0].T.tolist()


def test_two_classes_by_number_take_one_round(rounds):
    task = small_task(2)
    _, f1 = tuned(task=task, nb_classes=2, **LEARNING)
    assert [y.tolist() for _, _, y in rounds] == [task[1][0].tolist()]
    assert f1 > 0.9


def test_two_classes_by_vector_take_two_rounds(rounds):
    texts, labels = small_task(2)
    tuned(task=(texts, one_hot(labels, 2)), nb_classes=2)
    assert [y.tolist() for _, _, y in rounds] == [(1 - labels[0]).tolist(), labels[0].tolist()]


def test_each_class_starts_from_the_same_weights_and_a_fresh_optimizer(rounds):
    model = one_output()
    initial = weights_of(model)
    tuned("new", model=model)
    assert len(rounds) == 3
    assert [changed_layers(initial, weights) for weights, _, _ in rounds] == [set()] * 3
    assert [steps for _, steps, _ in rounds] == [0, 0, 0]
    assert changed_layers(initial, weights_of(model)) == set(initial)


def test_last_trains_the_output_layer_only():
    model = one_output()
    before = weights_of(model)
    tuned("last", model=model)
    assert changed_layers(before, weights_of(model)) == {"output_layer"}


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
        *(40, 1, 10, *paths),
        verbose=False,
    )
    assert 0 < f1 <= 1
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    saved = [torch.load(path, weights_only=True) for path in paths]
    assert torch.equal(saved[0]["embed.weight"], initial["embed"]["embed.weight"])
    assert torch.equal(saved[1]["embed.weight"], model.embed.weight)


def test_optimizer_with_a_state_starts_each_class_from_that_state(tmp_path, monkeypatch):
    model = small_model(2)
    optimizer = make_optimizer(model, 1e-3, 0)
    model(torch.ones(2, 3, dtype=torch.int64)).sum().backward()
    optimizer.step()
    steps = []
    fit_model = class_avg_finetuning.fit_model

    def recording(*args, **kwargs):
        steps.append(optimizer.state[model.embed.weight]["step"].item())
        fit_model(*args, **kwargs)

    monkeypatch.setattr(class_avg_finetuning, "fit_model", recording)
    class_avg_tune_trainable(
        *(model, 3, nn.BCEWithLogitsLoss(), optimizer, *parts_of(multi_label_task(3))),
        *(40, 1, 10, tmp_path / "initial.bin", tmp_path / "best.bin"),
        verbose=False,
    )
    assert steps == [1, 1, 1]


def test_chain_thaw_of_each_class_starts_from_the_same_weights(monkeypatch, tmp_path):
    starts, arguments = [], []
    train_by_chain_thaw = class_avg_finetuning.train_by_chain_thaw

    def recording(model, *args, **kwargs):
        starts.append(weights_of(model))
        arguments.append(args[3:])
        train_by_chain_thaw(model, *args, **kwargs)

    monkeypatch.setattr(class_avg_finetuning, "train_by_chain_thaw", recording)
    model = one_output()
    initial = weights_of(model)
    best = tmp_path / "best.bin"
    f1 = class_avg_chainthaw(
        *(model, 2, nn.BCEWithLogitsLoss(), *parts_of(multi_label_task(2)), 10, 40, 1, best),
        *(tmp_path / "initial.bin", 4, 0.01, 0.002),
        verbose=False,
        embed_l2=1e-4,
    )
    assert [changed_layers(initial, weights) for weights in starts] == [set(), set()]
    assert arguments == [(4, 1, best, 0.01, 0.002, 1e-4, 0)] * 2
    assert 0 <= f1 <= 1


# --- reproducible, and without traces ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["new", "chain-thaw"])
def test_same_seed_same_result(method):
    torch.manual_seed(1)
    first, first_f1 = tuned(method, nb_classes=2)
    torch.manual_seed(2)
    second, second_f1 = tuned(method, nb_classes=2)
    assert first_f1 == second_f1
    assert changed_layers(weights_of(first), weights_of(second)) == set()


def test_other_seed_other_result():
    first, second = (tuned("new", nb_classes=2, seed=seed)[0] for seed in (1, 2))
    assert "output_layer" in changed_layers(weights_of(first), weights_of(second))


def test_global_generators_are_left_alone():
    states = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    tuned("new", nb_classes=2)
    assert np.array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])


def test_model_comes_back_in_evaluation_mode_with_its_flags():
    model = small_model(2)
    model.lstm_0.requires_grad_(False)
    flags = [p.requires_grad for p in model.parameters()]
    tuned("chain-thaw", nb_classes=2, model=model)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert not model.training


@pytest.mark.parametrize("method", ["full", "chain-thaw"])
@pytest.mark.parametrize("interrupt_after", [None, 12])
def test_no_temporary_files_are_left(tmp_path, monkeypatch, method, interrupt_after):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = small_model(2)
    calls = []

    def interrupt(module, inputs):
        calls.append(sorted(path.name for path in tmp_path.rglob("*.bin")))
        if len(calls) == interrupt_after:
            raise KeyboardInterrupt

    model.register_forward_pre_hook(interrupt)
    if interrupt_after is None:
        tuned(method, nb_classes=2, model=model)
    else:
        with pytest.raises(KeyboardInterrupt):
            tuned(method, nb_classes=2, model=model)
    assert calls[-1] == ["best.bin", "initial.bin"]
    assert list(tmp_path.iterdir()) == []


def test_silent_unless_verbose(capfd, caplog):
    caplog.set_level(logging.DEBUG)
    tuned("chain-thaw", nb_classes=2, verbose=False)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("method", "bar"), [("last", "class 2/2"), ("chain-thaw", "class 2/2, chain-thaw 6/6")]
)
def test_verbose_shows_classes_and_logs_their_scores(method, bar, capfd, caplog):
    caplog.set_level(logging.INFO)
    tuned(method, nb_classes=2, verbose=True)
    assert bar in capfd.readouterr().err
    assert [record.message.split(":")[0] for record in caplog.records] == ["class 1/2", "class 2/2"]


# --- wrong input ------------------------------------------------------------------------------------------


def test_model_with_an_output_for_each_class_is_refused():
    message = (
        r"has 3 outputs, but class_avg_finetune, .*each class against the rest, wants 1; .*_transfer\(2, "
    )
    with pytest.raises(ValueError, match=message):
        tuned(model=small_model(3))


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method is 'all'; it must be one of last, full, new, chain-thaw"):
        tuned("all")


def test_labels_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="not of 3 classes"):
        tuned(task=multi_label_task(4))


def test_labels_of_two_kinds_are_refused():
    texts, labels = small_task(3)
    with pytest.raises(ValueError, match="class numbers in one part and vectors in another"):
        tuned(task=(texts, [labels[0], *one_hot(labels[1:], 3)]))
