"""torchmoji.training.last_layer: the same training as on the whole model, each text encoded once."""

import numpy as np
import pytest
import torch
from support.small_task import multi_label_task, small_model, small_task
from torch.utils.data import DataLoader

from torchmoji import finetuning
from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.finetuning import finetune
from torchmoji.model_def import TorchMoji
from torchmoji.training import last_layer
from torchmoji.training.last_layer import LastLayer, batches_on_features, on_features
from torchmoji.training.sampling import DeepMojiBatchSampler, get_data_loader

EPOCHS, EPOCH_SIZE = 2, 32
SIZES = (24, 12, 12)
RATES = [0.0, 0.1]


MANY = 400  # so that an epoch has every text of the training part
OPTIONS = {"epoch_size": EPOCH_SIZE, "nb_epochs": EPOCHS, "verbose": 0, "patience": EPOCHS}


def tune(model, task=None, nb_classes=2, **options):
    texts, labels = task or small_task(nb_classes, SIZES)
    return finetune(model, texts, labels, nb_classes, 16, "last", **{**OPTIONS, **options})


def tune_each_class(model, task=None, **options):
    texts, labels = task or multi_label_task(2, SIZES)
    return class_avg_finetune(model, texts, labels, 2, 16, "last", **{**OPTIONS, **options})


def keep_the_model(monkeypatch):
    """Have fine-tuning run the whole model on texts."""
    for module in ("finetuning", "class_avg_finetuning"):
        monkeypatch.setattr(f"torchmoji.{module}.on_features", lambda model, parts: (model, list(parts)))


def with_widths(task, widths):
    """The task with so many columns of padding more in its parts."""
    texts, labels = task
    pairs = zip(texts, widths, strict=True)
    return [np.pad(part, ((0, 0), (0, width))) for part, width in pairs], labels


def distinct(texts):
    return len(np.unique(np.concatenate(texts), axis=0))


@pytest.fixture
def encoded(monkeypatch):
    """The numbers of rows that models compute features of, call by call."""
    rows, pool = [], TorchMoji._pool_packed

    def counted(self, ids):
        rows.append(len(ids))
        return pool(self, ids)

    monkeypatch.setattr(TorchMoji, "_pool_packed", counted)
    return rows


# --- the same training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("final_rate", [0.0, 0.5])
@pytest.mark.parametrize("embed_rate", RATES)
def test_the_training_is_that_of_the_whole_model(monkeypatch, embed_rate, final_rate):
    rates = {"embed_dropout_rate": embed_rate, "final_dropout_rate": final_rate}
    model, score = tune(small_model(**rates))
    keep_the_model(monkeypatch)
    expected, expected_score = tune(small_model(**rates))
    assert score == expected_score
    assert expected.output_layer[0].weight.any()
    for name, weight in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=0, atol=1e-5)


