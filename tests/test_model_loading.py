"""The loaders of model_def: weights files of every format into models of their sizes."""

import logging

import numpy as np
import pytest
import torch
from support.python import python
from torch import nn

from torchmoji.model_def import (
    TorchMoji,
    load_specific_weights,
    torchmoji_emojis,
    torchmoji_feature_encoding,
    torchmoji_transfer,
)
from torchmoji.weights.formats import save_quantized, save_state_dict

SIZES = {"embedding_dim": 5, "hidden_size": 3}
FORMATS = ["old.bin", "new.bin", "plain.safetensors", "int8.safetensors", "keras.hdf5"]
IDS = np.array([[3, 1, 4, 1], [5, 9, 0, 0], [0, 0, 0, 0]], dtype=np.uint16)


def made(nb_classes=7, nb_tokens=20, **options):
    torch.manual_seed(0)
    model = TorchMoji(nb_classes, nb_tokens, **SIZES, **options)
    for name, weight in model.named_parameters():
        nn.init.normal_(weight)
        if "bias_hh" in name:  # Keras has one bias
            nn.init.zeros_(weight)
    return model.eval()


def save(model, folder, name):
    path = folder / name
    if name.startswith("old"):
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    elif name.startswith("int8"):
        save_quantized(model.state_dict(), path)
    else:
        save_state_dict(model.state_dict(), path)
    return path


@pytest.fixture
def weights_file(tmp_path):
    """A model and a file of its weights."""
    model = made()
    return model, save(model, tmp_path, "model.safetensors")


@pytest.mark.parametrize("name", FORMATS)
def test_emojis_and_features_are_those_of_the_saved_model(tmp_path, name):
    model = made(return_attention=True)
    path = save(model, tmp_path, name)
    loaded = torchmoji_emojis(path, return_attention=True)
    assert not loaded.training
    tolerance = 0.1 if name.startswith("int8") else 1e-6
    for got, wanted in zip(loaded(IDS), model(IDS), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)
    encoder = torchmoji_feature_encoding(path)
    model.feature_output = True
    np.testing.assert_allclose(encoder(IDS), model(IDS)[0], rtol=0, atol=tolerance)


def test_loading_imports_no_compiler(weights_file):
    code = f"""
import json, os, sys
before = dict(os.environ)
from torchmoji.model_def import torchmoji_feature_encoding
torchmoji_feature_encoding({str(weights_file[1])!r})
print(json.dumps(["torch._dynamo" in sys.modules, before == os.environ]))
"""
    assert python(code) == [False, True]


@pytest.mark.parametrize("name", FORMATS)
def test_transfer_takes_all_but_the_output_layer(tmp_path, name):
    model = made()
    path = save(model, tmp_path, name)
    transfer = torchmoji_transfer(3, path, extend_embedding=4)
    read = torchmoji_emojis(path).state_dict()
    assert not transfer.training
    assert transfer.embed.weight.shape == (24, 5)
    assert transfer.output_layer[0].weight.shape == (3, 4 * 3 + 5)
    for key, weight in transfer.state_dict().items():
        if not key.startswith("output_layer"):
            torch.testing.assert_close(weight[: len(read[key])], read[key], rtol=0, atol=0)
    assert read["embed.weight"][1].any()
    assert torch.equal(transfer.embed.weight[20:], read["embed.weight"][[1] * 4])


def test_transfer_gives_logits_and_keeps_its_rates(weights_file):
    transfer = torchmoji_transfer(2, weights_file[1])
    assert [type(layer) for layer in transfer.output_layer] == [nn.Linear]
    assert transfer.output_layer[0].out_features == 1
    assert (transfer.embed_dropout.p, transfer.final_dropout.p) == (0.1, 0.5)
    transfer = torchmoji_transfer(2, weights_file[1], embed_dropout_rate=0.3, final_dropout_rate=0.4)
    assert (transfer.embed_dropout.p, transfer.final_dropout.p) == (0.3, 0.4)


def test_transfer_without_a_file_has_the_original_s_sizes():
    with torch.device("meta"):
        model = torchmoji_transfer(5, extend_embedding=7)
    assert (model.embed.weight.shape, model.output_layer[0].weight.shape) == ((50007, 256), (5, 2304))


@pytest.mark.parametrize("load", [torchmoji_emojis, torchmoji_feature_encoding])
def test_loaded_weights_are_parameters_that_train(weights_file, load):
    model = load(weights_file[1])
    model(torch.from_numpy(IDS.astype(np.int64))).square().sum().backward()
    assert all(weight.device.type == "cpu" and weight.grad is not None for weight in model.parameters())


def test_an_encoder_s_file_gives_features_but_no_emojis(tmp_path):
    encoder = made(None, feature_output=True)
    path = save(encoder, tmp_path, "encoder.safetensors")
    np.testing.assert_allclose(torchmoji_feature_encoding(path)(IDS), encoder(IDS), rtol=0, atol=1e-6)
    assert torchmoji_transfer(3, path)(torch.from_numpy(IDS.astype(np.int64))).shape == (3, 3)
    with pytest.raises(ValueError, match=r"encoder\.safetensors has no output layer, so it cannot"):
        torchmoji_emojis(path)


