"""torchmoji.finetuning: loading data, the four methods, reproducibility, and nothing left behind."""

import json
import logging
import pickle
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from support.small_task import (
    LAYERS,
    changed_layers,
    loaders,
    small_model,
    small_task,
    trainable_layers,
    weights_of,
)
from torch import nn

from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.finetuning import (
    calculate_batchsize_maxlen,
    chain_thaw,
    evaluate_using_acc,
    evaluate_using_weighted_f1,
    finetune,
    fit_model,
    get_data_loader,
    load_benchmark,
    train_by_chain_thaw,
    tune_trainable,
)
from torchmoji.global_variables import FINETUNING_METHODS, SPECIAL_TOKENS
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.training import loop
from torchmoji.training.metrics import predicted_classes
from torchmoji.training.optimizer import make_optimizer

QUICK = {"batch_size": 10, "epoch_size": 80, "nb_epochs": 1, "verbose": 0}


def tuned(method="last", nb_classes=2, model=None, **options):
    """Fine-tune a small model on the small task: (model, score)."""
    texts, labels = small_task(nb_classes)
    model = model or small_model(nb_classes)
    return finetune(model, texts, labels, nb_classes, method=method, **{**QUICK, **options})


# --- data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([0, 0], (250, 10)),
        ([10] * 5, (250, 10)),
        ([11] * 5, (250, 20)),
        ([5] * 8 + [95] * 2, (250, 30)),  # the 80th percentile lies a fifth of the way from 5 to 95: 23
        ([100] * 9 + [400], (250, 100)),
        ([101] * 9, (50, 110)),
    ],
)
def test_batch_size_and_maxlen(lengths, expected):
    assert calculate_batchsize_maxlen(["a " * n for n in lengths]) == expected


def test_batch_size_of_no_texts():
    with pytest.raises(ValueError, match="no texts"):
        calculate_batchsize_maxlen([])


VOCABULARY = {word: i for i, word in enumerate([*SPECIAL_TOKENS, "good", "bad", "day"])}
ROWS = [("a good day", 1), ("bad day", 0), ("good good", 1), ("bad", 0), ("new new words", 1)]
PARTS = ["test", "val", "train", "train", "train"]


def write_pickle(folder):
    texts, labels = zip(*ROWS, strict=True)
    data = {"texts": list(texts), "info": [{"label": np.int64(y)} for y in labels]}
    data |= {"train_ind": [2, 3, 4], "val_ind": [1], "test_ind": [0]}
    (folder / "raw.pickle").write_bytes(pickle.dumps(data, protocol=2))
    return folder / "raw.pickle"


def write_csv(folder):
    lines = [f"{text},{y},{part}" for (text, y), part in zip(ROWS, PARTS, strict=True)]
    (folder / "data.csv").write_text("\n".join(["text,label,split", *lines]))
    return str(folder / "data.csv")


def write_jsonl(folder):
    rows = zip(ROWS, PARTS, strict=True)
    lines = [json.dumps({"text": text, "label": "ab"[y], "split": part}) for (text, y), part in rows]
    (folder / "data.jsonl").write_text("\n".join(lines))
    return folder / "data.jsonl"


@pytest.mark.parametrize(
    ("write", "classes"), [(write_pickle, None), (write_csv, None), (write_jsonl, ["a", "b"])]
)
def test_benchmark_from_each_kind_of_file(tmp_path, write, classes):
    data = load_benchmark(write(tmp_path), VOCABULARY)
    assert [part.tolist() for part in data["labels"]] == [[1, 0, 1], [0], [1]]
    assert [part.shape for part in data["texts"]] == [(3, 10), (1, 10), (1, 10)]
    assert data["texts"][0][:, :3].tolist() == [[10, 10, 0], [11, 0, 0], [1, 1, 1]]
    assert (data["added"], data["batch_size"], data["maxlen"]) == (0, 250, 10)
    assert data.get("classes") == classes


def test_benchmark_extends_the_vocabulary_by_frequent_words_of_the_training_part(tmp_path):
    vocabulary = dict(VOCABULARY)
    data = load_benchmark(write_csv(tmp_path), vocabulary, extend_with=1)
    assert data["added"] == 1
    assert data["texts"][0][2, :3].tolist() == [13, 13, 1]
    assert vocabulary == VOCABULARY
    (word,) = set(data["vocabulary"]) - set(vocabulary)
    assert SentenceTokenizer(data["vocabulary"], 5).tokenize_sentences([word])[0][0, 0] == 13


