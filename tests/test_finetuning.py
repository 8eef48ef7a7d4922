"""torchmoji.finetuning: loading data, the four methods, reproducibility, and nothing left behind."""

import inspect
import json
import logging
import pickle
import random
import tempfile

import numpy as np
import pytest
import torch
from support.small_task import changed_layers, small_model, small_task, weights_of
from torch import nn

from torchmoji import class_avg_finetuning, finetuning
from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.finetuning import (
    calculate_batchsize_maxlen,
    chain_thaw,
    evaluate_using_acc,
    finetune,
    get_data_loader,
    load_benchmark,
    make_optimizer,
    train_by_chain_thaw,
    tune_trainable,
)
from torchmoji.global_variables import FINETUNING_METHODS, FINETUNING_METRICS, SPECIAL_TOKENS
from torchmoji.training.metrics import predicted_classes

LAYERS = ["embed", "lstm_0", "lstm_1", "attention_layer", "output_layer"]
QUICK = {"batch_size": 10, "epoch_size": 80, "nb_epochs": 2, "verbose": 0}


def tuned(method="last", nb_classes=2, model=None, **options):
    """Fine-tune a small model on the small task: (model, score)."""
    texts, labels = small_task(nb_classes)
    model = model or small_model(nb_classes)
    return finetune(model, texts, labels, nb_classes, method=method, **{**QUICK, **options})


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# --- the interface of 2017 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("load_benchmark", "path, vocab, extend_with=0"),
        ("calculate_batchsize_maxlen", "texts"),
        ("freeze_layers", "model, unfrozen_types=(), unfrozen_keyword=None"),
        ("change_trainable", "module, trainable, verbose=False"),
        ("find_f1_threshold", "y_val, y_pred_val, y_test, y_pred_test, average='binary'"),
        (
            "finetune",
            "model, texts, labels, nb_classes, batch_size, method, metric='acc', epoch_size=5000, "
            "nb_epochs=1000, embed_l2=1e-06, verbose=1",
        ),
        (
            "tune_trainable",
            "model, loss_op, optim_op, train_gen, val_gen, test_gen, nb_epochs, checkpoint_path, patience=5, "
            "evaluate='acc', verbose=2",
        ),
        ("evaluate_using_weighted_f1", "model, test_gen, val_gen=None"),
        ("evaluate_using_acc", "model, test_gen"),
        (
            "chain_thaw",
            "model, train_gen, val_gen, test_gen, nb_epochs, checkpoint_path, loss_op, initial_lr=0.001, "
            "next_lr=0.0001, embed_l2=1e-06, evaluate='acc', verbose=1, patience=5",
        ),
        (
            "train_by_chain_thaw",
            "model, train_gen, val_gen, loss_op, patience, nb_epochs, checkpoint_path, initial_lr=0.001, "
            "next_lr=0.0001, embed_l2=1e-06, verbose=1",
        ),
        ("calc_loss", "loss_op, pred, yv"),
        (
            "fit_model",
            "model, loss_op, optim_op, train_gen, val_gen, epochs, checkpoint_path, patience, verbose=1",
        ),
        (
            "get_data_loader",
            "X_in, y_in, batch_size, extended_batch_sampler=True, epoch_size=25000, upsample=False, seed=42",
        ),
        ("DeepMojiDataset", "X_in, y_in"),
        ("DeepMojiBatchSampler", "y_in, batch_size, epoch_size, upsample=False, seed=42"),
    ],
)
def test_names_arguments_and_defaults_of_2017(name, signature):
    parameters = inspect.signature(getattr(finetuning, name)).parameters.values()
    positional = [p.replace(annotation=p.empty) for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert ", ".join(str(p) for p in positional) == signature
    assert name in finetuning.__all__


# --- data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([3], (250, 10)),
        ([10] * 5, (250, 10)),
        ([11] * 5, (250, 20)),
        ([5] * 8 + [95] * 2, (250, 30)),  # the 80th percentile lies a fifth of the way from 5 to 95: 23
        ([100] * 9 + [400], (250, 100)),
        ([101] * 9, (50, 110)),
        ([0, 0], (250, 10)),
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


def check_benchmark(data):
    assert [part.tolist() for part in data["labels"]] == [[1, 0, 1], [0], [1]]
    assert [part.shape for part in data["texts"]] == [(3, 10), (1, 10), (1, 10)]
    assert data["texts"][0][:, :3].tolist() == [[10, 10, 0], [11, 0, 0], [1, 1, 1]]
    assert (data["added"], data["batch_size"], data["maxlen"]) == (0, 250, 10)


def test_benchmark_from_a_pickle(tmp_path):
    texts, labels = zip(*ROWS, strict=True)
    data = {"texts": list(texts), "info": [{"label": np.int64(y)} for y in labels]}
    data |= {"train_ind": [2, 3, 4], "val_ind": [1], "test_ind": [0]}
    (tmp_path / "raw.pickle").write_bytes(pickle.dumps(data, protocol=2))
    data = load_benchmark(tmp_path / "raw.pickle", VOCABULARY)
    check_benchmark(data)
    assert "classes" not in data


def test_benchmark_from_csv(tmp_path):
    lines = [f"{text},{y},{part}" for (text, y), part in zip(ROWS, PARTS, strict=True)]
    (tmp_path / "data.csv").write_text("\n".join(["text,label,split", *lines]))
    check_benchmark(load_benchmark(str(tmp_path / "data.csv"), VOCABULARY))


def test_benchmark_from_jsonl_with_names(tmp_path):
    rows = [
        {"text": text, "label": "ab"[y], "split": part} for (text, y), part in zip(ROWS, PARTS, strict=True)
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = load_benchmark(tmp_path / "data.jsonl", VOCABULARY)
    check_benchmark(data)
    assert data["classes"] == ["a", "b"]


def test_benchmark_with_vectors_as_labels(tmp_path):
    rows = [{"text": "good", "label": [i % 2, 1, 0]} for i in range(10)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    labels = load_benchmark(tmp_path / "data.jsonl", VOCABULARY)["labels"]
    assert [part.shape for part in labels] == [(7, 3), (1, 3), (2, 3)]


def test_benchmark_extends_the_vocabulary_by_frequent_words_of_the_training_part(tmp_path):
    lines = [f"{text},{y},{part}" for (text, y), part in zip(ROWS, PARTS, strict=True)]
    (tmp_path / "data.csv").write_text("\n".join(["text,label,split", *lines]))
    vocabulary = dict(VOCABULARY)
    data = load_benchmark(tmp_path / "data.csv", vocabulary, extend_with=1)
    assert data["added"] == 1
    assert data["texts"][0][2, :3].tolist() == [13, 13, 1]
    assert vocabulary == VOCABULARY


def test_benchmark_split_is_seeded(tmp_path):
    (tmp_path / "data.csv").write_text(
        "text,label\n" + "".join(f"{'good ' * (i % 9)},{i % 2}\n" for i in range(40))
    )
    first, again, other = (load_benchmark(tmp_path / "data.csv", VOCABULARY, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first["texts"][0], again["texts"][0])
    assert not np.array_equal(first["texts"][0], other["texts"][0])


def test_benchmark_of_deepmoji(data_root):
    vocabulary = json.loads((data_root / "data" / "vocabulary.json").read_text(encoding="utf-8"))
    data = load_benchmark(
        data_root / "data" / "benchmarks" / "Olympic" / "raw.pickle", vocabulary, extend_with=100
    )
    assert [part.shape for part in data["texts"]] == [(200, 30), (50, 30), (762, 30)]
    assert [part.shape for part in data["labels"]] == [(200, 4), (50, 4), (762, 4)]
    assert data["added"] == 100
    assert max(part.max() for part in data["texts"]) == 50_099


# --- methods and metrics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nb_classes", [2, 3])
@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_methods_learn(method, nb_classes):
    _, score = tuned(method, nb_classes)
    assert score > (0.9 if nb_classes == 2 else 0.6)


@pytest.mark.parametrize("nb_classes", [2, 3])
@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_methods_learn_in_one_block_of_autocast(method, nb_classes):
    model = small_model(nb_classes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, score = tuned(method, nb_classes, model)
    exact, exact_score = tuned(method, nb_classes)
    assert score == pytest.approx(exact_score, abs=0.05)
    for name, weight in exact.state_dict().items():
        assert torch.allclose(model.state_dict()[name], weight, atol=0.02), name


@pytest.mark.parametrize("metric", FINETUNING_METRICS)
@pytest.mark.parametrize("method", ["last", "chain-thaw"])
def test_score_is_that_of_the_returned_model(method, metric):
    texts, labels = small_task(3)
    model = small_model(3)
    returned, score = tuned(method, 3, model=model, metric=metric, nb_epochs=1)
    test = get_data_loader(texts[2], labels[2], 7, extended_batch_sampler=False)
    assert returned is model
    assert score == getattr(finetuning, f"evaluate_using_{metric.replace('weighted', 'weighted_f1')}")(
        model, test
    )


@pytest.mark.parametrize(
    ("method", "expected"), [("last", {"output_layer"}), ("full", set(LAYERS)), ("new", set(LAYERS))]
)
def test_methods_train_their_layers_only(method, expected):
    model = small_model()
    before = weights_of(model)
    tuned(method, model=model)
    assert changed_layers(before, weights_of(model)) == expected


def test_classes_that_weigh_more_are_guessed_more():
    texts, labels = small_task(2)
    counts = []
    for class_weight in ([100, 1], None, [1, 100]):
        model, _ = tuned(class_weight=class_weight, nb_epochs=1)
        batches = get_data_loader(texts[2], labels[2], 50, extended_batch_sampler=False)
        counts.append(int(predicted_classes(model, batches)[0].sum()))
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("method", FINETUNING_METHODS)
@pytest.mark.parametrize("nb_classes", [2, 3])
def test_balanced_weights_are_those_of_the_training_part(method, nb_classes):
    texts, labels = small_task(nb_classes)
    kept = np.flatnonzero((labels[0] > 0) | (np.arange(60) < 20))
    texts, labels = [texts[0][kept], *texts[1:]], [labels[0][kept], *labels[1:]]
    counts = np.bincount(labels[0])
    assert counts[0] < counts[1]
    options = {**QUICK, "method": method, "nb_epochs": 1}
    models = []
    for class_weight in ("balanced", (len(kept) / (nb_classes * counts)).tolist(), None):
        start = small_model(nb_classes)
        models.append(
            finetune(start, texts, labels, nb_classes, class_weight=class_weight, **options)[0].state_dict()
        )
    balanced, given, plain = (weights["output_layer.0.bias"] for weights in models)
    torch.testing.assert_close(balanced, given, rtol=0, atol=1e-6)
    assert (balanced - plain).abs().max() > 1e-4


def test_weights_of_classes_take_the_type_of_the_model():
    texts, labels = small_task(3)
    model, _ = finetune(
        small_model(3).double(), texts, labels, 3, method="last", class_weight=[1, 2, 3], **QUICK
    )
    assert model.output_layer[0].weight.any()


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("Balanced", "class_weight.*Balanced.*balanced"),
        ([1, 2, 3], r"class_weight is \[1, 2, 3\]; give a positive number for each of the 2 classes"),
        ([1, 0], "give a positive number"),
        ([1, float("nan")], "give a positive number"),
    ],
)
def test_wrong_class_weights_are_refused(class_weight, message):
    model = small_model()
    before = weights_of(model)
    with pytest.raises(ValueError, match=message):
        tuned(model=model, class_weight=class_weight)
    assert not changed_layers(before, weights_of(model))


@pytest.fixture
def stages(monkeypatch):
    """Records each stage of chain-thaw: (trainable layers, learning rates, weight decays, changed layers)."""
    recorded = []
    fit_model = finetuning.fit_model

    def recording(model, loss_op, optimizer, *args, **kwargs):
        trainable = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
        before = weights_of(model)
        fit_model(model, loss_op, optimizer, *args, **kwargs)
        rates, decays = ({g[k] for g in optimizer.param_groups} for k in ("lr", "weight_decay"))
        recorded.append((trainable, rates, decays, changed_layers(before, weights_of(model))))

    monkeypatch.setattr(finetuning, "fit_model", recording)
    return recorded


def test_chain_thaw_trains_one_layer_after_the_other_then_all(stages):
    tuned("chain-thaw", embed_l2=1e-5, nb_epochs=1)
    trainable, rates, decays, changed = zip(*stages, strict=True)
    assert list(trainable) == [{"output_layer"}, *({layer} for layer in LAYERS[:-1]), set(LAYERS)]
    assert list(rates) == [{1e-3}, *[{1e-4}] * 5]
    assert list(decays) == [{0}, {1e-5}, {0}, {0}, {0}, {0, 1e-5}]
    assert list(changed) == list(trainable)


@pytest.mark.parametrize("tune", [finetune, class_avg_finetune])
def test_the_first_stage_may_have_epochs_of_its_own(tune, monkeypatch):
    epochs, fit_model = [], finetuning.fit_model

    def recording(model, loss_op, optimizer, train, val, nb_epochs, *args, **options):
        epochs.append(nb_epochs)
        return fit_model(model, loss_op, optimizer, train, val, nb_epochs, *args, **options)

    monkeypatch.setattr(finetuning, "fit_model", recording)
    for first_stage_epochs in (3, None):
        options = {**QUICK, "nb_epochs": 1, "first_stage_epochs": first_stage_epochs}
        tune(small_model(), *small_task(2), 2, method="chain-thaw", **options)
    assert epochs == [3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("method", "stages"), [("chain-thaw", 6), ("last", 1)])
def test_what_decides_about_epochs_reaches_every_stage(method, stages, monkeypatch):
    watched, fit_model = [], finetuning.fit_model

    def recording(*args, monitor, **options):
        watched.append(monitor)
        return fit_model(*args, monitor=monitor, **options)

    monkeypatch.setattr(finetuning, "fit_model", recording)
    tuned(method, monitor="macro", nb_epochs=1)
    assert watched == ["macro"] * stages


def test_what_cannot_decide_about_epochs_is_refused():
    with pytest.raises(ValueError, match="monitor is 'f1'; it must be one of loss, acc, weighted, macro"):
        tuned("last", monitor="f1")


@pytest.mark.parametrize("tune", [finetune, class_avg_finetune])
@pytest.mark.parametrize("method", ["chain-thaw", "full"])
def test_what_is_pretrained_may_learn_at_another_rate(tune, method, monkeypatch):
    rates = []
    for module in (finetuning, class_avg_finetuning):
        monkeypatch.setattr(
            module,
            "fit_model",
            lambda model, loss, optimizer, *rest, **options: rates.append(
                {group["lr"] for group in optimizer.param_groups}
            ),
        )
    monkeypatch.setattr(class_avg_finetuning, "load_checkpoint", lambda *arguments: None)
    tune(small_model(), *small_task(2), 2, method=method, pretrained_lr=3e-4, **QUICK)
    assert rates == ([{1e-3}, *[{3e-4}] * 5] if method == "chain-thaw" else [{1e-3, 3e-4}])


@pytest.mark.parametrize("tune", [finetune, class_avg_finetune])
def test_the_first_stage_may_go_without_embedding_dropout(tune, monkeypatch):
    seen, fit_model = [], finetuning.fit_model

    def recording(model, *args, **options):
        seen.append((type(model).__name__, whole.embed_dropout.p))
        return fit_model(model, *args, **options)

    monkeypatch.setattr(finetuning, "fit_model", recording)
    whole = small_model()
    whole.embed_dropout.p = 0.4
    options = {**QUICK, "nb_epochs": 1}
    tune(whole, *small_task(2), 2, method="chain-thaw", first_stage_dropout=False, **options)
    assert seen == [("LastLayer", 0), *[("TorchMoji", 0.4)] * 5]
    assert whole.embed_dropout.p == 0.4


def test_chain_thaw_stage_starts_from_the_best_weights_of_the_stage_before(monkeypatch):
    starts, ends = [], []
    fit_model = finetuning.fit_model

    def recording(model, *args, **kwargs):
        starts.append(weights_of(model))
        fit_model(model, *args, **kwargs)
        ends.append(weights_of(model))

    monkeypatch.setattr(finetuning, "fit_model", recording)
    tuned("chain-thaw", nb_epochs=1)
    assert len(starts) == 6
    assert not any(changed_layers(end, start) for end, start in zip(ends, starts[1:], strict=False))


def test_l2_regularisation_shrinks_the_embedding_alone():
    plain, _ = tuned("new", embed_l2=0)
    regular, _ = tuned("new", embed_l2=10)
    assert regular.embed.weight[20:].norm() < 0.9 * plain.embed.weight[20:].norm()
    assert regular.lstm_1.weight_hh_l0.norm() > 0.95 * plain.lstm_1.weight_hh_l0.norm()


def loaders(nb_classes=2):
    texts, labels = small_task(nb_classes)
    return [
        get_data_loader(x, y, 10, extended_batch_sampler=False) for x, y in zip(texts, labels, strict=True)
    ]


def test_tune_trainable_keeps_its_checkpoint_and_scores(tmp_path):
    model = small_model()
    train, val, test = loaders()
    path = tmp_path / "best.bin"
    score = tune_trainable(
        model, nn.BCEWithLogitsLoss(), make_optimizer(model, 1e-3, 0), train, val, test, 2, path, verbose=0
    )
    assert score == evaluate_using_acc(model, test)
    assert torch.equal(torch.load(path, weights_only=True)["embed.weight"], model.embed.weight)


def test_tune_trainable_weighted(tmp_path):
    model = small_model()
    train, val, test = loaders()
    optimizer = make_optimizer(model, 1e-3, 0)
    arguments = (nn.BCEWithLogitsLoss(), optimizer, train, val, test, 1, tmp_path / "best.bin")
    score = tune_trainable(model, *arguments, evaluate="weighted", verbose=0)
    assert score == finetuning.evaluate_using_weighted_f1(model, test)


def test_chain_thaw_with_its_own_rates(tmp_path, stages):
    train, val, test = loaders(3)
    path = tmp_path / "best.bin"
    score = chain_thaw(
        small_model(3),
        train,
        val,
        test,
        1,
        path,
        nn.CrossEntropyLoss(),
        0.01,
        0.002,
        evaluate="weighted",
        verbose=0,
    )
    assert [rates for _, rates, _, _ in stages] == [{0.01}, *[{0.002}] * 5]
    assert 0 <= score <= 1
    assert path.exists()


def test_train_by_chain_thaw_ends_with_all_layers_thawed(tmp_path):
    model = small_model()
    train, val, _ = loaders()
    train_by_chain_thaw(model, train, val, nn.BCEWithLogitsLoss(), 5, 1, tmp_path / "best.bin", verbose=0)
    assert all(p.requires_grad for p in model.parameters())


def test_early_stopping_takes_the_patience(monkeypatch):
    epochs = []
    train_epoch = finetuning.fit_model.__globals__["_train_epoch"]
    monkeypatch.setitem(
        finetuning.fit_model.__globals__, "_train_epoch", lambda *a: epochs.append(1) or train_epoch(*a)
    )
    monkeypatch.setitem(finetuning.fit_model.__globals__, "validate", lambda *a: (1.0, 1.0))
    tuned(nb_epochs=50)
    tuned(nb_epochs=50, patience=2)
    assert len(epochs) == (1 + 5) + (1 + 2)


# --- reproducible, and without traces ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["new", "chain-thaw"])
def test_same_seed_same_result(method):
    torch.manual_seed(1)
    first, first_score = tuned(method, 3, nb_epochs=1)
    torch.manual_seed(2)
    second, second_score = tuned(method, 3, nb_epochs=1)
    assert first_score == second_score
    assert changed_layers(weights_of(first), weights_of(second)) == set()


def test_other_seed_other_result():
    first, _ = tuned("new", seed=1)
    second, _ = tuned("new", seed=2)
    assert changed_layers(weights_of(first), weights_of(second)) == set(LAYERS)


def test_seed_covers_dropout_and_not_only_the_samples():
    models = [tuned("last", seed=seed, epoch_size=10, batch_size=10, nb_epochs=1)[0] for seed in (1, 1)]
    undropped, _ = tuned(
        "last", seed=1, epoch_size=10, batch_size=10, nb_epochs=1, model=small_model(final_dropout_rate=0)
    )
    assert torch.equal(models[0].output_layer[0].weight, models[1].output_layer[0].weight)
    assert not torch.equal(models[0].output_layer[0].weight, undropped.output_layer[0].weight)


def test_global_generators_are_left_alone():
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    tuned("chain-thaw", nb_epochs=1)
    assert np.array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])
    assert random.getstate() == states[2]


def test_texts_and_labels_are_left_alone():
    texts, labels = small_task(2)
    finetune(small_model(), texts, labels, 2, method="last", **QUICK)
    assert all(np.array_equal(a, b) for a, b in zip(texts + labels, sum(small_task(2), []), strict=True))  # noqa: RUF017


@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_model_comes_back_in_evaluation_mode_with_its_flags(method):
    model = small_model()
    model.embed.requires_grad_(False)
    flags = [p.requires_grad for p in model.parameters()]
    tuned(method, model=model, nb_epochs=1)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert not model.training


@pytest.mark.parametrize("method", ["full", "chain-thaw"])
def test_no_temporary_files_are_left(temporary, method):
    seen = []
    model = small_model()
    model.register_forward_pre_hook(lambda *_: seen.extend(temporary.rglob("best.bin")))
    tuned(method, model=model, nb_epochs=1)
    assert seen
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("calls", [1, 9])
@pytest.mark.parametrize("method", ["full", "chain-thaw"])
def test_ctrl_c_leaves_no_temporary_files_and_restores_the_flags(temporary, method, calls):
    model = small_model()
    model.lstm_1.requires_grad_(False)
    generator = torch.get_rng_state()
    remaining = iter(range(calls))

    def interrupt(module, inputs):
        if next(remaining, None) is None:
            assert any(temporary.iterdir())
            raise KeyboardInterrupt

    model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        tuned(method, model=model)
    assert list(temporary.iterdir()) == []
    assert not model.lstm_1.weight_hh_l0.requires_grad
    assert model.embed.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("method", ["full", "chain-thaw"])
def test_verbose_0_is_silent(method, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    tuned(method, verbose=0, nb_epochs=1)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_verbose_1_shows_the_stages_and_logs_the_score(capfd, caplog):
    caplog.set_level(logging.INFO)
    tuned("chain-thaw", verbose=1, nb_epochs=1)
    assert "chain-thaw 1/6, output_layer" in (err := capfd.readouterr().err)
    assert "chain-thaw 6/6, everything" in err
    assert "acc on the test part" in caplog.text


# --- inputs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert", [np.ndarray.tolist, lambda a: torch.from_numpy(a.astype(np.int64))], ids=["lists", "tensors"]
)
def test_lists_and_tensors_give_the_same_result(convert):
    texts, labels = small_task(2)
    arguments = [convert(x) for x in texts], [convert(y) for y in labels]
    model, _ = finetune(small_model(), *arguments, 2, method="last", **QUICK)
    assert changed_layers(weights_of(model), weights_of(tuned("last")[0])) == set()


def test_truth_values_as_labels():
    texts, labels = small_task(2)
    _, score = finetune(small_model(), texts, [y == 1 for y in labels], 2, method="last", **QUICK)
    assert score == tuned("last")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "first"}, "method is 'first'; it must be one of last, full, new, chain-thaw"),
        ({"metric": "f1"}, "metric is 'f1'; it must be one of acc, weighted"),
        ({"nb_classes": 3}, "the model has 1 outputs, but nb_classes=3 wants 3"),
        ({"model": small_model(3)}, "the model has 3 outputs, but nb_classes=2 wants 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epoch_size": 0}, "epoch_size 0"),
    ],
)
def test_wrong_arguments_are_explained(options, message):
    texts, labels = small_task(2)
    arguments = {"model": small_model(), "nb_classes": 2, "method": "last", **QUICK, **options}
    with pytest.raises(ValueError, match=message):
        finetune(texts=texts, labels=labels, **arguments)


def test_labels_out_of_range_are_refused():
    texts, labels = small_task(3)
    with pytest.raises(ValueError, match=r"labels are \[0 1 2\]; with nb_classes=2 they must be 0 to 1"):
        finetune(small_model(), texts, labels, 2, method="last", **QUICK)


def test_metric_is_checked_before_training(tmp_path):
    train, val, test = loaders()
    arguments = (small_model(), train, val, test, 1, tmp_path / "best.bin", nn.BCEWithLogitsLoss())
    with pytest.raises(ValueError, match="evaluate is 'f1'"):
        chain_thaw(*arguments, evaluate="f1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("method", FINETUNING_METHODS)
def test_training_on_a_gpu(method):
    before = torch.cuda.get_rng_state(), torch.get_rng_state()
    model, score = tuned(method, model=small_model().cuda())
    assert score > 0.9
    assert model.embed.weight.is_cuda
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
