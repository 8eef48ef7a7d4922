"""TorchMoji: inputs and outputs of every kind, and what must not change a text's result."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from torchmoji.attlayer import Attention
from torchmoji.lstm import LSTMHardSigmoid
from torchmoji.model_def import TorchMoji

VOCABULARY = 30
FEATURES = 4 * 3 + 5

traces = pytest.mark.filterwarnings(r"ignore:.torch\.jit\.trace:DeprecationWarning")


def made(nb_classes=4, seed=0, dtype=torch.float32, **options):
    """A small model in evaluation mode, with weights that drive gates into both clips."""
    torch.manual_seed(seed)
    model = TorchMoji(nb_classes, VOCABULARY, **{"embedding_dim": 5, "hidden_size": 3, **options})
    for weight in model.parameters():
        nn.init.normal_(weight)
    return model.to(dtype).eval()


def some_ids(rows=6, width=7, seed=1):
    """Ids (rows, width) padded on the right; row 2 is all padding, row 1 has none, row 0 has one token."""
    random = np.random.default_rng(seed)
    ids = random.integers(1, VOCABULARY, size=(rows, width))
    for row, length in enumerate([1, width, 0, *random.integers(1, width, size=rows)][:rows]):
        ids[row, length:] = 0
    return ids


def close(got, wanted, tolerance=1e-6):
    for one, other in zip(got, wanted, strict=True):
        one, other = (torch.as_tensor(values).detach().numpy() for values in (one, other))
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


# --- inputs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint16, np.uint64, np.int8, ">i4"])
def test_numpy_integers_of_every_type_give_numpy_floats(dtype):
    model = made(return_attention=True)
    ids = some_ids()
    probabilities, attention = model(ids.astype(dtype))
    assert type(probabilities) is type(attention) is np.ndarray
    assert probabilities.dtype == attention.dtype == np.float32
    close((probabilities, attention), model(torch.from_numpy(ids)))


@pytest.mark.parametrize("ids", [some_ids()[::-1], some_ids()[:, ::2], np.asfortranarray(some_ids())])
def test_numpy_views_are_read_as_they_are_indexed(ids):
    model = made()
    close([model(ids)], [model(np.ascontiguousarray(ids))])


@pytest.mark.parametrize(("dtype", "training"), [(torch.int64, True), (torch.uint8, False)])
def test_integer_tensors_give_tensors_with_gradients(dtype, training):
    model = made(return_attention=True).train(training)
    probabilities, attention = model(torch.from_numpy(some_ids()).to(dtype))
    assert probabilities.shape == (6, 4)
    assert attention.shape == (6, 7)
    (probabilities[:, 0].sum() + attention.square().sum()).backward()
    assert [name for name, w in model.named_parameters() if w.grad is None or not w.grad.any()] == []


def test_all_gradients_are_those_of_finite_differences():
    model = made(dtype=torch.float64, feature_output=True, return_attention=True)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 0.4  # away from the kinks
    names = [name for name, _ in model.named_parameters()]
    ids = torch.from_numpy(some_ids(4, 4))

    def run(*weights):
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (ids,))

    assert torch.autograd.gradcheck(run, tuple(model.parameters()), fast_mode=True)


@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequences_give_rows_in_the_original_order(enforce_sorted):
    model = made(return_attention=True)
    lengths = torch.tensor([7, 5, 5, 2, 1] if enforce_sorted else [2, 5, 7, 1, 5])
    ids = torch.from_numpy(np.random.default_rng(2).integers(1, VOCABULARY, size=(5, 7)))
    ids[torch.arange(7) >= lengths[:, None]] = 0
    packed = pack_padded_sequence(ids, lengths, batch_first=True, enforce_sorted=enforce_sorted)
    close(model(packed), model(ids))
    assert model(packed)[0].requires_grad


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (np.ones((2, 3), dtype=np.float32), TypeError, "must be integers, got an array of float32"),
        (torch.ones(2, 3), TypeError, r"must be integers, got torch\.float32"),
        (torch.ones(2, 3, dtype=torch.bool), TypeError, r"must be integers, got torch\.bool"),
        ([[1, 2]], TypeError, "array, a tensor or a PackedSequence, got list"),
        ("text", TypeError, "SentenceTokenizer makes them from texts"),
        (np.ones(3, dtype=int), ValueError, r"two dimensions \(batch, time\), got \(3,\)"),
        (torch.ones(1, 2, 3, dtype=torch.long), ValueError, r"two dimensions .*, got \(1, 2, 3\)"),
        (np.array([[1, -1]]), ValueError, "id -1 is outside the model's vocabulary of 30"),
        (np.array([[1, 30]]), ValueError, "id 30 is outside the model's vocabulary of 30"),
        (torch.tensor([[1, 400]]), ValueError, "id 400 is outside the model's vocabulary of 30: use the voc"),
        (pack_padded_sequence(torch.ones(1, 2), [2], batch_first=True), TypeError, "must be integers"),
        (pack_padded_sequence(torch.full((1, 2), 99), [2], batch_first=True), ValueError, "id 99 is outside"),
    ],
)
def test_wrong_input_is_refused(ids, error, message):
    with pytest.raises(error, match=message):
        made()(ids)


@pytest.mark.parametrize("shape", [(0, 7), (0, 0), (3, 0)])
@pytest.mark.parametrize("tensor", [False, True])
def test_empty_input_gives_empty_rows_or_the_bias_alone(shape, tensor):
    model = made(return_attention=True)
    ids = torch.zeros(shape, dtype=torch.long) if tensor else np.zeros(shape, dtype=np.uint16)
    probabilities, attention = model(ids)
    assert tuple(attention.shape) == shape
    expected = torch.softmax(model.output_layer[0].bias, 0).expand(shape[0], 4)
    close([probabilities], [expected])


# --- what must not change a result --------------------------------------------------------------------------


def reordered(model, ids):
    order = np.random.default_rng(3).permutation(len(ids))
    return [part[np.argsort(order)] for part in model(ids[order])]


def alone(model, ids):
    parts = [model(row[None]) for row in ids]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def among_others(model, ids):
    others = np.random.default_rng(4).integers(0, VOCABULARY, size=(9, ids.shape[1]))
    return [part[4:-5] for part in model(np.concatenate([others[:4], ids, others[4:]]))]


def more_padding(model, ids):
    probabilities, attention = model(np.pad(ids, ((0, 0), (0, 20))))
    assert not attention[:, ids.shape[1] :].any()
    return probabilities, attention[:, : ids.shape[1]]


def zeros_between(model, ids):
    """Every token moved: two zeros before the text, and one after each token."""
    spread = np.zeros((len(ids), 2 + 2 * ids.shape[1]), dtype=ids.dtype)
    spread[:, 2::2] = ids
    probabilities, attention = model(spread)
    return probabilities, attention[:, 2::2]


@pytest.mark.parametrize(
    ("kind", "features", "dtype", "tolerance"),
    [(np.ndarray, False, torch.float32, 1e-5), (torch.Tensor, True, torch.float64, 1e-12)],
)
@pytest.mark.parametrize("change", [reordered, alone, among_others, more_padding, zeros_between])
def test_a_text_s_result_stays_the_same(change, kind, features, dtype, tolerance):
    model = made(dtype=dtype, feature_output=features, return_attention=True)
    ids = some_ids(rows=12)

    def run(ids):
        if kind is np.ndarray:
            return model(ids)
        return [part.detach().numpy() for part in model(torch.from_numpy(ids))]

    close(change(run, ids), run(ids), tolerance)


class MeanPool(nn.Module):
    """A layer with the call of 2017's attention: padded sequences, longest first, and their lengths."""

    def forward(self, inputs, lengths):
        mask = (torch.arange(inputs.shape[1]) < torch.as_tensor(lengths)[:, None]).to(inputs.dtype)
        weights = mask / mask.sum(1, keepdim=True)
        return torch.bmm(weights[:, None], inputs)[:, 0], weights


