"""Attention against softmax written out for each sequence."""

import math

import pytest
import torch

from torchmoji.attlayer import Attention

FEATURES = 5


def made(return_attention=True, dtype=torch.float64):
    torch.manual_seed(0)
    layer = Attention(FEATURES, return_attention).to(dtype)
    torch.nn.init.normal_(layer.attention_vector)
    return layer


def written_out(layer, sequence):
    """Representation and weights of one sequence (time, features)."""
    logits = [float(z @ layer.attention_vector.detach()) for z in sequence]
    exponentials = [math.exp(logit) for logit in logits]
    weights = [value / sum(exponentials) for value in exponentials]
    return sum(weight * z for weight, z in zip(weights, sequence, strict=True)), weights


@pytest.mark.parametrize("lengths", [[2, 4, 1], torch.tensor([2, 4, 1]), (2, 4, 1)])
def test_weights_are_the_softmax_over_the_sequence(lengths):
    layer = made()
    x = torch.randn(3, 4, FEATURES, dtype=torch.float64)
    representations, weights = layer(x, lengths)
    for n, length in enumerate([2, 4, 1]):
        expected, expected_weights = written_out(layer, x[n, :length])
        torch.testing.assert_close(representations[n], expected, rtol=0, atol=1e-12)
        expected_weights += [0.0] * (4 - length)
        torch.testing.assert_close(weights[n].tolist(), expected_weights, rtol=0, atol=1e-12)


def test_weights_are_given_back_only_when_asked_for():
    x = torch.randn(2, 3, FEATURES, dtype=torch.float64)
    with_weights, weights = made(return_attention=True)(x, [3, 1])
    without, nothing = made(return_attention=False)(x, [3, 1])
    assert weights.shape == (2, 3)
    assert nothing is None
    torch.testing.assert_close(without, with_weights, rtol=0, atol=0)


def test_a_sequence_without_tokens_gives_zeros_and_no_nan_in_gradients():
    layer = made()
    x = torch.randn(2, 3, FEATURES, dtype=torch.float64, requires_grad=True)
    representations, weights = layer(x, [0, 2])
    assert not representations[0].any()
    assert not weights[0].any()
    (representations.sum() + weights.square().sum()).backward()
    assert not x.grad[0].any()
    assert torch.isfinite(layer.attention_vector.grad).all()
    assert layer.attention_vector.grad.any()


def test_gradients_are_those_of_finite_differences():
    layer = made()
    x = torch.randn(3, 4, FEATURES, dtype=torch.float64, requires_grad=True)
    vector = layer.attention_vector.detach().clone().requires_grad_()

    def run(x, vector):
        return torch.func.functional_call(layer, {"attention_vector": vector}, (x, [2, 4, 0]))

    assert torch.autograd.gradcheck(run, (x, vector))


@pytest.mark.parametrize("sign", [1, -1])
def test_huge_logits_neither_overflow_nor_vanish(sign):
    layer = made(dtype=torch.float32)
    torch.nn.init.constant_(layer.attention_vector, sign * 1e4)
    x = torch.ones(1, 3, FEATURES)
    x[0, 1] = 1 + sign
    representations, weights = layer(x, [2])
    assert weights.tolist() == [[0.0, 1.0, 0.0]]
    torch.testing.assert_close(representations[0], x[0, 1], rtol=0, atol=0)


def test_a_neighbour_with_huge_logits_changes_nothing():
    layer = made(dtype=torch.float32)
    x = torch.randn(2, 3, FEATURES)
    x[1] = 1e4 * layer.attention_vector.detach()
    alone = layer(x[:1], [3])
    together = layer(x, [3, 3])
    torch.testing.assert_close([part[:1] for part in together], list(alone), rtol=0, atol=1e-6)


def test_bfloat16_stays_near_single():
    dtype = torch.bfloat16
    x = torch.randn(3, 4, FEATURES).to(dtype)
    layer = made(dtype=dtype)
    representations, weights = layer(x, [2, 4, 0])
    expected = layer.float()(x.float(), [2, 4, 0])
    assert representations.dtype == weights.dtype == dtype
    for got, wanted in zip((representations, weights), expected, strict=True):
        torch.testing.assert_close(got.float(), wanted, rtol=0, atol=5e-2)


@pytest.mark.parametrize("lengths", [[1, 2], [[1, 2, 3]]])
def test_another_number_of_lengths_is_refused(lengths):
    with pytest.raises(ValueError, match="one entry for each of 3 sequences"):
        made()(torch.zeros(3, 4, FEATURES, dtype=torch.float64), lengths)


@pytest.mark.parametrize("wrong", [-1, 5])
def test_impossible_lengths_are_refused(wrong):
    with pytest.raises(ValueError, match=rf"from 0 to 4.*got \[{wrong}\]"):
        made()(torch.zeros(3, 4, FEATURES, dtype=torch.float64), [4, wrong, 0])


def test_the_mask_may_be_anywhere():
    layer = made()
    x = torch.randn(1, 5, FEATURES, dtype=torch.float64)
    representations, weights = layer.pool(x, torch.tensor([[False, True, False, True, False]]))
    expected, expected_weights = layer(x[:, [1, 3]], [2])
    torch.testing.assert_close(representations, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(weights[:, [1, 3]], expected_weights, rtol=0, atol=1e-14)
    assert not weights[:, [0, 2, 4]].any()


def test_the_vector_starts_between_minus_and_plus_five_hundredths():
    vector = Attention(2000).attention_vector
    assert 0.049 < vector.max() <= 0.05
    assert -0.05 <= vector.min() < -0.049
