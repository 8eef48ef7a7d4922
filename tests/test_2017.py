"""Calls that were right for the 2017 package: its signatures, and what its tests, examples and scripts do."""

import ast
import inspect
import json
import os
from importlib import import_module

import numpy as np
import pytest
import torch
from support.small_task import loaders, small_model
from torch import nn

from torchmoji import finetuning, global_variables, word_generator
from torchmoji.create_vocab import VocabBuilder, extend_vocab
from torchmoji.filter_utils import (
    ALL_CHARS,
    CONTROL_CHAR_REGEX,
    CONTROL_CHARS,
    AtMentionRegex,
    load_non_english_user_set,
    urlRegex,
)
from torchmoji.finetuning import chain_thaw, find_f1_threshold, finetune, load_benchmark
from torchmoji.model_def import TorchMoji, load_specific_weights, torchmoji_emojis, torchmoji_transfer
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.word_generator import WordGenerator

MODULES = (
    "attlayer class_avg_finetuning create_vocab filter_input filter_utils finetuning global_variables lstm "
    "model_def sentence_tokenizer tokenizer word_generator"
).split()
INNER = (
    "AutogradRNN Recurrent StackedRNN VariableRecurrent VariableRecurrentReverse variable_recurrent_factory"
).split()
"""Of `lstm`: parts of torch 0.2's LSTM, which no program called."""
TWO_FORMS = "finetuning.find_f1_threshold"


@pytest.fixture(scope="module")
def recorded(data_root):
    return json.loads((data_root / "golden" / "signatures_2017.json").read_text("utf-8"))["torchmoji"]


def default_of(parameter):
    """The recorded default, where it is a literal."""
    try:
        return ast.literal_eval(parameter[1]) if len(parameter) > 1 else None
    except ValueError:
        return None


@pytest.mark.parametrize("module", MODULES)
def test_recorded_signatures_by_position_and_by_keyword(module, recorded):
    assert set(recorded) == set(MODULES)
    found, was = import_module(f"torchmoji.{module}"), recorded[module]
    assert [name for name in was["names"] if name not in dir(found)] == []
    listed = getattr(found, "__all__", dir(found))
    assert [name for name in (*was["functions"], *was["classes"]) if name not in (*listed, *INNER)] == []
    functions = {name: given for name, given in was["functions"].items() if name not in INNER}
    calls = {name: (getattr(found, name), given) for name, given in functions.items()}
    for name, about in was["classes"].items():
        methods = {method: getattr(getattr(found, name), method) for method in about["methods"]}
        calls |= {
            f"{name}.{method}": (function, about["methods"][method])
            for method, function in methods.items()
            if callable(function)
        }
    for name, (function, parameters) in calls.items():
        signature, names = inspect.signature(function), [parameter[0] for parameter in parameters]
        required = [parameter[0] for parameter in parameters if len(parameter) == 1]
        signature.bind(**dict.fromkeys(names))
        if f"{module}.{name}" == TWO_FORMS:
            continue
        by_position = signature.bind(*names)  # each name takes the place of its argument
        assert by_position.arguments == dict(zip(names, names, strict=True)), name
        signature.bind(*required)
        for parameter in parameters:
            default, now = default_of(parameter), signature.parameters[parameter[0]].default
            if default is not None:
                assert now == (tuple(default) if isinstance(now, tuple) else default), (name, parameter)


# --- names that were missing --------------------------------------------------------------------------------


def test_regular_expressions_and_characters():
    assert [bool(AtMentionRegex.search(text)) for text in ("hi @bob", "@ bob", "bob")] == [True, False, False]
    assert urlRegex.findall("see http://a.b and www.c.d") == ["http://a.b", "www.c.d"]
    assert CONTROL_CHAR_REGEX.sub("", f"a{CONTROL_CHARS}b\u00a0") == "ab\u00a0"
    assert len(CONTROL_CHARS) == 65
    assert sum(1 for _ in ALL_CHARS) == 0x110000
    patterns = word_generator.RETWEETS_RE, word_generator.URLS_RE, word_generator.MENTION_RE
    texts = ["RT @bob https://a.b", "rt: www.a", "please RT", "a b"]
    assert [[bool(pattern.search(text)) for pattern in patterns] for text in texts] == [
        *([True, True, True], [True, True, False], [False, False, False], [False, False, False])
    ]


def test_users_of_the_file_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"uids\.npz"):
        load_non_english_user_set()
    np.savez("uids.npz", data=np.array([7, 9, 7]))
    assert load_non_english_user_set() == {7, 9}
    np.savez("uids.npz", userids=[1])
    with pytest.raises(ValueError, match="found no array 'data'"):
        load_non_english_user_set()


# --- arguments by position ----------------------------------------------------------------------------------