@pytest.mark.parametrize("replace", ["module", "subclass", "method"])
def test_a_layer_in_the_place_of_the_attention_is_called_as_2017_s_was(replace):
    model = made(return_attention=True)
    pool = MeanPool()
    if replace == "module":
        model.attention_layer = pool
    elif replace == "subclass":
        model.attention_layer.__class__ = type("Mine", (Attention,), {"forward": lambda self, *a: pool(*a)})
    else:
        model.attention_layer.forward = pool.forward
    ids = some_ids()
    _, attention = model(ids)
    lengths = (ids != 0).sum(1, keepdims=True)
    np.testing.assert_allclose(attention, (ids != 0) / np.maximum(lengths, 1), atol=1e-6)


@pytest.mark.parametrize("return_attention", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_hooks_on_every_layer_are_called_and_change_nothing(training, return_attention):
    model = made(embed_dropout_rate=0.0, return_attention=return_attention).train(training)
    ids = torch.from_numpy(some_ids())
    called = []

    def run():
        return model(ids) if return_attention else (model(ids), model.run_ids(ids.numpy())[1])

    expected = run()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda module, arguments, output, name=name: called.append(name))
    close(run(), expected)
    assert {name for name, _ in model.named_modules()} == set(called)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 4), (0, 4), (2, 0)])
