"""torchmoji.training.loop: the loop, what decides in it, its surroundings and the checks."""

import logging
import math

import numpy as np
import pytest
import torch
from support.small_task import small_model, small_task
from torch import nn

from torchmoji.training import loop
from torchmoji.training.loop import (
    TrainingOptions,
    check_class_numbers,
    check_model,
    check_parts,
    fit,
    keep_weights,
    training_session,
    validate,
)


class Constant(nn.Module):
    """Gives the same logits for every text."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def texts(n):
    return torch.zeros(n, 2, dtype=torch.int64)


BATCHES = [(texts(4), torch.tensor([1, 1, 0, 1])), (texts(1), torch.tensor([0]))]


# --- what decides -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monitor", "score"), [("loss", None), ("acc", 3 / 5), ("macro", 3 / 8), ("weighted", 3 / 4 * 3 / 5)]
)
def test_validation_is_of_all_samples_and_not_of_batches(monitor, score):
    logit = 0.7
    expected = (3 * np.log1p(np.exp(-logit)) + 2 * np.log1p(np.exp(logit))) / 5
    loss, accuracy, watched = validate(Constant([logit]), nn.BCEWithLogitsLoss(), BATCHES, monitor)
    assert (loss, accuracy) == (pytest.approx(expected), pytest.approx(3 / 5))
    assert watched == pytest.approx(expected if score is None else 1 - score)


@pytest.mark.parametrize(
    ("loss_op", "logits", "labels"),
    [
        (nn.CrossEntropyLoss(), [0.0, -1.0, 0.5], [2, 2, 0, 1]),
        (nn.BCEWithLogitsLoss(), [0.5, -1.0], [[1, 0], [1, 1], [0, 1], [0, 0]]),
    ],
)
def test_accuracy_of_several_outputs(loss_op, logits, labels):
    _, accuracy, _ = validate(Constant(logits), loss_op, [(texts(4), torch.tensor(labels))], "loss")
    assert accuracy == 0.5


# --- the loop ---------------------------------------------------------------------------------------------


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """Trains with validation losses that are given: (best, epochs, weight after each epoch, last weight)."""

    def run(losses, best=math.inf, **options):
        model, script, weights = Constant([0.0]), iter(losses), []

        def validate(*_):
            weights.append(model.logits.item())
            loss = next(script)
            return loss, 0.5, loss

        monkeypatch.setattr(loop, "validate", validate)
        options = TrainingOptions(**{"patience": 3, "verbose": 0, **options})
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        path = tmp_path / "best.bin"
        best, history = fit(
            *(model, nn.BCEWithLogitsLoss(), optimizer, BATCHES, BATCHES, options),
            checkpoint_path=path,
            best=best,
        )
        np.testing.assert_equal([epoch.val_loss for epoch in history], losses[: len(history)])
        assert torch.load(path, weights_only=True)["logits"].item() == model.logits.item()
        assert list(tmp_path.iterdir()) == [path]
        return best, len(history), [0.0, *weights].index(model.logits.item())

    return run


NAN = float("nan")


@pytest.mark.parametrize(
    ("losses", "options", "expected"),  # the lowest loss, the number of epochs, and that of the best one
    [
        ([0.9, 1.1, 1.2, 1.3, 0.1], {}, (0.9, 4, 1)),
        ([0.9, 0.95, 0.9, 1.2, 0.1], {"best": 1.0}, (0.9, 4, 1)),
        ([1.1, 1.1, 0.9, 1.1, 1.1, 0.8, 1.1, 1.1, 1.1, 0.1], {"best": 1.0}, (0.8, 9, 6)),
        ([0.9, 0.7, 0.8, 0.9, 0.1], {"epochs": 4}, (0.7, 4, 2)),
        ([1.0, 1.1, 1.2, 0.1], {"best": 1.0}, (1.0, 3, 0)),
        ([0.9, NAN, NAN, NAN, 0.1], {}, (0.9, 4, 1)),
    ],
    ids=["stops", "equal is no improvement", "patience starts again", "epochs", "keeps the start", "nan"],
)
def test_the_weights_of_the_lowest_loss_are_kept(scripted, losses, options, expected):
    assert scripted(losses, **options) == expected


def one_step(model, parameters):
    """The change of the parameters in one step of gradient descent at rate 1."""
    before = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    loop._train_epoch(model, nn.BCEWithLogitsLoss(reduction="sum"), optimizer, [BATCHES[0]])
    return torch.cat([(p.detach() - b).flatten() for p, b in zip(parameters, before, strict=True)])


# The loss of three texts of class 1 and one of class 0, summed, falls at this rate with the common logit 1.
SLOPE_AT_ONE = 3 - 4 / (1 + np.exp(-1))


def test_small_gradients_are_not_scaled():
    model = Constant([1.0])
    assert one_step(model, [model.logits]).item() == pytest.approx(SLOPE_AT_ONE)


def test_gradients_are_clipped_to_the_norm_one():
    model = Constant([20.0])
    model.scale = nn.Parameter(torch.tensor(50.0))
    model.forward = lambda x: (model.logits * model.scale).expand(len(x), -1)
    change = one_step(model, [model.logits, model.scale])
    assert change.norm().item() == pytest.approx(1.0, rel=1e-4)
    assert (change != 0).all()


def test_left_over_gradients_of_frozen_layers_do_not_count():
    model = Constant([1.0])
    model.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
    model.frozen.grad = torch.tensor([1000.0])
    assert one_step(model, [model.logits]).item() == pytest.approx(SLOPE_AT_ONE)


def test_a_loss_that_is_not_finite_stops_the_training():
    model = Constant([float("nan")])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="training loss of epoch 1 is nan"):
        fit(model, nn.BCEWithLogitsLoss(), optimizer, BATCHES, BATCHES, TrainingOptions(verbose=0))
    assert not model.training


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_verbose_shows_a_bar_and_logs_epochs(scripted, verbose, capfd, caplog, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # at the usual 80 older versions of tqdm cut off what it shows
    caplog.set_level(logging.INFO)
    scripted([0.925, 0.8], epochs=2, verbose=verbose)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("2/2" in err and "val_loss=0.8" in err) == bool(verbose) == bool(err)
    messages = ["training: epoch 1", "training: epoch 2"] if verbose == 2 else []
    messages += ["training ended at its limit"]
    assert [record.message.split(",")[0] for record in caplog.records] == messages


def test_training_that_stopped_improving_has_no_note(scripted, caplog):
    scripted([0.8, 0.925], epochs=2, verbose=1)
    assert "limit" not in caplog.text


def test_interrupted_saving_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "weights.bin"
    keep_weights(Constant([1.0]), path)

    def interrupted(state, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep_weights(Constant([2.0]), path)
    assert list(tmp_path.iterdir()) == [path]
    assert torch.load(path, weights_only=True)["logits"].item() == 1.0


# --- surroundings -----------------------------------------------------------------------------------------


def test_session_leaves_no_traces_also_of_a_failure():
    model = small_model().train()
    model.lstm_0.requires_grad_(False)
    flags = [p.requires_grad for p in model.parameters()]
    generator = torch.get_rng_state()

    def interrupted():
        with training_session(model, seed=1):
            model.requires_grad_(True)
            model(torch.randint(1, 9, (2, 3))).sum().backward()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert not model.training
    assert torch.equal(torch.get_rng_state(), generator)


def test_session_is_seeded():
    def draw(seed):
        with training_session(small_model(), seed):
            return torch.rand(4).tolist()

    assert draw(1) == draw(1) != draw(2)


# --- checks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(2, 2), r"no embed.*torchmoji_transfer"),
        (nn.ModuleDict({"embed": nn.Embedding(2, 2)}), r"no output_layer.*torchmoji_transfer"),
        (small_model(3, output_logits=False), "gives probabilities; training wants logits"),
        (small_model(3, return_attention=True), "return_attention"),
        (small_model(5), r"has 5 outputs, but nb_classes=3 wants 3; .*torchmoji_transfer\(3"),
    ],
)
def test_models_that_cannot_be_tuned_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        check_model(model, 3, "nb_classes=3")


X, Y = small_task(2)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:2], Y, "2 parts of texts and 3 of labels; wanted are three each"),
        (X, [Y[0], Y[1][1:], Y[2]], "the validation part has 30 texts and 29 labels"),
        ([*X[:2], X[2][:0]], [*Y[:2], Y[2][:0]], "the test part has 0 texts and 0 labels"),
        ([X[0] * 1.0, *X[1:]], Y, "the training part has token ids of float64; they must be integers"),
        ([X[0], X[1][:, 0], X[2]], Y, r"the validation part has token ids of .*, the shape is \("),
        ([X[0].astype(int) - 99, *X[1:]], Y, "they must be integers from 0 on"),
        (X, [Y[0], Y[1] * float("nan"), Y[2]], "labels of the validation part must be whole .* row 0 .* nan"),
        (X, [Y[0], Y[1] + 0.5, Y[2]], "labels of the validation part must be whole numbers"),
        (X, [Y[0], [None, *Y[1][1:]], Y[2]], "labels of the validation part must be .* row 0 there is None"),
        ([X[0] + 1, *X[1:]], Y, r"token id 40, but the model's embedding has 40 rows; .*extend_embedding"),
    ],
)
def test_wrong_parts_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        check_parts(small_model(), x, y)


@pytest.mark.parametrize(
    ("y", "nb_classes", "message"),
    [
        (np.eye(3), 3, "one class number for each text, class_avg_finetune"),
        (np.array([0, 3]), 3, "nb_classes=3 they must be 0 to 2"),
        (np.array([-1, 0]), 2, "nb_classes=2 they must be 0 to 1"),
        (np.array([0.5]), 2, "nb_classes=2 they must be 0 to 1"),
        (np.array([2]), 1, "nb_classes=1 they must be 0 to 1"),
    ],
)
def test_wrong_class_numbers_are_refused(y, nb_classes, message):
    with pytest.raises(ValueError, match=message):
        check_class_numbers(y, nb_classes)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_training_that_is_broken_off_leaves_the_best_weights(error):
    class Broken(nn.CrossEntropyLoss):
        calls = 0

        def forward(self, *given):
            self.calls += 1
            if self.calls > 1:  # in the first epoch, after a step
                raise error
            return super().forward(*given)

    model = Constant([0.5, -0.5])
    optimizer = torch.optim.SGD(model.parameters(), lr=10)
    with pytest.raises(error):
        fit(model, Broken(), optimizer, BATCHES, BATCHES, TrainingOptions(epochs=5, verbose=0))
    assert model.logits.tolist() == [0.5, -0.5]
    assert not model.training
