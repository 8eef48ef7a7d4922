"""torchmoji.training.loop: the loop, what trains in it, its surroundings and the checks."""

import logging
import tempfile

import numpy as np
import pytest
import torch
from support.small_task import small_model, small_task
from torch import nn

from torchmoji.training import loop as training
from torchmoji.training.loop import (
    calc_loss,
    change_trainable,
    check_class_numbers,
    check_model,
    check_parts,
    fit_model,
    freeze_layers,
    load_checkpoint,
    make_optimizer,
    method_optimizer,
    save_checkpoint,
    training_session,
    validate,
)
from torchmoji.training.sampling import get_data_loader


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


# --- losses -----------------------------------------------------------------------------------------------


def test_cross_entropy_of_a_batch():
    logits, y = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]]), torch.tensor([1, 2])
    assert calc_loss(nn.CrossEntropyLoss(), logits, y) == nn.functional.cross_entropy(logits, y)


def test_binary_loss_of_one_column():
    logits = torch.tensor([[1.0], [-2.0]])
    expected = (np.log1p(np.exp(-1)) + np.log1p(np.exp(2))) / 2
    assert calc_loss(nn.BCEWithLogitsLoss(), logits, torch.tensor([1, 1])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss_op", "logits"), [(nn.CrossEntropyLoss(), [[0.0, 0.0]]), (nn.BCEWithLogitsLoss(), [[0.0]])]
)
def test_loss_of_a_single_text(loss_op, logits):
    assert calc_loss(loss_op, torch.tensor(logits), torch.tensor([1])).item() == pytest.approx(np.log(2))


def test_validation_loss_is_the_mean_of_samples_not_of_batches():
    logit = 0.7
    expected = (3 * np.log1p(np.exp(-logit)) + 2 * np.log1p(np.exp(logit))) / 5
    loss, watched = validate(Constant([logit]), nn.BCEWithLogitsLoss(), BATCHES, "loss")
    assert loss == watched == pytest.approx(expected)


@pytest.mark.parametrize(
    ("monitor", "score"), [("acc", 3 / 5), ("macro", 3 / 8), ("weighted", 3 / 4 * 3 / 5)]
)
def test_a_score_of_the_validation_part_may_be_watched(monitor, score):
    loss, watched = validate(Constant([0.7]), nn.BCEWithLogitsLoss(), BATCHES, monitor)
    assert watched == pytest.approx(1 - score)  # all are said to be 1, and 3 of 5 are
    assert loss > watched


def test_several_logits_are_scored_by_the_largest():
    batches = [(texts(4), torch.tensor([2, 2, 0, 1]))]
    assert validate(Constant([0.0, -1.0, 0.5]), nn.CrossEntropyLoss(), batches, "acc")[1] == 0.5


# --- the loop ---------------------------------------------------------------------------------------------


class Scripted:
    """A loop whose validation losses are given; records the weight after each epoch."""

    def __init__(self, monkeypatch, tmp_path, losses):
        self.model = Constant([0.0])
        self.weights = []
        self.path = tmp_path / "best.bin"
        script = iter(losses)

        def validate(model, loss_op, batches, monitor):
            self.weights.append(model.logits.item())
            return (next(script),) * 2

        monkeypatch.setattr(training, "validate", validate)

    def fit(self, epochs=100, patience=3, verbose=0, keep_start=True):
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        loss_op = nn.BCEWithLogitsLoss()
        return fit_model(
            self.model,
            loss_op,
            optimizer,
            BATCHES,
            BATCHES,
            epochs,
            self.path,
            patience,
            verbose,
            keep_start=keep_start,
        )

    @property
    def epochs(self):
        return len(self.weights) - 1


def test_the_best_epoch_is_kept_even_where_the_start_was_better(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 0.9, 1.1, 1.2, 1.3])
    assert run.fit(patience=3, keep_start=False) == 0.9
    assert run.model.logits.item() == run.weights[1] != 0.0


def test_training_stops_after_epochs_in_a_row_without_improvement(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 0.9, 0.95, 0.9, 1.2])
    run.fit(patience=3)
    assert run.epochs == 4


def test_patience_starts_again_after_an_improvement(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 1.1, 1.1, 0.9, 1.1, 1.1, 0.8, 1.1, 1.1, 1.1])
    run.fit(patience=3)
    assert run.epochs == 9


def test_training_ends_after_the_given_epochs(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 0.9, 0.8])
    run.fit(epochs=2)
    assert run.epochs == 2


def test_weights_of_the_lowest_validation_loss_come_back(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 0.9, 0.7, 0.8, 0.9])
    assert run.fit(epochs=4) == 0.7
    assert len(set(run.weights)) == 5
    assert run.model.logits.item() == run.weights[2]


def test_initial_weights_come_back_when_nothing_improves(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 1.0, 1.1, 1.2])
    assert run.fit() == 1.0
    assert run.model.logits.item() == 0.0