def test_a_training_batch_without_a_token_has_gradients_of_zero_for_all_weights(shape, dtype):
    model = made(dtype=dtype, embed_dropout_rate=0.5).train()
    model(torch.zeros(shape, dtype=torch.long)).sum().backward()
    for name, weight in model.named_parameters():
        assert bool(weight.grad.any()) == (name == "output_layer.0.bias" and shape[0] > 0), name


# --- outputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nb_classes", "nb_outputs"), [(1, 1), (2, 1), (3, 3)])
def test_the_number_of_outputs_follows_the_classes(nb_classes, nb_outputs):
    model = made(nb_classes)
    model_logits = made(nb_classes, output_logits=True)
    logits = model_logits(torch.from_numpy(some_ids()))
    assert logits.shape == (6, nb_outputs)
    expected = torch.softmax(logits, 1) if nb_outputs > 1 else torch.sigmoid(logits)
    close(model(torch.from_numpy(some_ids())), expected)


def test_the_output_layer_takes_encoded_features():
    model, ids = made(), torch.from_numpy(some_ids())
    encoder = TorchMoji(None, VOCABULARY, feature_output=True, embedding_dim=5, hidden_size=3).eval()
    encoder.load_state_dict({name: w for name, w in model.state_dict().items() if "output_layer" not in name})
    features = encoder(ids)
    assert features.shape == (6, FEATURES)
    assert not hasattr(encoder, "output_layer")
    close(model.output_layer(features), model(ids))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nb_classes": None}, "nb_classes is None: give the number of classes, or feature_output=True"),
        ({"nb_classes": 0}, "nb_classes must be at least 1, got 0"),
        ({"nb_tokens": 0}, "nb_tokens must be at least 1, got 0"),
        ({"embedding_dim": -1}, "embedding_dim must be at least 1, got -1"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"embed_dropout_rate": 1.5}, r"probability .*1\.5"),
        ({"final_dropout_rate": -0.5}, r"probability .*-0\.5"),
    ],
)
def test_impossible_sizes_are_refused(options, message):
    sizes = {"nb_classes": 3, "nb_tokens": 10, "embedding_dim": 4, "hidden_size": 3}
    with pytest.raises(ValueError, match=message):
        TorchMoji(**{**sizes, **options})


@pytest.mark.parametrize("options", [{}, {"feature_output": True}, {"final_dropout_rate": 0.5}])
def test_a_new_model_is_in_evaluation_mode(options):
    model = TorchMoji(4, VOCABULARY, embedding_dim=5, hidden_size=3, **options)
    assert not any(module.training for module in model.modules())


def test_sizes_are_the_original_s_by_default():
    with torch.device("meta"):
        model = TorchMoji(64, 50000)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    assert shapes["embed.weight"] == (50000, 256)
    assert shapes["lstm_0.weight_ih_l0"] == (2048, 256)
    assert shapes["lstm_1.weight_ih_l0_reverse"] == (2048, 1024)
    assert shapes["lstm_1.weight_hh_l0"] == (2048, 512)
    assert shapes["attention_layer.attention_vector"] == (2304,)
    assert shapes["output_layer.0.weight"] == (64, 2304)


# --- initial weights ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def initial():
    torch.manual_seed(5)
    return TorchMoji(20, 200, embedding_dim=30, hidden_size=16)


def assert_uniform(weight, limit):
    """Within the limit and filling it."""
    assert weight.abs().max() <= limit
    assert weight.max() > 0.95 * limit
    assert weight.min() < -0.95 * limit
    assert abs(weight.std() - limit / 3**0.5) < 0.1 * limit


def test_embedding_and_attention_start_uniform(initial):
    assert_uniform(initial.embed.weight.detach(), 0.5)
    assert_uniform(initial.attention_layer.attention_vector.detach(), 0.05)


