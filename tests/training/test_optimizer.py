"""torchmoji.training.optimizer: dense Adam's results from sparse gradients, and the norm of both kinds."""

import pytest
import torch
from support.small_task import small_model, small_task
from torch import nn

from torchmoji import finetuning
from torchmoji.training.loop import training_session
from torchmoji.training.optimizer import EmbeddingAdam, clip_gradients

ROWS = 12
NEVER = 11  # this row's id is never drawn


def made(sparse):
    """The same weights each time: embedding of `ROWS` words, mean, one linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(ROWS, 3, sparse=sparse), nn.Linear(3, 2))


def batches(steps):
    generator = torch.Generator().manual_seed(1)
    # few words of few, so that they repeat in a batch and are missing from others
    return [torch.randint(0, NEVER, (5,), generator=generator) for _ in range(steps)]


def backward(model, ids):
    model.zero_grad()
    loss = (model(ids) - 1).square().sum()
    loss.backward()
    return loss.item()


def groups(model, embed_l2):
    return [
        {"params": model[0].parameters(), "weight_decay": embed_l2},
        {"params": model[1].parameters(), "lr": 0.05},
    ]


def trained(optimizer_type, sparse, steps=8, embed_l2=0.0, **options):
    model = made(sparse)
    optimizer = optimizer_type(groups(model, embed_l2), lr=0.01, **options)
    for ids in batches(steps):
        backward(model, ids)
        optimizer.step()
    return model


def assert_same_weights(model, other):
    for got, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


# --- the optimizer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("embed_l2", [0.0, 1e-6, 0.1])
@pytest.mark.parametrize("sparse", [False, True])
def test_weights_are_those_of_adam_with_dense_gradients(sparse, embed_l2):
    got = trained(EmbeddingAdam, sparse, embed_l2=embed_l2)
    assert_same_weights(got, trained(torch.optim.Adam, sparse=False, embed_l2=embed_l2))


@pytest.mark.parametrize(
    "options", [{"betas": (0.5, 0.9)}, {"eps": 1e-3}, {"amsgrad": True}, {"maximize": True}]
)
def test_options_are_those_of_adam(options):
    got = trained(EmbeddingAdam, sparse=True, embed_l2=0.01, **options)
    assert_same_weights(got, trained(torch.optim.Adam, sparse=False, embed_l2=0.01, **options))


def test_a_word_that_never_occurs_decays_as_in_adam():
    got = trained(EmbeddingAdam, sparse=True, embed_l2=0.1)[0].weight[NEVER]
    expected = trained(torch.optim.Adam, sparse=False, embed_l2=0.1)[0].weight[NEVER]
    assert not torch.allclose(expected, made(sparse=False)[0].weight[NEVER], atol=1e-3)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


def test_a_word_that_never_occurs_stays_without_decay():
    assert torch.equal(
        trained(EmbeddingAdam, sparse=True)[0].weight[NEVER], made(sparse=True)[0].weight[NEVER]
    )


def test_sparse_gradients_remain_after_a_step():
    model = made(sparse=True)
    optimizer = EmbeddingAdam(model.parameters())
    backward(model, torch.tensor([3, 5, 3]))
    before = model[0].weight.grad.to_dense()
    optimizer.step()
    assert model[0].weight.grad.is_sparse
    assert torch.equal(model[0].weight.grad.to_dense(), before)


def test_parameters_without_gradients_stay():
    model = made(sparse=True)
    EmbeddingAdam(model.parameters(), weight_decay=0.1).step()
    assert_same_weights(model, made(sparse=True))


def test_the_embedding_may_be_the_only_one_without_gradients():
    model, dense = made(sparse=True), made(sparse=False)
    for each, kind in ((model, EmbeddingAdam), (dense, torch.optim.Adam)):
        optimizer = kind(each.parameters())
        backward(each, torch.tensor([1, 2]))
        each[0].weight.grad = None
        optimizer.step()
    assert_same_weights(model, dense)


def test_a_step_takes_and_gives_what_the_closure_gives():
    model, dense = made(sparse=True), made(sparse=False)
    ids = torch.tensor([1, 2, 2])
    with torch.no_grad():
        loss = EmbeddingAdam(model.parameters()).step(lambda: backward(model, ids))
    expected = torch.optim.Adam(dense.parameters()).step(lambda: backward(dense, ids))
    assert loss == pytest.approx(expected)
    assert_same_weights(model, dense)


def test_training_goes_on_from_a_saved_state():
    model = made(sparse=True)
    optimizer = EmbeddingAdam(groups(model, 0.1), lr=0.01)
    for number, ids in enumerate(batches(8)):
        if number == 4:
            state = optimizer.state_dict()
            optimizer = EmbeddingAdam(groups(model, 0.1), lr=0.01)
            optimizer.load_state_dict(state)
        backward(model, ids)
        optimizer.step()
    assert_same_weights(model, trained(torch.optim.Adam, sparse=False, embed_l2=0.1))


# --- clipping ---------------------------------------------------------------------------------------------


def dense_gradients(model):
    return [
        parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        for parameter in model.parameters()
    ]


@pytest.mark.parametrize("max_norm", [0.5, 1e4])
@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_clipped_as_by_torch(sparse, max_norm):
    model, dense = made(sparse), made(sparse=False)
    ids = torch.tensor([3, 5, 3, 3, 0])
    backward(model, ids)
    backward(dense, ids)
    norm = clip_gradients(model.parameters(), max_norm)
    expected = nn.utils.clip_grad_norm_(dense.parameters(), max_norm)
    torch.testing.assert_close(norm, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(dense_gradients(model), dense_gradients(dense), rtol=1e-5, atol=1e-6)


def test_clipping_keeps_gradients_sparse():
    model = made(sparse=True)
    backward(model, torch.tensor([3, 5, 3]))
    clip_gradients(model.parameters(), 0.1)
    assert model[0].weight.grad.is_sparse


def test_without_gradients_the_norm_is_zero():
    assert clip_gradients(made(sparse=True).parameters(), 1.0) == 0


def test_parameters_may_be_given_once():
    model = made(sparse=True)
    backward(model, torch.tensor([3, 5, 3]))
    clip_gradients(iter(model.parameters()), 0.1)
    norm = torch.stack([gradient.norm() for gradient in dense_gradients(model)]).norm()
    assert norm.item() == pytest.approx(0.1, rel=1e-4)


# --- in training ------------------------------------------------------------------------------------------


def tune(model, method="full"):
    texts, labels = small_task(2, (24, 12, 12))
    return finetuning.finetune(model, texts, labels, 2, 8, method, epoch_size=16, nb_epochs=1, verbose=0)


def test_gradients_of_the_embedding_are_sparse_in_training():
    model = small_model()
    with training_session(model, seed=1):
        model(torch.tensor([[1, 2]])).sum().backward()
        assert model.embed.weight.grad.is_sparse


@pytest.mark.parametrize("sparse", [False, True])
def test_the_embedding_is_as_sparse_after_training_as_before(sparse):
    model = small_model()
    model.embed.sparse = sparse
    tune(model)
    assert model.embed.sparse is sparse


@pytest.mark.parametrize("sparse", [False, True])
def test_the_embedding_is_as_sparse_after_a_failure_as_before(monkeypatch, sparse):
    def fail(*arguments, **options):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(finetuning, "fit_model", fail)
    model = small_model()
    model.embed.sparse = sparse
    with pytest.raises(RuntimeError, match="out of luck"):
        tune(model)
    assert model.embed.sparse is sparse


@pytest.mark.parametrize("method", ["full", "new", "chain-thaw"])
def test_training_gives_the_weights_of_dense_gradients(monkeypatch, method):
    model, dense = small_model(), small_model()
    tune(model, method)
    monkeypatch.setattr("torchmoji.training.loop.EmbeddingAdam", torch.optim.Adam)
    monkeypatch.setattr("torchmoji.training.loop.clip_gradients", nn.utils.clip_grad_norm_)
    monkeypatch.setattr("torchmoji.training.loop.nn.Embedding", type("NoEmbedding", (), {}))
    tune(dense, method)
    assert_same_weights(model, dense)