def test_nan_is_no_improvement(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 0.9, float("nan"), float("nan"), float("nan")])
    assert run.fit() == 0.9


def test_checkpoint_stays_at_its_path_alone(monkeypatch, tmp_path):
    run = Scripted(monkeypatch, tmp_path, [1.0, 0.9, 0.95])
    run.fit(epochs=2)
    assert list(tmp_path.iterdir()) == [run.path]
    assert torch.load(run.path, weights_only=True)["logits"].item() == run.weights[1]


def test_loss_falls(tmp_path):
    x, y = small_task(2)
    model = small_model(2)
    batches = get_data_loader(x[0], y[0], 10, extended_batch_sampler=False)
    before, _ = validate(model, nn.BCEWithLogitsLoss(), batches, "loss")
    optimizer = make_optimizer(model, 1e-2, 0)
    best = fit_model(
        model, nn.BCEWithLogitsLoss(), optimizer, batches, batches, 3, tmp_path / "best.bin", 3, 0
    )
    assert best < 0.8 * before
    assert validate(model, nn.BCEWithLogitsLoss(), batches, "loss")[0] == pytest.approx(best)


def one_step(model, parameters):
    """The change of the parameters in one step of gradient descent at rate 1."""
    before = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    training._train_epoch(model, nn.BCEWithLogitsLoss(reduction="sum"), optimizer, [BATCHES[0]])
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


def test_batches_train_with_dropout():
    model = Constant([1.0])
    seen = []
    model.register_forward_hook(lambda *_: seen.append(model.training))
    one_step(model.eval(), [model.logits])
    assert seen == [True]


# --- what the user sees -----------------------------------------------------------------------------------