def test_the_training_of_several_classes_is_that_of_the_whole_model(monkeypatch):
    model, score = tune(small_model(4), nb_classes=4)
    keep_the_model(monkeypatch)
    expected, expected_score = tune(small_model(4), nb_classes=4)
    assert score == expected_score
    torch.testing.assert_close(
        model.output_layer[0].weight, expected.output_layer[0].weight, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("embed_rate", RATES)
def test_the_training_of_each_class_is_that_of_the_whole_model(monkeypatch, embed_rate):
    model, score = tune_each_class(small_model(embed_dropout_rate=embed_rate))
    keep_the_model(monkeypatch)
    expected, expected_score = tune_each_class(small_model(embed_dropout_rate=embed_rate))
    assert score == expected_score
    assert expected.output_layer[0].weight.any()
    torch.testing.assert_close(
        model.output_layer[0].weight, expected.output_layer[0].weight, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("nb_classes", [2, 4])
@pytest.mark.parametrize("embed_rate", RATES)
def test_the_first_stage_of_chain_thaw_is_that_of_the_whole_model(monkeypatch, embed_rate, nb_classes):
    fit_model = finetuning.fit_model

    def output_layer_and_next_samples():
        """Of the first stage, and those that the second one would begin with."""
        model = small_model(nb_classes, embed_dropout_rate=embed_rate, final_dropout_rate=0.5)
        found = []

        def recording(fitted, loss_op, optimizer, train, *args, **options):
            if not found:
                fit_model(fitted, loss_op, optimizer, train, *args, **options)
                found.append(model.output_layer[0].weight.detach().clone())
            elif len(found) == 1:
                found.append([ids for ids, _ in train])

        monkeypatch.setattr(finetuning, "fit_model", recording)
        options = {"epoch_size": EPOCH_SIZE, "nb_epochs": EPOCHS, "verbose": 0}
        finetune(model, *small_task(nb_classes, SIZES), nb_classes, 16, "chain-thaw", **options)
        return found

    weights, samples = output_layer_and_next_samples()
    monkeypatch.setattr(finetuning, "batches_on_features", lambda model, batches: (model, batches))
    expected, expected_samples = output_layer_and_next_samples()
    assert expected.any()
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-5)
    assert torch.equal(torch.cat(samples), torch.cat(expected_samples))


@pytest.mark.parametrize("embed_rate", RATES)
def test_parts_may_differ_in_width(embed_rate):
    task = small_task(2, SIZES)
    model, score = tune(small_model(embed_dropout_rate=embed_rate), with_widths(task, (0, 3, 1)))
    expected, expected_score = tune(small_model(embed_dropout_rate=embed_rate), task)
    assert score == expected_score
    torch.testing.assert_close(
        model.output_layer[0].weight, expected.output_layer[0].weight, rtol=0, atol=1e-5
    )


# --- how often texts are encoded --------------------------------------------------------------------------


def test_without_dropout_of_channels_each_text_is_encoded_once(encoded):
    task = small_task(2, SIZES)
    tune(small_model(embed_dropout_rate=0), task, epoch_size=MANY)
    assert sum(encoded) == distinct(task[0])


def test_texts_that_are_not_drawn_are_not_encoded(encoded):
    (train, val, test), labels = task = small_task(2, SIZES)
    tune(small_model(embed_dropout_rate=0), task, epoch_size=4, nb_epochs=1)
    drawn = DeepMojiBatchSampler(labels[0], 16, epoch_size=4, seed=42)
    numbers = [number for batch in drawn for number in batch]
    assert sum(encoded) == distinct((train[numbers], val, test)) < distinct(task[0])


def test_with_dropout_of_channels_samples_are_encoded_instead(encoded):
    (train, val, test), labels = small_task(2, SIZES)
    tune(small_model(embed_dropout_rate=0.1), ((train, val, test), labels))
    assert sum(encoded) == distinct((val, test)) + EPOCHS * EPOCH_SIZE


def test_all_classes_share_the_features(encoded):
    task = multi_label_task(2, SIZES)
    tune_each_class(small_model(embed_dropout_rate=0), task, epoch_size=MANY)
    assert sum(encoded) == distinct(task[0])


@pytest.mark.parametrize("embed_rate", RATES)
def test_the_first_stage_of_chain_thaw_encodes_each_text_once(encoded, monkeypatch, embed_rate):
    (train, val, test), labels = small_task(2, SIZES)
    rows_after_stages, fit_model = [], finetuning.fit_model

    def counting(*args, **options):
        fit_model(*args, **options)
        rows_after_stages.append(sum(encoded))

    monkeypatch.setattr(finetuning, "fit_model", counting)
    options = {"epoch_size": MANY, "nb_epochs": EPOCHS, "verbose": 0}
    model = small_model(embed_dropout_rate=embed_rate)
    finetune(model, (train, val, test), labels, 2, 16, "chain-thaw", **options)
    expected = distinct((val,)) + EPOCHS * MANY if embed_rate else distinct((train, val))
    assert rows_after_stages[0] == expected
    assert rows_after_stages[1] - rows_after_stages[0] == len(val) + EPOCHS * (MANY + len(val))


def test_other_methods_run_the_whole_model(encoded):
    texts, labels = small_task(2, SIZES)
    options = {"epoch_size": EPOCH_SIZE, "nb_epochs": 1, "verbose": 0}
    finetune(small_model(embed_dropout_rate=0), texts, labels, 2, 16, "full", **options)
    assert sum(encoded) == EPOCH_SIZE + len(texts[1]) + len(texts[2])


# --- the layer --------------------------------------------------------------------------------------------


def some_parts():
    return list(zip(*small_task(2, SIZES), strict=True))


def made(**options):
    """A model, its output layer over features, and the parts with numbers."""
    model = small_model(**options)
    torch.nn.init.normal_(model.output_layer[0].weight, generator=torch.Generator().manual_seed(0))
    return model, *on_features(model, some_parts())


def test_the_layer_gives_what_the_model_gives():
    model, layer, numbered = made()
    layer.eval()
    for (x, _), (numbers, _) in zip(some_parts(), numbered, strict=True):
        expected = model.eval()(torch.from_numpy(x.astype(np.int64)))
        torch.testing.assert_close(layer(torch.from_numpy(numbers)), expected, rtol=0, atol=1e-5)


def test_labels_stay():
    _, _, numbered = made()
    for (_, y), (_, kept) in zip(some_parts(), numbered, strict=True):
        np.testing.assert_array_equal(kept, y)


def test_equal_texts_have_one_number_whatever_their_padding():
    narrow, wide = np.array([[11, 12], [13, 0]]), np.array([[13, 0, 0], [11, 12, 0], [11, 12, 5]])
    labels = np.zeros(3, np.int64)
    _, ((first, _), (second, _)) = on_features(small_model(), [(narrow, labels[:2]), (wide, labels)])
    assert (first.tolist(), second.tolist()) == ([0, 1], [1, 0, 2])


def test_only_the_output_layer_is_trained_or_saved():
    model, layer, _ = made()
    assert [id(p) for p in layer.parameters()] == [id(p) for p in model.output_layer.parameters()]
    assert list(layer.state_dict()) == ["output_layer.0.weight", "output_layer.0.bias"]


@pytest.mark.parametrize("embed_rate", RATES)
def test_the_first_batch_in_training_has_its_final_dropout(embed_rate):
    _, layer, _ = made(embed_dropout_rate=embed_rate, final_dropout_rate=0.5)
    outputs = layer.train()(torch.zeros(30, dtype=torch.int64))
    assert outputs.std() > 1e-3


def test_the_body_gets_no_gradients():
    model, layer, _ = made()
    layer.train()(torch.tensor([0, 1])).sum().backward()
    assert model.output_layer[0].weight.grad is not None
    assert model.embed.weight.grad is None


# --- where the model is left alone ------------------------------------------------------------------------


def assert_left_alone(model):
    parts = some_parts()
    kept, same = on_features(model, parts)
    assert kept is model
    assert all(got is given for got, given in zip(same, parts, strict=True))


def test_a_plain_model_is_replaced():
    layer, _ = on_features(small_model(), some_parts())
    assert isinstance(layer, LastLayer)


def test_a_subclass_is_left_alone():
    class Other(TorchMoji):
        """May compute something else."""

    model = small_model()
    model.__class__ = Other
    assert_left_alone(model)


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_model_with_hooks_is_left_alone(register):
    model = small_model()
    getattr(model, register)(lambda *arguments: None)
    assert_left_alone(model)


def test_features_beyond_the_limit_are_not_kept(monkeypatch):
    monkeypatch.setattr(last_layer, "MAX_CACHED_BYTES", 0)
    assert_left_alone(small_model())


def test_features_up_to_the_limit_are_kept(monkeypatch):
    model, parts = small_model(), some_parts()
    size = distinct([x for x, _ in parts]) * model.attention_size * 4
    monkeypatch.setattr(last_layer, "MAX_CACHED_BYTES", size)
    assert isinstance(on_features(model, parts)[0], LastLayer)
    monkeypatch.setattr(last_layer, "MAX_CACHED_BYTES", size - 1)
    assert_left_alone(model)


def a_loader(**options):
    (x, _, _), (y, _, _) = small_task(2, SIZES)
    return get_data_loader(x, y, 8, **options)


class OwnLoader(DataLoader):
    """May do anything with the samples."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: a_loader(epoch_size=EPOCH_SIZE, seed=3),
        lambda: a_loader(extended_batch_sampler=False),
        lambda: DataLoader(a_loader().dataset, batch_size=5, shuffle=True),
        lambda: DataLoader(
            a_loader().dataset, batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(1)
        ),
    ],
)
def test_loaders_take_the_samples_that_those_given_would_have_taken(make):
    def two_epochs(loader):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return [pair for _ in range(2) for pair in loader]

    layer, (numbered,) = batches_on_features(small_model(), [make()])
    assert isinstance(layer, LastLayer)
    for (numbers, kept), (ids, labels) in zip(two_epochs(numbered), two_epochs(make()), strict=True):
        assert torch.equal(torch.from_numpy(layer._ids)[numbers], ids)
        assert torch.equal(kept, labels)


@pytest.mark.parametrize(
    "others",
    [
        lambda: [(torch.ones(2, 3, dtype=torch.int64), torch.zeros(2))],
        lambda: OwnLoader(a_loader().dataset, batch_size=4),
        lambda: DataLoader(a_loader().dataset, batch_size=4, collate_fn=list),
        lambda: DataLoader([1, 2, 3], batch_size=2),
    ],
)
def test_other_batches_come_back(others):
    model, batches = small_model(), [a_loader(), others()]
    kept, same = batches_on_features(model, batches)
    assert kept is model
    assert all(got is given for got, given in zip(same, batches, strict=True))


def test_batches_for_a_model_that_is_left_alone_come_back():
    model, batches = small_model(), [a_loader()]
    model.register_forward_hook(lambda *_: None)
    kept, (same,) = batches_on_features(model, batches)
    assert kept is model
    assert same is batches[0]