def test_kernels_start_xavier_uniform_and_recurrent_ones_orthogonal(initial):
    state = initial.state_dict()
    for name in ("lstm_0.weight_ih_l0", "lstm_1.weight_ih_l0_reverse", "output_layer.0.weight"):
        assert_uniform(state[name], (6 / sum(state[name].shape)) ** 0.5)
    for name in ("lstm_0.weight_hh_l0", "lstm_1.weight_hh_l0_reverse"):
        torch.testing.assert_close(state[name].t() @ state[name], torch.eye(16), rtol=0, atol=1e-5)


def test_biases_start_at_zero_but_the_forget_gates_at_one(initial):
    for name, bias in initial.state_dict().items():
        if "bias_ih" in name:
            assert bias.view(4, 16).mean(1).tolist() == [0, 1, 0, 0], name
            assert bias.view(4, 16).std(1).tolist() == [0, 0, 0, 0], name
        elif "bias" in name:
            assert not bias.any(), name


# --- dropout ------------------------------------------------------------------------------------------------


def embedded(model, ids):
    """What the first LSTM gets for each sequence: (time, embedding), for sequences without padding."""
    caught = []
    with model.lstm_0.register_forward_pre_hook(lambda module, arguments: caught.append(arguments[0])):
        model(ids)
    return caught[0].data.unflatten(0, (ids.shape[1], ids.shape[0])).transpose(0, 1)


def test_embedding_dropout_takes_channels_of_a_sequence_at_all_times():
    model = made(embed_dropout_rate=0.25, embedding_dim=40)
    ids = torch.from_numpy(np.random.default_rng(6).integers(1, VOCABULARY, size=(50, 4)))
    whole = embedded(model, ids)
    ratio = embedded(model.train(), ids) / whole
    assert ((ratio.abs() < 1e-6) | ((ratio - 1 / 0.75).abs() < 1e-4)).all()
    assert torch.equal(ratio[:, :1] > 0.5, (ratio > 0.5).all(1, keepdim=True))  # alike at all times
    assert torch.equal(ratio[:, :1] > 0.5, (ratio > 0.5).any(1, keepdim=True))
    dropped = ratio[:, 0] == 0
    assert abs(dropped.float().mean() - 0.25) < 0.04
    assert dropped.any(0).all()  # each channel in some sequence,
    assert not dropped.all(0).any()  # none in all of them


def test_a_row_of_the_dropout_mask_acts_on_one_text_whatever_the_lengths():
    model = made(embed_dropout_rate=0.5, feature_output=True, embedding_dim=8).train()
    model.embed_dropout.register_forward_hook(lambda module, arguments, output: mask)
    ids = torch.from_numpy(some_ids())
    mask = torch.ones(6, 8)
    whole = model(ids)
    acted_on = []
    for row in range(6):
        mask = torch.ones(6, 8)
        mask[row] = 0
        acted_on += (model(ids) != whole).any(1).nonzero().flatten().tolist()
    assert sorted(acted_on) == [0, 1, 3, 4, 5]  # row 2 is all padding


def test_final_dropout_takes_single_features_before_the_output_layer():
    model = made(final_dropout_rate=0.5, output_logits=True)
    caught = []
    model.output_layer.register_forward_pre_hook(lambda module, arguments: caught.append(arguments[0]))
    ids = torch.from_numpy(some_ids(rows=40))
    model(ids)
    model.train()(ids)
    whole, dropped = caught
    used = whole != 0
    ratio = dropped[used] / whole[used]
    assert ((ratio == 0) | ((ratio - 2).abs() < 1e-3)).all()
    assert abs((ratio == 0).float().mean() - 0.5) < 0.06


def test_dropout_follows_the_seed_and_rests_in_evaluation():
    model = made(embed_dropout_rate=0.5, final_dropout_rate=0.5)
    ids = torch.from_numpy(some_ids())
    assert torch.equal(model(ids), model(ids))
    model.train()
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(model(ids))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


# --- a module like any other --------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_computes_the_same_with_weights_of_its_own(copied):
    model = made(return_attention=True)
    other = copied(model)
    close(other(some_ids()), model(some_ids()), 0)
    nn.init.zeros_(other.embed.weight)
    assert not np.allclose(other(some_ids())[0], model(some_ids())[0])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.half, 0.01)])
