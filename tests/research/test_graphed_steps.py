"""research/graphed_steps.py: batches of one length, gradients, and CUDA graphs where there is a GPU."""

from itertools import islice

import numpy as np
import pytest
import torch
from support.programs import loaded
from torch import nn

from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.pretraining import Settings

LENGTHS = np.array([3, 5, 3, 0, 5, 3, 7, 5, 3, 3, 5, 5])


@pytest.fixture(scope="module")
def steps(repository):
    """The module."""
    with loaded(repository / "research" / "graphed_steps.py") as module:
        yield module


@pytest.fixture(scope="module")
def distill(repository):
    """The program that uses it."""
    with loaded(repository / "research" / "distill.py") as module:
        yield module


def test_a_batch_has_one_length_and_a_pass_no_text_twice(steps):
    batches = steps.EqualLengths(LENGTHS, 2)
    assert batches.steps_a_pass == 2 + 2 + 1
    found = [*islice(batches.batches(np.random.default_rng(0)), 2 * batches.steps_a_pass)]
    for length, rows in found:
        assert (LENGTHS[rows] == length).all()
        assert len(rows) == (1 if length == 7 else 2)
    first = np.concatenate([rows for _, rows in found[:5]])
    assert len(set(first)) == len(first) == 9
    assert 3 not in first


def test_texts_left_out_differ_from_pass_to_pass(steps):
    batches = steps.EqualLengths(LENGTHS, 2)
    rows = [rows for _, rows in islice(batches.batches(np.random.default_rng(0)), 100)]
    assert set(np.concatenate(rows)) == {*range(12)} - {3}


def test_lengths_that_few_texts_have_are_left_out(steps):
    batches = steps.EqualLengths(np.repeat([4, 9], [300, 3]), 256)
    assert batches.steps_a_pass == 1
    with pytest.raises(ValueError, match="there are no texts to learn from"):
        steps.EqualLengths(np.zeros(5, np.int64), 2)


def gradients_of(steps, distill, device, times):
    """The gradients of the last of some batches of each length, and the sum of the losses."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = TorchMoji(4, 30, output_logits=True, embedding_dim=8, hidden_size=8).to(device).train()
        ids = torch.randint(1, 30, (40, 6)).to(device)
        wanted = torch.rand(40, 4).to(device)

    def loss(length, rows):
        return distill.cross_entropy(distill.logits_of(model)(ids[rows, :length]), wanted[rows]) / 8

    gradients = steps.GraphedGradients([*model.parameters()], loss, torch.device(device))
    with steps.on_own_stream(torch.device(device)):
        for number in range(times):
            for length in (3, 6):
                rows = torch.arange(number * 8, number * 8 + 8, device=device)
                gradients(length, rows)
    return {name: weight.grad.cpu() for name, weight in model.named_parameters()}, float(gradients.total)


def test_gradients_are_those_of_the_loss(steps, distill):
    found, total = gradients_of(steps, distill, "cpu", 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = TorchMoji(4, 30, output_logits=True, embedding_dim=8, hidden_size=8).train()
        ids, wanted = torch.randint(1, 30, (40, 6))[:8], torch.rand(40, 4)[:8]
    losses = [-(wanted * model(some).log_softmax(1)).sum() / 8 for some in (ids[:, :3], ids)]
    losses[1].backward()
    losses = [loss.item() for loss in losses]
    for name, weight in model.named_parameters():
        assert torch.allclose(found[name], weight.grad, atol=1e-6), name
    assert total == pytest.approx(sum(losses), abs=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own imports
def test_a_graph_gives_the_gradients_of_the_cpu(steps, distill):
    expected, total = gradients_of(steps, distill, "cpu", 4)
    found, graphed = gradients_of(steps, distill, "cuda", 4)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-4), name
    assert graphed == pytest.approx(total, abs=1e-3)


def test_training_ends_with_the_average_and_tells_a_loss_that_is_not_finite(steps):
    module = nn.Linear(1, 1)
    told = []
    settings = Settings(passes=3, learning_rate=0.1, warmup_steps=0, average=0.5, evaluate_every=4)
    batches = steps.EqualLengths(np.ones(8, np.int64), 2)
    wanted = torch.arange(8.0)

    def loss(length, rows):
        return (module(wanted[rows].unsqueeze(1)).squeeze(1) - 2 * wanted[rows]).square().mean()

    before = module.weight.item()
    gradients = steps.GraphedGradients([*module.parameters()], loss, torch.device("cpu"))
    assert steps.train(module, gradients, batches, settings, told.append) == 12
    assert told == [4, 8, 12]
    assert abs(module.weight.item() - 2) < abs(before - 2)
    broken = steps.GraphedGradients(
        [*module.parameters()], lambda *_: module.weight.sum() * torch.inf, torch.device("cpu")
    )
    with pytest.raises(FloatingPointError, match="try a lower learning rate"):
        steps.train(module, broken, batches, settings)
