"""torchmoji.training.optimizer: what trains at which rate, and dense Adam's results from sparse gradients."""

import logging

import pytest
import torch
from support.small_task import LAYERS, small_model, small_task, trainable_layers
from torch import nn

from torchmoji import finetuning
from torchmoji.training.loop import training_session
from torchmoji.training.optimizer import (
    EmbeddingAdam,
    change_trainable,
    clip_gradients,
    freeze_layers,
    method_optimizer,
)

# --- what trains ------------------------------------------------------------------------------------------


def test_change_trainable_freezes_and_thaws(caplog):
    caplog.set_level(logging.INFO)
    model = small_model()
    change_trainable(model, False)
    assert trainable_layers(model) == set()
    change_trainable(model.lstm_0, True, verbose=True)
    assert trainable_layers(model) == {"lstm_0"}
    assert "thawed: LSTM" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "layers"),
    [
        ({}, set()),
        ({"unfrozen_keyword": "OUTPUT"}, {"output_layer"}),
        ({"unfrozen_types": ["Embedding", "LSTM"]}, {"embed", "lstm_0", "lstm_1"}),
        ({"unfrozen_types": ["Embedding"], "unfrozen_keyword": "att"}, {"embed", "attention_layer"}),
    ],
)
def test_freeze_layers_freezes_all_but_those_named(arguments, layers):
    model = small_model()
    assert freeze_layers(model, **arguments) is model
    assert trainable_layers(model) == layers


@pytest.mark.parametrize(
    ("method", "base", "output"), [("last", None, 1e-3), ("full", 1e-4, 1e-3), ("new", 1e-3, 1e-3)]
)
def test_learning_rates_and_regularisation(method, base, output):
    model = small_model()
    model.embed.requires_grad_(False)  # what the user froze before does not matter
    layer = {p: name.split(".")[0] for name, p in model.named_parameters()}
    found = {
        layer[p]: (group["lr"], group["weight_decay"])
        for group in method_optimizer(model, method, embed_l2=1e-6).param_groups
        for p in group["params"]
    }
    expected = {"output_layer": (output, 0)}
    if base is not None:
        expected |= {**dict.fromkeys(LAYERS[1:-1], (base, 0)), "embed": (base, 1e-6)}
    assert found == expected


# --- Adam -------------------------------------------------------------------------------------------------

ROWS = 12
NEVER = 11  # this row's id is never drawn


def made(sparse):
    """The same weights each time: embedding of `ROWS` words, mean, one linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(ROWS, 3, sparse=sparse), nn.Linear(3, 2))


def backward(model, ids):
    model.zero_grad()
    (model(ids) - 1).square().sum().backward()


def trained(optimizer_type, sparse, embed_l2=0.0, restart_at=None, **options):
    def optimizer_of(model):
        groups = [
            {"params": model[0].parameters(), "weight_decay": embed_l2},
            {"params": model[1].parameters(), "lr": 0.05},
        ]
        return optimizer_type(groups, lr=0.01, **options)

    model = made(sparse)
    optimizer = optimizer_of(model)
    generator = torch.Generator().manual_seed(1)
    for number in range(8):
        if number == restart_at:
            state = optimizer.state_dict()
            optimizer = optimizer_of(model)
            optimizer.load_state_dict(state)
        # few words of few, so that they repeat in a batch and are missing from others
        backward(model, torch.randint(0, NEVER, (5,), generator=generator))
        optimizer.step()
    return model


def assert_same_weights(model, other):
    for got, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"embed_l2": 1e-6},
        {"embed_l2": 0.1},
        {"embed_l2": 0.1, "fused": True},
        {"embed_l2": 0.01, "betas": (0.5, 0.9)},
    ],
)
@pytest.mark.parametrize("sparse", [False, True])
def test_weights_are_those_of_adam_with_dense_gradients(sparse, options):
    expected = trained(torch.optim.Adam, sparse=False, **options)
    assert_same_weights(trained(EmbeddingAdam, sparse, **options), expected)


def test_a_word_that_never_occurs_moves_only_by_its_decay():
    start = made(sparse=False)[0].weight[NEVER]
    assert torch.equal(trained(EmbeddingAdam, sparse=True)[0].weight[NEVER], start)
    assert not torch.allclose(trained(EmbeddingAdam, True, embed_l2=0.1)[0].weight[NEVER], start, atol=1e-3)


def test_training_goes_on_from_a_saved_state():
    resumed = trained(EmbeddingAdam, sparse=True, embed_l2=0.1, restart_at=4)
    assert_same_weights(resumed, trained(torch.optim.Adam, sparse=False, embed_l2=0.1))


def test_sparse_gradients_remain_after_a_step():
    model = made(sparse=True)
    backward(model, torch.tensor([3, 5, 3]))
    before = model[0].weight.grad.to_dense()
    EmbeddingAdam(model.parameters()).step()
    assert model[0].weight.grad.is_sparse
    assert torch.equal(model[0].weight.grad.to_dense(), before)


def test_parameters_without_gradients_stay():
    model = made(sparse=True)
    EmbeddingAdam(model.parameters(), weight_decay=0.1).step()
    assert_same_weights(model, made(sparse=True))


# --- clipping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [0.5, 1e4])
@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_clipped_as_by_torch(sparse, max_norm):
    model, dense = made(sparse), made(sparse=False)
    for each in (model, dense):
        backward(each, torch.tensor([3, 5, 3, 3, 0]))
    norm = clip_gradients(model.parameters(), max_norm)
    expected = nn.utils.clip_grad_norm_(dense.parameters(), max_norm)
    torch.testing.assert_close(norm, expected, rtol=1e-6, atol=0)
    assert model[0].weight.grad.is_sparse == sparse
    for got, wanted in zip(model.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(got.grad.to_dense(), wanted.grad, rtol=1e-5, atol=1e-6)


def test_without_gradients_the_norm_is_zero():
    assert clip_gradients(made(sparse=True).parameters(), 1.0) == 0


# --- in training ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_the_embedding_has_sparse_gradients_in_training_alone(sparse):
    model = small_model()
    model.embed.sparse = sparse
    with training_session(model, seed=1):
        model(torch.tensor([[1, 2]])).sum().backward()
        assert model.embed.weight.grad.is_sparse
    assert model.embed.sparse is sparse


@pytest.mark.parametrize("method", ["full", "new", "chain-thaw"])
def test_training_gives_the_weights_of_dense_gradients(monkeypatch, method):
    def tuned():
        texts, labels = small_task(2, (24, 12, 12))
        arguments = {"epoch_size": 16, "nb_epochs": 1, "verbose": 0}
        return finetuning.finetune(small_model(), texts, labels, 2, 8, method, **arguments)[0]

    model = tuned()
    monkeypatch.setattr("torchmoji.training.optimizer.EmbeddingAdam", torch.optim.Adam)
    monkeypatch.setattr("torchmoji.training.loop.clip_gradients", nn.utils.clip_grad_norm_)
    monkeypatch.setattr(nn.Embedding, "sparse", property(lambda _: False, lambda *_: None), raising=False)
    assert_same_weights(model, tuned())