def test_half_precision_stays_near_single(dtype, tolerance):
    model = made(return_attention=True)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 0.5
    ids = some_ids()
    expected = model(ids)
    model.to(dtype)
    probabilities, attention = model(ids)
    assert probabilities.dtype == attention.dtype == np.float32
    close((probabilities, attention), expected, tolerance)
    output = model(torch.from_numpy(ids))[0]
    assert output.dtype == dtype
    output.sum().backward()
    assert model.lstm_0.weight_hh_l0.grad.dtype == dtype


def test_autocast_stays_near_float32_and_gradients_flow():
    model = made(output_logits=True)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 0.5
    ids = torch.from_numpy(some_ids())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids)
    close([logits.float()], [model(ids)], 0.05)
    logits.float().square().sum().backward()
    assert model.embed.weight.grad.any()


def test_a_subclass_trains_as_a_part_of_a_larger_network():
    class Larger(TorchMoji):
        def __init__(self):
            super().__init__(None, VOCABULARY, feature_output=True, embedding_dim=5, hidden_size=3)
            self.head = nn.Linear(FEATURES, 2)

        def forward(self, ids):
            return self.head(super().forward(ids))

    torch.manual_seed(0)
    network = Larger()
    ids = torch.from_numpy(some_ids(rows=12))
    labels = (ids[:, 0] % 2).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(ids), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


# --- tracing and export -------------------------------------------------------------------------------------


@traces
@pytest.mark.parametrize("options", [{"return_attention": True}, {"feature_output": True}])
def test_a_traced_model_takes_any_batch_size(options):
    model = made(**options)
    traced = torch.jit.trace(model, torch.from_numpy(some_ids(rows=3)))
    for rows in (1, 6):
        ids = torch.from_numpy(some_ids(rows=rows))
        torch.testing.assert_close(traced(ids), model(ids), rtol=0, atol=1e-6)


def test_an_exported_model_takes_any_batch_size():
    model = made(return_attention=True)
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    ids = torch.from_numpy(some_ids(rows=3))
    exported = torch.export.export(model, (ids,), dynamic_shapes=shapes, strict=False).module()
    for rows in (2, 6):
        ids = torch.from_numpy(some_ids(rows=rows))
        torch.testing.assert_close(exported(ids), model(ids), rtol=0, atol=1e-6)


# --- other devices ------------------------------------------------------------------------------------------

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_cuda
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own imports
def test_cuda_takes_every_kind_of_input():
    model = made(return_attention=True)
    ids = some_ids()
    expected = model(ids)
    model.cuda()
    close(model(ids), expected, 1e-5)  # NumPy in, NumPy out
    for given in (torch.from_numpy(ids), torch.from_numpy(ids).cuda()):
        output, attention = model(given)
        assert output.is_cuda
        assert attention.is_cuda
        close((output.cpu(), attention.cpu()), expected, 1e-5)
    output.sum().backward()
    assert model.embed.weight.grad.is_cuda


@needs_cuda
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own imports
def test_cuda_autocast_trains():
    model = made(output_logits=True).cuda().train()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        logits = model(torch.from_numpy(some_ids()).cuda())
    logits.float().square().sum().backward()
    assert torch.isfinite(model.lstm_1.weight_hh_l0.grad).all()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("replace", [True, False])
def test_hooks_and_layers_that_a_trace_would_pass_over_are_refused(replace):
    class Doubled(LSTMHardSigmoid):
        def forward(self, *given, **options):
            return super().forward(*given, **options)

    model = TorchMoji(3, 50, embedding_dim=4, hidden_size=4).eval()
    ids = torch.tensor([[1, 2, 3]])
    torch.jit.trace(model, ids)
    if replace:
        model.lstm_1 = Doubled(8, 4, batch_first=True, bidirectional=True).eval()
    else:
        model.lstm_1.register_forward_hook(lambda *_: None)
    model(ids)
    with pytest.raises(RuntimeError, match="lstm_1 has hooks or was replaced"):
        torch.jit.trace(model, ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_model_computes_in_a_child_that_was_forked():
    code = (
        "import os, sys, numpy as np, torch\n"
        "from torchmoji.model_def import TorchMoji\n"
        "torch.set_num_threads(2)\n"
        "model = TorchMoji(3, 50, embedding_dim=64, hidden_size=64).eval()\n"
        "ids = np.random.default_rng(0).integers(1, 50, (64, 20))\n"
        "model(ids)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    model(ids)\n"
        "    os._exit(7)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 7