def test_benchmark_split_is_seeded(tmp_path):
    rows = "".join(f"{'good ' * (i % 9)},{i % 2}\n" for i in range(40))
    (tmp_path / "data.csv").write_text("text,label\n" + rows)
    first, again, other = (load_benchmark(tmp_path / "data.csv", VOCABULARY, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first["texts"][0], again["texts"][0])
    assert not np.array_equal(first["texts"][0], other["texts"][0])


def test_benchmark_of_deepmoji(data_root):
    vocabulary = json.loads((data_root / "data" / "vocabulary.json").read_text(encoding="utf-8"))
    path = data_root / "data" / "benchmarks" / "Olympic" / "raw.pickle"
    data = load_benchmark(path, vocabulary, extend_with=100)
    assert [part.shape for part in data["texts"]] == [(200, 30), (50, 30), (762, 30)]
    assert [part.shape for part in data["labels"]] == [(200, 4), (50, 4), (762, 4)]
    assert data["added"] == 100
    assert max(part.max() for part in data["texts"]) == 50_099


# --- methods and metrics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nb_classes", [2, 3])
@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_methods_learn_also_in_one_block_of_autocast(method, nb_classes):
    exact, exact_score = tuned(method, nb_classes, nb_epochs=2)
    assert exact_score > (0.9 if nb_classes == 2 else 0.6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model, score = tuned(method, nb_classes, nb_epochs=2)
    assert score == pytest.approx(exact_score, abs=0.05)
    for name, weight in exact.state_dict().items():
        assert torch.allclose(model.state_dict()[name], weight, atol=0.02), name


@pytest.mark.parametrize("method", ["last", "chain-thaw"])
def test_score_is_that_of_the_returned_model(method):
    texts, labels = small_task(3)
    test = get_data_loader(texts[2], labels[2], 7, extended_batch_sampler=False)
    for metric, evaluate in (("acc", evaluate_using_acc), ("weighted", evaluate_using_weighted_f1)):
        model = small_model(3)
        returned, score = tuned(method, 3, model=model, metric=metric)
        assert returned is model
        assert score == evaluate(model, test)


@pytest.mark.parametrize(("method", "expected"), [("last", LAYERS[-1:]), ("full", LAYERS), ("new", LAYERS)])
def test_methods_train_their_layers_only(method, expected):
    model = small_model()
    before = weights_of(model)
    tuned(method, model=model)
    assert changed_layers(before, weights_of(model)) == set(expected)


def test_classes_that_weigh_more_are_guessed_more():
    texts, labels = small_task(2)
    batches = get_data_loader(texts[2], labels[2], 50, extended_batch_sampler=False)
    counts = [
        predicted_classes(tuned(class_weight=class_weight)[0], batches)[0].sum()
        for class_weight in ([100, 1], None, [1, 100])
    ]
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize(("method", "nb_classes"), [("last", 2), ("chain-thaw", 3)])
def test_balanced_weights_are_those_of_the_training_part(method, nb_classes):
    texts, labels = small_task(nb_classes)
    kept = np.flatnonzero((labels[0] > 0) | (np.arange(60) < 20))
    texts, labels = [texts[0][kept], *texts[1:]], [labels[0][kept], *labels[1:]]
    given = (len(kept) / (nb_classes * np.bincount(labels[0]))).tolist()
    biases = []
    for weight in ("balanced", given, None):
        model, task = small_model(nb_classes), (texts, labels, nb_classes)
        finetune(model, *task, method=method, class_weight=weight, **QUICK)
        biases.append(model.output_layer[0].bias)
    torch.testing.assert_close(biases[0], biases[1], rtol=0, atol=1e-6)
    assert (biases[0] - biases[2]).abs().max() > 1e-4


def test_weights_of_classes_take_the_type_of_the_model():
    model, _ = tuned(nb_classes=3, model=small_model(3).double(), class_weight=[1, 2, 3])
    assert model.output_layer[0].weight.any()


@pytest.fixture
def stages(monkeypatch):
    """Records each run of the loop: its model, options, optimizer, layers in training, those changed..."""
    recorded, fit = [], loop.fit

    def recording(model, loss_op, optimizer, train_gen, val_gen, options, *args):
        rates, decays = ({g[k] for g in optimizer.param_groups} for k in ("lr", "weight_decay"))
        stage = {"kind": type(model).__name__, "options": options, "rates": rates, "decays": decays}
        stage |= {"trainable": trainable_layers(model), "start": weights_of(model)}
        result = fit(model, loss_op, optimizer, train_gen, val_gen, options, *args)
        recorded.append({**stage, "end": weights_of(model)})
        return result

    monkeypatch.setattr(loop, "fit", recording)
    return recorded


def test_chain_thaw_trains_one_layer_after_the_other_then_all(stages):
    tuned("chain-thaw", embed_l2=1e-5)
    layers = [{"output_layer"}, *({layer} for layer in LAYERS[:-1]), set(LAYERS)]
    assert [stage["trainable"] for stage in stages] == layers
    assert [changed_layers(stage["start"], stage["end"]) for stage in stages] == layers
    assert [stage["rates"] for stage in stages] == [{1e-3}, *[{1e-4}] * 5]
    assert [stage["decays"] for stage in stages] == [{0}, {1e-5}, {0}, {0}, {0}, {0, 1e-5}]
    for before, after in pairwise(stages[1:]):
        assert not changed_layers(before["end"], after["start"])


@pytest.mark.parametrize("tune", [finetune, class_avg_finetune])
def test_the_first_stage_may_have_epochs_and_dropout_of_its_own(tune, stages):
    model = small_model()
    model.embed_dropout.p, seen = 0.4, []
    model.final_dropout.register_forward_pre_hook(lambda *_: seen.append(model.embed_dropout.p))
    options = {"first_stage_dropout": False, "first_stage_epochs": 3, **QUICK}
    tune(model, *small_task(2), 2, method="chain-thaw", **options)
    assert [stage["options"].epochs for stage in stages] == [3, 1, 1, 1, 1, 1]
    assert (seen[0], seen[-1], model.embed_dropout.p) == (0, 0.4, 0.4)


@pytest.mark.parametrize("tune", [finetune, class_avg_finetune])
@pytest.mark.parametrize(
    ("method", "rates"), [("chain-thaw", [{1e-3}, *[{3e-4}] * 5]), ("full", [{1e-3, 3e-4}])]
)
def test_what_is_pretrained_may_learn_at_another_rate(tune, method, rates, stages):
    tune(small_model(), *small_task(2), 2, method=method, pretrained_lr=3e-4, **QUICK)
    assert [stage["rates"] for stage in stages] == rates


@pytest.mark.parametrize("method", ["chain-thaw", "last"])
def test_what_decides_about_epochs_reaches_every_stage(method, stages):
    tuned(method, monitor="macro", patience=2)
    assert {(stage["options"].monitor, stage["options"].patience) for stage in stages} == {("macro", 2)}


def test_l2_regularisation_shrinks_the_embedding_alone():
    plain, _ = tuned("new", embed_l2=0, nb_epochs=2)
    regular, _ = tuned("new", embed_l2=10, nb_epochs=2)
    assert regular.embed.weight[20:].norm() < 0.9 * plain.embed.weight[20:].norm()
    assert regular.lstm_1.weight_hh_l0.norm() > 0.95 * plain.lstm_1.weight_hh_l0.norm()


# --- the steps of 2017 ------------------------------------------------------------------------------------


def test_fit_model_and_tune_trainable_keep_their_checkpoints(tmp_path):
    train, val, test = loaders()
    models = [small_model(), small_model()]
    paths = [tmp_path / "fit.bin", tmp_path / "tune.bin"]
    first, second = ((m, nn.BCEWithLogitsLoss(), make_optimizer(m, 1e-3, 0), train, val) for m in models)
    torch.manual_seed(0)
    loss = fit_model(*first, 2, paths[0], 5, 0)
    torch.manual_seed(0)
    score = tune_trainable(*second, test, 2, paths[1], evaluate="weighted", verbose=0)
    assert 0 < loss < np.log(2)
    assert score == evaluate_using_weighted_f1(models[1], test)
    for model, path in zip(models, paths, strict=True):
        saved = torch.load(path, weights_only=True)
        assert torch.equal(saved["embed.weight"], model.embed.weight)
        assert torch.equal(saved["embed.weight"], models[0].embed.weight)


def test_chain_thaw_with_its_own_rates(tmp_path, stages):
    path, model = tmp_path / "best.bin", small_model(3)
    arguments = (model, *loaders(3), 1, path, nn.CrossEntropyLoss(), 5, 0.01, 0.002)
    score = chain_thaw(*arguments, evaluate="weighted_f1", verbose=0)
    assert [stage["rates"] for stage in stages] == [{0.01}, *[{0.002}] * 5]
    assert 0 <= score <= 1
    assert torch.equal(torch.load(path, weights_only=True)["embed.weight"], model.embed.weight)


def test_train_by_chain_thaw_ends_with_all_layers_thawed(tmp_path):
    model = small_model()
    train, val, _ = loaders()
    train_by_chain_thaw(model, train, val, nn.BCEWithLogitsLoss(), 5, 1, tmp_path / "best.bin", verbose=0)
    assert trainable_layers(model) == set(LAYERS)


def test_metric_is_checked_before_training(tmp_path):
    arguments = (small_model(), *loaders(), 1, tmp_path / "best.bin", nn.BCEWithLogitsLoss())
    with pytest.raises(ValueError, match="evaluate is 'f1'"):
        chain_thaw(*arguments, evaluate="f1")
    assert list(tmp_path.iterdir()) == []


# --- reproducible, and without traces ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["new", "chain-thaw"])
def test_the_result_depends_on_the_seed_alone(method):
    states = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    torch.manual_seed(1)
    first, first_score = tuned(method, 3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, second_score = tuned(method, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert first_score == second_score
    assert changed_layers(weights_of(first), weights_of(second)) == set()
    other, _ = tuned(method, 3, seed=2)
    assert changed_layers(weights_of(first), weights_of(other)) == set(LAYERS)
    assert np.array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
    assert random.getstate() == states[1]


def test_texts_and_labels_are_left_alone():
    texts, labels = small_task(2)
    finetune(small_model(), texts, labels, 2, method="last", **QUICK)
    for part, original in zip([*texts, *labels], [x for half in small_task(2) for x in half], strict=True):
        np.testing.assert_array_equal(part, original)


@pytest.mark.parametrize("interrupt_after", [None, 9])
@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_model_comes_back_in_evaluation_mode_with_its_flags(method, interrupt_after):
    model = small_model()
    model.embed.requires_grad_(False)
    calls = []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == interrupt_after:
            raise KeyboardInterrupt

    model.register_forward_pre_hook(interrupt)
    if interrupt_after is None:
        tuned(method, model=model)
    else:
        with pytest.raises(KeyboardInterrupt):
            tuned(method, model=model)
    assert trainable_layers(model) == set(LAYERS[1:])
    assert not model.training


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose_shows_the_stages_and_logs_the_score(verbose, capfd, caplog):
    caplog.set_level(logging.INFO)
    tuned("chain-thaw", verbose=verbose)
    out, err = capfd.readouterr()
    assert out == ""
    for text in ("chain-thaw 1/6, output_layer", "chain-thaw 6/6, everything"):
        assert (text in err) == bool(verbose)
    messages = [record.message for record in caplog.records if "limit" not in record.message]
    assert ["acc on the test part" in message for message in messages] == [True] * verbose


# --- inputs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_texts", "of_labels"),
    [
        (np.ndarray.tolist, np.ndarray.tolist),
        (lambda x: torch.from_numpy(x.astype(np.int64)), torch.from_numpy),
        (np.asarray, lambda y: y == 1),
    ],
    ids=["lists", "tensors", "truth values"],
)
def test_texts_and_labels_of_other_kinds_give_the_same_result(of_texts, of_labels):
    texts, labels = small_task(2)
    arguments = [of_texts(x) for x in texts], [of_labels(y) for y in labels]
    model, _ = finetune(small_model(), *arguments, 2, method="last", **QUICK)
    assert changed_layers(weights_of(model), weights_of(tuned("last")[0])) == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "first"}, "method is 'first'; it must be one of last, full, new, chain-thaw"),
        ({"metric": "f1"}, "metric is 'f1'; it must be one of acc, weighted"),
        ({"monitor": "f1"}, "monitor is 'f1'; it must be one of loss, acc, weighted, macro"),
        ({"nb_classes": 3}, "the model has 1 outputs, but nb_classes=3 wants 3"),
        ({"labels": small_task(3)[1]}, r"labels are \[0 1 2\]; with nb_classes=2 they must be 0 to 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epoch_size": 0}, "epoch_size 0"),
        ({"class_weight": "Balanced"}, "class_weight is 'Balanced'; .*'balanced'"),
        ({"class_weight": [1, 2, 3]}, r"class_weight is \[1, 2, 3\]; give a positive number for each of"),
    ],
)
def test_wrong_arguments_are_explained(options, message):
    texts, labels = small_task(2)
    model = small_model()
    before = weights_of(model)
    arguments = {"texts": texts, "labels": labels, "nb_classes": 2, "method": "last", **QUICK, **options}
    with pytest.raises(ValueError, match=message):
        finetune(model, **arguments)
    assert not changed_layers(before, weights_of(model))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_training_on_a_gpu(method):
    before = torch.cuda.get_rng_state(), torch.get_rng_state()
    model, score = tuned(method, model=small_model().cuda())
    assert score > 0.9
    assert model.embed.weight.is_cuda
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
