"""The whole model against the recorded outputs of the original Keras program, and its equations in NumPy."""

import numpy as np
import pytest
import torch

from torchmoji.model_def import TorchMoji, torchmoji_emojis, torchmoji_feature_encoding

# --- the equations, text by text, in NumPy ------------------------------------------------------------------


def hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def lstm_direction(weights, name, x):
    """Hidden states (time, H) of one direction over one text (time, input)."""
    h = c = np.zeros(weights[f"weight_hh_{name}"].shape[1])
    states = []
    for x_t in x:
        gates = weights[f"weight_ih_{name}"] @ x_t + weights[f"weight_hh_{name}"] @ h
        i, f, g, o = np.split(gates + weights[f"bias_ih_{name}"] + weights[f"bias_hh_{name}"], 4)
        c = hard_sigmoid(f) * c + hard_sigmoid(i) * np.tanh(g)
        h = hard_sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def bi_lstm(weights, layer, x):
    own = {name.removeprefix(f"{layer}."): weight for name, weight in weights.items()}
    forward, backward = lstm_direction(own, "l0", x), lstm_direction(own, "l0_reverse", x[::-1])
    return np.concatenate([forward, backward[::-1]], axis=1)


def equations(weights, row):
    """Features, attention and output (before softmax or sigmoid) of one row of ids."""
    own = np.flatnonzero(row)
    features = np.zeros(len(weights["attention_layer.attention_vector"]))
    attention = np.zeros(len(row))
    if len(own):
        x = np.tanh(weights["embed.weight"][row[own]])
        a = bi_lstm(weights, "lstm_0", x)
        b = bi_lstm(weights, "lstm_1", a)
        z = np.concatenate([b, a, x], axis=1)
        exponentials = np.exp(z @ weights["attention_layer.attention_vector"])
        attention[own] = exponentials / exponentials.sum()
        features = attention[own] @ z
    return features, attention, weights["output_layer.0.weight"] @ features + weights["output_layer.0.bias"]


def made(nb_classes, **options):
    torch.manual_seed(3)
    model = TorchMoji(nb_classes, 30, embedding_dim=5, hidden_size=4, return_attention=True, **options)
    for weight in model.parameters():  # wide enough for gates in both clips
        torch.nn.init.normal_(weight)
    return model.double().eval()


def some_rows():
    """Rows of ids with padding on the right, in the middle, on the left, everywhere and nowhere."""
    ids = np.random.default_rng(1).integers(1, 30, size=(7, 6))
    ids[0, 1:] = 0
    ids[1, 2:4] = 0
    ids[2] = 0
    ids[3, :3] = 0
    ids[4, ::2] = 0
    return ids


def test_features_attention_and_logits_are_those_of_the_equations():
    model = made(4, output_logits=True)
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    rows = some_rows()
    logits, attention = model(rows)
    model.feature_output = True
    features, _ = model(rows)
    for n, row in enumerate(rows):
        for got, wanted in zip((features[n], attention[n], logits[n]), equations(weights, row), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("nb_classes", [1, 2, 5])
def test_probabilities_are_those_of_the_equations(nb_classes):
    model = made(nb_classes)
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    rows = some_rows()
    probabilities, _ = model(rows)
    logits = np.array([equations(weights, row)[2] for row in rows])
    if nb_classes > 2:
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    else:
        expected = 1 / (1 + np.exp(-logits))
    assert probabilities.shape == (7, nb_classes if nb_classes > 2 else 1)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-12)


# --- the original Keras program -----------------------------------------------------------------------------


@pytest.fixture(params=["deepmoji_tiny", "deepmoji_tiny_binary"])
def golden(request, data_root):
    """The path of the weights and what Keras computed with them."""
    folder = data_root / "golden"
    with np.load(folder / f"{request.param}.npz") as recorded:
        return folder / f"{request.param}.hdf5", dict(recorded)


def computed(path, tokens):
    """Probabilities, features and attention."""
    probabilities, attention = torchmoji_emojis(path, return_attention=True)(tokens)
    features = torchmoji_feature_encoding(path)(tokens)
    return probabilities, features, attention


def test_keras_outputs_are_met(golden):
    path, recorded = golden
    # Keras adds 1e-7 to the sum of the softmax: its sum says where that is felt, here on no row with tokens
    exact = recorded["attention"].sum(axis=1) >= 0.9999
    assert exact.tolist() == recorded["tokens"].any(axis=1).tolist()
    probabilities, features, attention = computed(path, recorded["tokens"])
    for got, name in ((probabilities, "probs"), (features, "features"), (attention, "attention")):
        np.testing.assert_allclose(got[exact], recorded[name][exact], rtol=0, atol=1e-5)


def test_texts_one_at_a_time_give_what_the_batch_gives(golden):
    path, recorded = golden
    _, features, attention = computed(path, recorded["tokens"])
    model = torchmoji_feature_encoding(path, return_attention=True)
    with torch.no_grad():
        for n, row in enumerate(torch.from_numpy(recorded["tokens"].astype(np.int64))):
            alone, weights = model(row[None])
            np.testing.assert_allclose(alone[0], features[n], rtol=0, atol=1e-5)
            np.testing.assert_allclose(weights[0], attention[n], rtol=0, atol=1e-5)
