"""torchmoji.training.last_layer: the same training as on the whole model, each text encoded once."""

import numpy as np
import pytest
import torch
from support.small_task import multi_label_task, small_model, small_task
from torch.utils.data import DataLoader

from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.finetuning import finetune
from torchmoji.model_def import TorchMoji
from torchmoji.training import last_layer, loop
from torchmoji.training.last_layer import LastLayer, batches_on_features, on_features
from torchmoji.training.sampling import DeepMojiBatchSampler, get_data_loader

EPOCHS, EPOCH_SIZE = 2, 32
SIZES = (24, 12, 12)
RATES = [0.0, 0.1]
MANY = 400  # so that an epoch has every text of the training part


def tune(model, task=None, nb_classes=2, method="last", **options):
    texts, labels = task or small_task(nb_classes, SIZES)
    options = {"epoch_size": EPOCH_SIZE, "nb_epochs": EPOCHS, "verbose": 0, **options}
    return finetune(model, texts, labels, nb_classes, 16, method, **options)


def tune_each_class(model, task=None, **options):
    texts, labels = task or multi_label_task(2, SIZES)
    options = {"epoch_size": EPOCH_SIZE, "nb_epochs": EPOCHS, "verbose": 0, **options}
    return class_avg_finetune(model, texts, labels, 2, 16, "last", **options)


def distinct(texts):
    return len(np.unique(np.concatenate(texts), axis=0))


def assert_same_output_layer(model, other):
    assert other.output_layer[0].weight.any()
    for name, weight in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("embed_rate", RATES)
@pytest.mark.parametrize(
    "run",
    [tune, tune_each_class, lambda model: tune(model, with_widths(small_task(2, SIZES)))],
    ids=["finetune", "class average", "parts of different widths"],
)
def test_the_training_is_that_of_the_whole_model(monkeypatch, embed_rate, run):
    rates = {"embed_dropout_rate": embed_rate, "final_dropout_rate": 0.5}
    model, score = run(small_model(**rates))
    for module in ("finetuning", "class_avg_finetuning"):
        monkeypatch.setattr(f"torchmoji.{module}.on_features", lambda model, parts: (model, parts))
    expected, expected_score = run(small_model(**rates))
    assert score == expected_score
    assert_same_output_layer(model, expected)


def with_widths(task):
    """The task with columns of padding more in two of its parts."""
    texts, labels = task
    return [np.pad(x, ((0, 0), (0, more))) for x, more in zip(texts, (0, 3, 1), strict=True)], labels


@pytest.mark.parametrize("nb_classes", [2, 4])
@pytest.mark.parametrize("embed_rate", RATES)
def test_the_first_stage_of_chain_thaw_is_that_of_the_whole_model(monkeypatch, embed_rate, nb_classes):
    fit = loop.fit

    def model_after_first_stage_and_next_samples():
        model, samples = small_model(nb_classes, embed_dropout_rate=embed_rate), []

        def first_stage_only(fitted, loss_op, optimizer, train, *args):
            if "1/6" in args[2]:
                return fit(fitted, loss_op, optimizer, train, *args)
            samples.extend(ids for ids, _ in train)
            raise StopIteration

        monkeypatch.setattr(loop, "fit", first_stage_only)
        with pytest.raises(StopIteration):
            tune(model, nb_classes=nb_classes, method="chain-thaw")
        return model, torch.cat(samples)

    model, samples = model_after_first_stage_and_next_samples()
    monkeypatch.setattr(loop, "batches_on_features", lambda model, batches: (model, batches))
    expected, expected_samples = model_after_first_stage_and_next_samples()
    assert_same_output_layer(model, expected)
    assert torch.equal(samples, expected_samples)


# --- how often texts are encoded --------------------------------------------------------------------------


def test_without_dropout_of_channels_each_text_is_encoded_once(encoded):
    task = small_task(2, SIZES)
    tune(small_model(embed_dropout_rate=0), task, epoch_size=MANY)
    assert sum(encoded) == distinct(task[0])


def test_all_classes_share_the_features(encoded):
    task = multi_label_task(2, SIZES)
    tune_each_class(small_model(embed_dropout_rate=0), task, epoch_size=MANY)
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


@pytest.mark.parametrize("embed_rate", RATES)
def test_the_first_stage_of_chain_thaw_encodes_each_text_once(encoded, embed_rate):
    (train, val, test), labels = small_task(2, SIZES)
    model = small_model(embed_dropout_rate=embed_rate)
    tune(model, ((train, val, test), labels), method="chain-thaw", epoch_size=MANY, nb_epochs=1)
    first = distinct((val,)) + MANY if embed_rate else distinct((train, val))
    assert sum(encoded) == first + 5 * (MANY + len(val)) + len(test)


# --- the layer --------------------------------------------------------------------------------------------


def some_parts():
    return list(zip(*small_task(2, SIZES), strict=True))


def test_the_layer_gives_what_the_model_gives():
    model = small_model()
    torch.nn.init.normal_(model.output_layer[0].weight, generator=torch.Generator().manual_seed(0))
    layer, numbered = on_features(model, some_parts())
    assert list(layer.state_dict()) == ["output_layer.0.weight", "output_layer.0.bias"]
    layer.eval()
    for (x, y), (numbers, kept) in zip(some_parts(), numbered, strict=True):
        expected = model.eval()(torch.from_numpy(x.astype(np.int64)))
        torch.testing.assert_close(layer(torch.from_numpy(numbers)), expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(kept, y)


def test_equal_texts_have_one_number_whatever_their_padding():
    narrow, wide = np.array([[11, 12], [13, 0]]), np.array([[13, 0, 0], [11, 12, 0], [11, 12, 5]])
    labels = np.zeros(3, np.int64)
    _, ((first, _), (second, _)) = on_features(small_model(), [(narrow, labels[:2]), (wide, labels)])
    assert (first.tolist(), second.tolist()) == ([0, 1], [1, 0, 2])


@pytest.mark.parametrize("embed_rate", RATES)
def test_training_has_the_final_dropout_and_no_gradients_of_the_body(embed_rate):
    model = small_model(embed_dropout_rate=embed_rate, final_dropout_rate=0.5)
    torch.nn.init.ones_(model.output_layer[0].weight)
    layer, _ = on_features(model, some_parts())
    outputs = layer.train()(torch.zeros(30, dtype=torch.int64))
    outputs.sum().backward()
    assert outputs.std() > 1e-3
    assert model.output_layer[0].weight.grad is not None
    assert model.embed.weight.grad is None


# --- where the model is left alone ------------------------------------------------------------------------


class Other(TorchMoji):
    """May compute something else."""


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "__class__", Other),
        lambda model: model.register_forward_hook(lambda *_: None),
        lambda model: model.lstm_0.register_forward_pre_hook(lambda *_: None),
    ],
)
def test_other_models_are_left_alone(change):
    model = small_model()
    change(model)
    assert on_features(model, some_parts())[0] is model
    batches = [a_loader()]
    kept, (same,) = batches_on_features(model, batches)
    assert kept is model
    assert same is batches[0]


def test_features_beyond_the_limit_are_not_kept(monkeypatch):
    model, parts = small_model(), some_parts()
    size = distinct([x for x, _ in parts]) * model.attention_size * 4
    monkeypatch.setattr(last_layer, "MAX_CACHED_BYTES", size)
    assert isinstance(on_features(model, parts)[0], LastLayer)
    monkeypatch.setattr(last_layer, "MAX_CACHED_BYTES", size - 1)
    assert on_features(model, parts)[0] is model


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
