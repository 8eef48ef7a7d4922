import pytest
import torch
from torch import nn

from torchmoji.pretraining.loop import WeightAverage


def weight_of(model):
    return model.weight.detach().clone()


def test_the_average_follows_the_weights():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0)
        average = WeightAverage(model, 0.9)
        model.weight.fill_(1)
    expected = 0.0
    for step in range(200):
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
    assert average.state_dict()["weight"].item() == pytest.approx(expected)


def test_it_is_in_place_of_the_weights_within_the_block():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 0.5)
    start = weight_of(model)
    with torch.no_grad():
        model.weight += 1
    with average.applied(model):
        assert torch.equal(model.weight, start)
    assert torch.equal(model.weight, start + 1)
    assert isinstance(model.weight, nn.Parameter)


def test_it_can_be_stored():
    model = nn.Linear(2, 2)
    average, other = WeightAverage(model, 0.5), WeightAverage(nn.Linear(2, 2), 0.5)
    other.load_state_dict(average.state_dict())
    assert torch.equal(other.state_dict()["weight"], model.weight)
    with torch.no_grad():
        model.weight += 1
    assert not torch.equal(average.state_dict()["weight"], model.weight)