def test_verbose_0_is_silent(monkeypatch, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    Scripted(monkeypatch, tmp_path, [1.0, 0.9]).fit(epochs=1, verbose=0)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_verbose_1_shows_a_bar_of_epochs_with_losses(monkeypatch, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    Scripted(monkeypatch, tmp_path, [1.0, 0.925]).fit(epochs=1, verbose=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "1/1" in err
    assert "val_loss=0.925" in err
    assert caplog.records == []


def test_verbose_2_logs_each_epoch(monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    Scripted(monkeypatch, tmp_path, [1.0, 0.9, 0.8]).fit(epochs=2, verbose=2)
    assert [r.message.split(",")[0] for r in caplog.records] == ["training: epoch 1", "training: epoch 2"]
    assert "validation loss 0.8000" in caplog.text


# --- checkpoints ------------------------------------------------------------------------------------------


def test_checkpoint_round_trip(tmp_path):
    model, other = small_model(3, seed=1), small_model(3, seed=2)
    save_checkpoint(model, tmp_path / "weights.bin")
    load_checkpoint(other, tmp_path / "weights.bin")
    assert all(torch.equal(other.state_dict()[name], weight) for name, weight in model.state_dict().items())


def test_interrupted_saving_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "weights.bin"
    save_checkpoint(Constant([1.0]), path)

    def interrupted(state, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(Constant([2.0]), path)
    assert list(tmp_path.iterdir()) == [path]
    assert torch.load(path, weights_only=True)["logits"].item() == 1.0


# --- what trains ------------------------------------------------------------------------------------------


def trainable_layers(model):
    return {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}


LAYERS = {"embed", "lstm_0", "lstm_1", "attention_layer", "output_layer"}


def test_change_trainable_freezes_and_thaws():
    model = small_model()
    change_trainable(model, False)
    assert trainable_layers(model) == set()
    change_trainable(model.lstm_0, True)
    assert trainable_layers(model) == {"lstm_0"}


def test_change_trainable_logs_on_request(caplog):
    caplog.set_level(logging.INFO)
    change_trainable(nn.Linear(2, 3), False, verbose=True)
    assert "frozen: Linear" in caplog.text


def test_freeze_layers_by_keyword():
    model = small_model()
    assert freeze_layers(model, unfrozen_keyword="OUTPUT") is model
    assert trainable_layers(model) == {"output_layer"}


def test_freeze_layers_by_type():
    assert trainable_layers(freeze_layers(small_model(), ["Embedding", "LSTM"])) == {
        "embed",
        "lstm_0",
        "lstm_1",
    }


def test_freeze_layers_by_type_or_keyword():
    model = freeze_layers(small_model(), unfrozen_types=["Embedding"], unfrozen_keyword="att")
    assert trainable_layers(model) == {"embed", "attention_layer"}


def test_freeze_layers_freezes_all_by_default():
    assert trainable_layers(freeze_layers(small_model())) == set()


def groups_of(model, optimizer):
    """{layer: (learning rate, weight decay)} of an optimizer."""
    layer = {p: name.split(".")[0] for name, p in model.named_parameters()}
    return {
        layer[p]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize(
    ("method", "base", "output"), [("last", None, 1e-3), ("full", 1e-4, 1e-3), ("new", 1e-3, 1e-3)]
)
def test_learning_rates_and_regularisation(method, base, output):
    model = small_model()
    model.embed.requires_grad_(False)  # what the user froze before does not matter
    groups = groups_of(model, method_optimizer(model, method, embed_l2=1e-6))
    expected = {"output_layer": (output, 0)}
    if base is not None:
        expected |= {"embed": (base, 1e-6)}
        expected |= dict.fromkeys(("lstm_0", "lstm_1", "attention_layer"), (base, 0))
    assert groups == expected


def test_optimizer_is_adam_with_all_trainable_weights():
    model = small_model()
    optimizer = make_optimizer(model, 1e-3, 0)
    assert isinstance(optimizer, torch.optim.Adam)
    assert {p for group in optimizer.param_groups for p in group["params"]} == set(model.parameters())


# --- surroundings -----------------------------------------------------------------------------------------


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_session_leaves_no_traces(temporary, error):
    model = small_model().train()
    model.lstm_0.requires_grad_(False)
    flags = [p.requires_grad for p in model.parameters()]
    generator = torch.get_rng_state()
    try:
        with training_session(model, seed=1) as folder:
            (folder / "checkpoint").write_text("x")
            assert folder.parent == temporary
            change_trainable(model, True)
            model(torch.ones(2, 3, dtype=torch.int64)).sum().backward()
            torch.rand(3)
            if error:
                raise error
    except (RuntimeError, KeyboardInterrupt):
        pass
    assert list(temporary.iterdir()) == []
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert not model.training
    assert torch.equal(torch.get_rng_state(), generator)


def test_session_passes_errors_on(temporary):
    with pytest.raises(RuntimeError, match="as raised"), training_session(small_model(), seed=1):
        raise RuntimeError("as raised")


def test_session_is_seeded(temporary):
    def draw(seed):
        with training_session(small_model(), seed):
            return torch.rand(4).tolist()

    assert draw(1) == draw(1) != draw(2)


# --- checks -----------------------------------------------------------------------------------------------


def test_model_without_output_layer_is_refused():
    with pytest.raises(ValueError, match=r"no output_layer.*torchmoji_transfer"):
        check_model(nn.Linear(2, 2), 1, "x")


def test_model_that_gives_probabilities_is_refused():
    with pytest.raises(ValueError, match="gives probabilities; training wants logits"):
        check_model(small_model(output_logits=False), 1, "x")


def test_model_that_gives_attention_is_refused():
    with pytest.raises(ValueError, match="return_attention"):
        check_model(small_model(return_attention=True), 1, "x")


def test_model_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"has 5 outputs, but nb_classes=3 wants 3; .*torchmoji_transfer\(3"):
        check_model(small_model(5), 3, "nb_classes=3")


def test_parts_come_back_as_arrays():
    x, y = small_task(2)
    parts = check_parts(small_model(), [x[0].tolist(), torch.from_numpy(x[1].astype(int)), x[2]], y)
    assert all(np.array_equal(part[0], expected) for part, expected in zip(parts, x, strict=True))
    assert all(isinstance(a, np.ndarray) for part in parts for a in part)


def test_three_parts_are_wanted():
    x, y = small_task(2)
    with pytest.raises(ValueError, match="2 parts of texts and 3 of labels; wanted are three each"):
        check_parts(small_model(), x[:2], y)


def test_each_text_needs_a_label():
    x, y = small_task(2)
    with pytest.raises(ValueError, match="the validation part has 30 texts and 29 labels"):
        check_parts(small_model(), x, [y[0], y[1][1:], y[2]])


def test_empty_parts_are_refused():
    x, y = small_task(2)
    with pytest.raises(ValueError, match="the test part has 0 texts and 0 labels"):
        check_parts(small_model(), [x[0], x[1], x[2][:0]], [y[0], y[1], y[2][:0]])


def test_ids_beyond_the_embedding_are_refused():
    x, y = small_task(2)
    x[0][3, 1] = 40
    with pytest.raises(
        ValueError, match=r"token id 40, but the model's embedding has 40 rows; .*extend_embedding"
    ):
        check_parts(small_model(), x, y)


def test_vectors_as_class_numbers_are_refused():
    with pytest.raises(ValueError, match="one class number for each text, class_avg_finetune"):
        check_class_numbers(np.eye(3), 3)


@pytest.mark.parametrize(("y", "nb_classes"), [([0, 3], 3), ([-1, 0], 2), ([0.5], 2), ([2], 1)])
def test_class_numbers_out_of_range_are_refused(y, nb_classes):
    with pytest.raises(
        ValueError, match=f"nb_classes={nb_classes} they must be 0 to {max(1, nb_classes - 1)}"
    ):
        check_class_numbers(np.array(y), nb_classes)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    model = Constant([float("nan")])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="training loss of epoch 1 is nan"):
        fit_model(model, nn.BCEWithLogitsLoss(), optimizer, BATCHES, BATCHES, 3, tmp_path / "best.bin", 3, 0)