@pytest.mark.parametrize(
    "load", [torchmoji_emojis, torchmoji_feature_encoding, lambda p: torchmoji_transfer(3, p)]
)
def test_a_missing_file_and_one_of_something_else_are_refused(tmp_path, load):
    with pytest.raises(FileNotFoundError, match=r"no weights file .*absent\.bin"):
        load(tmp_path / "absent.bin")
    torch.save({"embed.weight": torch.ones(3, 2)}, tmp_path / "other.bin")
    with pytest.raises(ValueError, match=r"missing layers 'lstm_0\.weight_ih_l0'"):
        load(tmp_path / "other.bin")


def test_a_negative_extension_is_refused(weights_file):
    model, path = weights_file
    with pytest.raises(ValueError, match="extend_embedding must not be negative, got -1"):
        torchmoji_transfer(3, path, extend_embedding=-1)
    with pytest.raises(ValueError, match="extend_embedding must not be negative, got -1"):
        load_specific_weights(model, path, extend_embedding=-1)


# --- load_specific_weights ----------------------------------------------------------------------------------


def differing(before, model):
    """Layers whose weights are no longer those of `before`."""
    after = model.state_dict()
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def other_model(**options):
    return TorchMoji(7, 20, **SIZES, **options)


def snapshot(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def test_all_layers_are_copied(weights_file):
    source, path = weights_file
    model = other_model()
    load_specific_weights(model, path)
    torch.testing.assert_close(dict(model.state_dict()), dict(source.state_dict()), rtol=0, atol=0)


def test_layers_that_a_subclass_adds_are_left_alone(weights_file):
    class Larger(TorchMoji):
        def __init__(self):
            super().__init__(None, 20, feature_output=True, **SIZES)
            self.head = nn.Linear(17, 2)

    network = Larger()
    before = snapshot(network)
    load_specific_weights(network, weights_file[1], exclude_names=["output_layer"])
    assert differing(before, network) == {"embed", "lstm_0", "lstm_1", "attention_layer"}


def test_new_words_keep_their_embeddings(weights_file):
    source, path = weights_file
    model = TorchMoji(7, 23, **SIZES)
    new = model.embed.weight[20:].detach().clone()
    load_specific_weights(model, path, extend_embedding=3)
    assert torch.equal(model.embed.weight[:20], source.embed.weight)
    assert torch.equal(model.embed.weight[20:], new)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ({}, {"exclude_names": ["softmax"]}, "'softmax', but the layers are embed, lstm_0, lstm_1, atten"),
        ({"nb_tokens": 21}, {}, r"embed\.weight is \(20, 5\) in the file, but the model needs \(21, 5\)$"),
        ({}, {"extend_embedding": 2}, r"the model needs \(18, 5\) and 2 new rows"),
        ({"nb_classes": 3}, {}, r"layer\.0\.weight is \(7, 17\) in the file, but the model needs \(3, 17\)"),
        ({"nb_classes": None, "feature_output": True}, {}, r"the model has no output_layer\.0\.weight; put"),
        ({}, {"extend_embedding": 2, "exclude_names": ["embed"]}, "take 'embed' out of exclude_names"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_model_stays(weights_file, model, options, message):
    target = TorchMoji(**{"nb_classes": 7, "nb_tokens": 20, **SIZES, **model})
    before = snapshot(target)
    with pytest.raises(ValueError, match=message):
        load_specific_weights(target, weights_file[1], **options)
    assert differing(before, target) == set()


def test_a_layer_missing_from_the_file_is_named(tmp_path):
    path = save(made(None, feature_output=True), tmp_path, "encoder.bin")
    with pytest.raises(ValueError, match=r"the file has no output_layer\.0\.weight; put 'output_layer' into"):
        load_specific_weights(other_model(), path)


@pytest.mark.parametrize("verbose", [False, True])
def test_copied_layers_are_logged_when_asked_for(weights_file, caplog, verbose):
    caplog.set_level(logging.INFO, logger="torchmoji.model_def")
    load_specific_weights(other_model(), weights_file[1], exclude_names=["embed"], verbose=verbose)
    assert ("lstm_0.weight_ih_l0" in caplog.text) == verbose
    assert "embed.weight" not in caplog.text


def test_parameters_of_2017_may_be_given_by_position():
    with torch.device("meta"):
        model = TorchMoji(3, 100, True, True, 0.1, 0.2, True)
    options = (model.nb_classes, model.nb_tokens, model.feature_output, model.output_logits)
    assert options == (3, 100, True, True)
    assert (model.embed_dropout_rate, model.final_dropout_rate, model.return_attention) == (0.1, 0.2, True)


@pytest.mark.parametrize("load", [torchmoji_emojis, torchmoji_feature_encoding])
def test_loading_uses_no_random_numbers(weights_file, load):
    before = torch.get_rng_state()
    load(weights_file[1])
    assert torch.equal(torch.get_rng_state(), before)