def test_chain_thaw_takes_patience_in_the_eighth_place(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(finetuning, "train_by_method", lambda *a, **k: given.append(a[4]))
    chain_thaw(small_model(), *loaders(), 3, tmp_path / "best.bin", nn.BCEWithLogitsLoss(), 7)
    assert [(options.patience, options.epochs, options.first_stage_lr) for options in given] == [(7, 3, 1e-3)]


@pytest.mark.parametrize("output_logits", [True, False])
def test_f1_threshold_of_a_model_and_of_predictions(output_logits):
    _, val, test = loaders()
    model = small_model(output_logits=output_logits)
    with torch.no_grad():
        model.output_layer[0].weight.normal_(generator=torch.Generator().manual_seed(1))
    y_val, y_test = (torch.cat([y for _, y in part]) for part in (val, test))
    outputs = [torch.cat([model(x) for x, _ in part])[:, 0].detach() for part in (val, test)]
    p_val, p_test = ((p.sigmoid() if output_logits else p).numpy() for p in outputs)
    for average in ("binary", "macro"):
        expected = find_f1_threshold(y_val, p_val, y_test, p_test, average)
        assert 0 < expected[0] <= 1
        assert find_f1_threshold(model, val, test, average) == expected
        assert find_f1_threshold(model=model, val_gen=val, test_gen=test, average=average) == expected
    assert find_f1_threshold(model, val, test) == find_f1_threshold(y_val, p_val, y_test, y_pred_test=p_test)
    for wrong in ((model, val), (y_val, p_val, y_test)):
        with pytest.raises(TypeError, match=r"or \(model, val_gen, test_gen\)"):
            find_f1_threshold(*wrong)


def test_excluded_names_may_be_parts_of_names(tmp_path):
    source, model = small_model(), small_model(seed=1)
    torch.save(source.state_dict(), tmp_path / "weights.bin")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    load_specific_weights(model, str(tmp_path / "weights.bin"), ["lstm", "layer.0.bias"])
    for name, weight in model.state_dict().items():
        is_excluded = "lstm" in name or name == "output_layer.0.bias"
        assert torch.equal(weight, before[name] if is_excluded else source.state_dict()[name]), name


# --- tests, examples and scripts of 2017 --------------------------------------------------------------------


@pytest.fixture(scope="module")
def vocabulary():
    with open(global_variables.VOCAB_PATH, encoding="ascii") as file:  # the narrowest of locales
        return json.load(file)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """`PRETRAINED_PATH`, made once for this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHMOJI_HOME", str(tmp_path_factory.mktemp("home")))
        return global_variables.PRETRAINED_PATH


def test_texts_to_emojis(vocabulary, pretrained):
    assert len(vocabulary) == global_variables.NB_TOKENS
    tokenizer = SentenceTokenizer(vocabulary, 30)
    tokens, _, _ = tokenizer.tokenize_sentences(["I love mom's cooking", "This is the shit"])
    model = torchmoji_emojis(weight_path=pretrained)
    own = torchmoji_emojis(global_variables.pretrained_weights())(tokens)
    np.testing.assert_array_equal(model(tokens), own)
    assert len(torchmoji_emojis(weight_path=pretrained, return_attention=True)(np.array([[1]]))) == 2
    fresh = TorchMoji(nb_classes=64, nb_tokens=len(vocabulary))
    fresh.load_state_dict(torch.load(pretrained))
    np.testing.assert_array_equal(fresh(tokens), own)


def test_transfer_with_more_words(vocabulary, pretrained):
    builder = VocabBuilder(WordGenerator(["gloomp gloomp frabjous", "gloomp"]))
    builder.count_all_words()
    extended = dict(vocabulary)
    added = extend_vocab(extended, builder, max_tokens=2)
    model = torchmoji_transfer(5, weight_path=pretrained, extend_embedding=added)
    assert model.embed.weight.size()[0] == global_variables.NB_TOKENS + added == len(extended)
    ids = SentenceTokenizer(extended, 3).tokenize_sentences(["gloomp frabjous"])[0]
    assert ids.tolist() == [[50_000, 50_001, 0]]
    assert model(ids).shape == (1, 5)


@pytest.mark.parametrize("method", ["last", "new"])
def test_the_script_that_fine_tunes_a_data_set(method, vocabulary, pretrained, tmp_path, caplog):
    rows = [f"{'good day' if i % 2 else 'bad fnord'} {i % 3},{i % 2}" for i in range(30)]
    (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(rows))
    assert len(vocabulary) == 50_000
    extend_with = 0 if method == "last" else 10
    data = load_benchmark(os.path.join(tmp_path, "data.csv"), vocabulary, extend_with=extend_with)
    weight_path = pretrained if method != "new" else None
    model = torchmoji_transfer(2, weight_path, extend_embedding=data["added"])
    model, accuracy = finetune(
        *(model, data["texts"], data["labels"], 2, data["batch_size"], method),
        **{"metric": "acc", "verbose": 1, "epoch_size": 4, "nb_epochs": 1},
    )
    assert 0 <= accuracy <= 1
    assert data["added"] == (0 if method == "last" else 1)
    assert not model.training
