"""LSTMHardSigmoid against its equations, and against torch.nn.LSTM in all but its sigmoid."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from torchmoji.lstm import LSTMCell, LSTMHardSigmoid, hard_sigmoid

INPUT, HIDDEN = 4, 3
TENSOR, SORTED, UNSORTED = "tensor", "packed sorted", "packed unsorted"
LENGTHS = {TENSOR: [3, 3, 3], SORTED: [4, 2, 1], UNSORTED: [2, 4, 1]}

# torch 2.9 and later advise against torch.jit.trace; it is there and people use it
traces = pytest.mark.filterwarnings(r"ignore:.torch\.jit\.trace:DeprecationWarning")


# --- the equations, token by token --------------------------------------------------------------------------


def equations(lstm, sequences, h_0, c_0):
    """Outputs of each sequence (time, directions * H), final h and c, and what went into every sigmoid."""
    weights = dict(lstm.named_parameters())
    directions = 2 if lstm.bidirectional else 1
    h_n, c_n = ([[None] * len(sequences) for _ in h_0] for _ in range(2))
    outputs, arguments = [], []
    for n, x in enumerate(sequences):
        for layer in range(lstm.num_layers):
            both = []
            for direction in range(directions):
                name = f"l{layer}" + ("_reverse" if direction else "")
                index = layer * directions + direction
                h, c = h_0[index, n], c_0[index, n]
                steps = []
                for x_t in x.flip(0) if direction else x:
                    gates = weights[f"weight_ih_{name}"] @ x_t + weights[f"weight_hh_{name}"] @ h
                    if lstm.bias:
                        gates = gates + weights[f"bias_ih_{name}"] + weights[f"bias_hh_{name}"]
                    i, f, g, o = gates.chunk(4)
                    arguments.append(torch.cat([i, f, o]).detach())
                    i, f, o = (torch.clip(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
                    c = f * c + i * torch.tanh(g)
                    h = o * torch.tanh(c)
                    steps.append(h)
                both.append(torch.stack(steps[::-1] if direction else steps))
                h_n[index][n], c_n[index][n] = h, c
            x = torch.cat(both, dim=1)
        outputs.append(x)
    h_n, c_n = (torch.stack([torch.stack(row) for row in states]) for states in (h_n, c_n))
    return outputs, h_n, c_n, torch.cat(arguments)


def made(scale=1.0, seed=0, **options):
    """An LSTM in float64 with normally distributed weights."""
    torch.manual_seed(seed)
    lstm = LSTMHardSigmoid(INPUT, HIDDEN, dtype=torch.float64, **options)
    for weight in lstm.parameters():
        nn.init.normal_(weight, std=scale)
    return lstm


def states_for(lstm, batch):
    count = lstm.num_layers * (2 if lstm.bidirectional else 1)
    return tuple(torch.randn(count, batch, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in range(2))


def inputs_for(kind, batch_first):
    """Padded data (time, batch, input), what to give the LSTM, and the sequences one by one."""
    lengths = LENGTHS[kind]
    x = torch.randn(max(lengths), len(lengths), INPUT, dtype=torch.float64, requires_grad=True)
    sequences = [x[:length, n] for n, length in enumerate(lengths)]
    if kind != TENSOR:
        return x, pack_padded_sequence(x, lengths, enforce_sorted=kind == SORTED), sequences
    return x, x.transpose(0, 1) if batch_first else x, sequences


def by_sequence(output, kind, batch_first):
    if isinstance(output, PackedSequence):
        padded, lengths = pad_packed_sequence(output)
        assert lengths.tolist() == LENGTHS[kind]
        return [padded[:length, n] for n, length in enumerate(lengths)]
    return list(output if batch_first else output.transpose(0, 1))


@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize(
    ("num_layers", "bidirectional", "bias", "batch_first"),
    [(1, False, True, False), (2, True, True, True), (3, True, False, False)],
)
@pytest.mark.parametrize("kind", LENGTHS)
def test_outputs_states_and_gradients_are_those_of_the_equations(
    kind, bidirectional, num_layers, bias, batch_first, with_states
):
    lstm = made(1.5, num_layers=num_layers, bidirectional=bidirectional, bias=bias, batch_first=batch_first)
    x, given, sequences = inputs_for(kind, batch_first)
    h_0, c_0 = states_for(lstm, len(sequences))
    if with_states:
        output, (h_n, c_n) = lstm(given, (h_0, c_0))
    else:
        output, (h_n, c_n) = lstm(given)
        h_0, c_0 = torch.zeros_like(h_0), torch.zeros_like(c_0)
    results = [*by_sequence(output, kind, batch_first), h_n, c_n]
    outputs, *finals, arguments = equations(lstm, sequences, h_0, c_0)
    expected = [*outputs, *finals]
    for got, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)

    # gates in both clips and between them, or the gradients would say nothing about the clips
    assert (arguments < -2.5).any()
    assert (arguments > 2.5).any()
    assert (arguments.abs() < 2.5).any()
    leaves = [x, *lstm.parameters(), *((h_0, c_0) if with_states else ())]
    weighting = [torch.randn_like(result) for result in expected]
    gradients = torch.autograd.grad(results, leaves, weighting)
    for got, wanted in zip(gradients, torch.autograd.grad(expected, leaves, weighting), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize(("batch_first", "bidirectional"), [(False, False), (True, True)])
def test_one_sequence_without_a_batch_dimension(batch_first, bidirectional, with_states):
    lstm = made(num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    x = torch.randn(5, INPUT, dtype=torch.float64)
    h_0, c_0 = states_for(lstm, 1)
    if not with_states:
        h_0, c_0 = torch.zeros_like(h_0), torch.zeros_like(c_0)
    output, (h_n, c_n) = lstm(x, (h_0[:, 0], c_0[:, 0])) if with_states else lstm(x)
    (expected,), expected_h, expected_c, _ = equations(lstm, [x], h_0, c_0)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close((h_n, c_n), (expected_h[:, 0], expected_c[:, 0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scale", "bidirectional"), [(0.3, False), (2.0, True)])
@pytest.mark.parametrize("kind", LENGTHS)
def test_gradients_are_those_of_finite_differences(kind, bidirectional, scale):
    lstm = made(scale, num_layers=2, bidirectional=bidirectional)
    x, _, sequences = inputs_for(kind, batch_first=False)
    h_0, c_0 = states_for(lstm, len(sequences))
    arguments = equations(lstm, sequences, h_0, c_0)[-1]
    assert (arguments.abs() - 2.5).abs().min() > 1e-4  # finite differences stay on one side of each kink

    names = [name for name, _ in lstm.named_parameters()]

    def run(x, h_0, c_0, *weights):
        given = x if kind == TENSOR else pack_padded_sequence(x, LENGTHS[kind], enforce_sorted=kind == SORTED)
        named = dict(zip(names, weights, strict=True))
        output, states = torch.func.functional_call(lstm, named, (given, (h_0, c_0)))
        return (output.data if isinstance(output, PackedSequence) else output, *states)

    assert torch.autograd.gradcheck(run, (x, h_0, c_0, *lstm.parameters()), fast_mode=True)


# --- torch.nn.LSTM's interface ------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_layers", "bias", "bidirectional"), [(1, True, False), (3, False, True)])
def test_state_dict_is_interchangeable_with_torch(num_layers, bias, bidirectional):
    options = {"num_layers": num_layers, "bias": bias, "bidirectional": bidirectional}
    ours, theirs = LSTMHardSigmoid(INPUT, HIDDEN, **options), nn.LSTM(INPUT, HIDDEN, **options)
    shapes = [[(name, weight.shape) for name, weight in lstm.named_parameters()] for lstm in (ours, theirs)]
    assert shapes[0] == shapes[1]
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    theirs.load_state_dict(LSTMHardSigmoid(INPUT, HIDDEN, **options).state_dict())


def zeros(*shape, **options):
    return torch.zeros(*shape, **options)


def packed(size, enforce_sorted=False):
    lengths = LENGTHS[SORTED if enforce_sorted else UNSORTED]
    return pack_padded_sequence(zeros(4, 3, size), lengths, enforce_sorted=enforce_sorted)


STATE = (2, 3, HIDDEN)  # two layers, a batch of three
WRONG = {
    "input size": (zeros(4, 3, 7),),
    "four dimensions": (zeros(1, 4, 3, INPUT),),
    "no time steps": (zeros(0, 3, INPUT),),
    "batch of h": (zeros(4, 3, INPUT), (zeros(2, 2, HIDDEN), zeros(STATE))),
    "size of h": (zeros(4, 3, INPUT), (zeros(2, 3, 8), zeros(STATE))),
    "layers of h": (zeros(4, 3, INPUT), (zeros(1, 3, HIDDEN), zeros(STATE))),
    "h without batch": (zeros(4, 3, INPUT), (zeros(2, HIDDEN), zeros(2, HIDDEN))),
    "no batch, h with one": (zeros(4, INPUT), (zeros(2, 1, HIDDEN), zeros(2, 1, HIDDEN))),
    "no batch, size of h": (zeros(4, INPUT), (zeros(2, 8), zeros(2, HIDDEN))),
    "a tensor for h and c": (zeros(4, 3, INPUT), zeros(STATE)),
}


@pytest.mark.parametrize("name", WRONG)
def test_shape_errors_are_those_of_torch(name):
    with pytest.raises((RuntimeError, ValueError)) as theirs:
        nn.LSTM(INPUT, HIDDEN, 2)(*WRONG[name])
    with pytest.raises((RuntimeError, ValueError)) as ours:
        LSTMHardSigmoid(INPUT, HIDDEN, 2)(*WRONG[name])
    assert (ours.type, str(ours.value)) == (theirs.type, str(theirs.value))


@pytest.mark.parametrize(
    ("given", "states", "message"),
    [
        (packed(7), None, r"input_size\. Expected 4, got 7"),
        (packed(INPUT), (zeros(2, 2, HIDDEN), zeros(STATE)), r"hidden\[0\] size .*got \[2, 2, 3\]"),
        (packed(INPUT, True), (zeros(STATE), zeros(2, 3, 8)), r"hidden\[1\] size .*got \[2, 3, 8\]"),
        (packed(INPUT), (zeros(2, HIDDEN), zeros(2, HIDDEN)), r"hidden\[0\] size .*got \[2, 3\]"),
        (pack_padded_sequence(zeros(4, 3), [4, 2, 1]), None, "2 dimensions, got 1"),
    ],
)
def test_shape_errors_with_packed_input_say_what_is_wrong(given, states, message):
    with pytest.raises(RuntimeError, match=message):
        LSTMHardSigmoid(INPUT, HIDDEN, 2)(given, states)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
@pytest.mark.parametrize("given", [zeros(4, 3, INPUT), packed(INPUT)], ids=["tensor", "packed"])
def test_input_of_another_dtype_is_refused(given, dtype):
    with pytest.raises(ValueError, match=rf"input dtype \({dtype}\).*weight dtype \(torch.float32\)"):
        LSTMHardSigmoid(INPUT, HIDDEN)(given.to(dtype))


@pytest.mark.parametrize("number", [0, 1])
def test_states_of_another_dtype_are_refused(number):
    states = [zeros(1, 3, HIDDEN), zeros(1, 3, HIDDEN)]
    states[number] = states[number].double()
    with pytest.raises(RuntimeError, match=rf"float32 and hidden\[{number}\] with torch.float64"):
        LSTMHardSigmoid(INPUT, HIDDEN)(zeros(4, 3, INPUT), tuple(states))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_batch_of_no_sequences_gives_what_torch_gives(bidirectional):
    x = zeros(4, 0, INPUT)
    shapes = []
    for kind in (nn.LSTM, LSTMHardSigmoid):
        output, (h_n, c_n) = kind(INPUT, HIDDEN, 2, bidirectional=bidirectional)(x)
        shapes.append((output.shape, h_n.shape, c_n.shape))
    assert shapes[0] == shapes[1]


def test_packed_input_without_a_step_gives_no_step():
    lstm = made(num_layers=2, bidirectional=True)
    nothing = zeros(0, INPUT).to(lstm.weight_ih_l0.dtype)
    output, (h_n, c_n) = lstm(PackedSequence(nothing, torch.zeros(0, dtype=torch.long)))
    assert output.data.shape == (0, 2 * HIDDEN)
    assert h_n.shape == c_n.shape == (4, 0, HIDDEN)


def test_given_states_are_not_changed():
    lstm = made(num_layers=2)
    h_0, c_0 = states_for(lstm, 3)
    before = h_0.clone(), c_0.clone()
    lstm(inputs_for(TENSOR, False)[0], (h_0, c_0))
    torch.testing.assert_close((h_0, c_0), before, rtol=0, atol=0)


# --- a module like any other --------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda lstm: pickle.loads(pickle.dumps(lstm))])
def test_a_copy_has_weights_of_its_own(copied):
    lstm = made(num_layers=2)
    x = inputs_for(TENSOR, False)[0]
    before = lstm(x)[0]
    other = copied(lstm)
    torch.testing.assert_close(other(x)[0], before, rtol=0, atol=0)
    nn.init.zeros_(other.weight_ih_l1)
    torch.testing.assert_close(lstm(x)[0], before, rtol=0, atol=0)
    assert not torch.allclose(other(x)[0], before)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.bfloat16, 2e-2), (torch.half, 2e-3)]
)
def test_other_dtypes_give_nearly_the_same_with_gradients(dtype, tolerance):
    lstm = made(0.5, bidirectional=True).float()
    x = torch.randn(6, 3, INPUT)
    expected, states = lstm(x)
    lstm.to(dtype)
    given = x.to(dtype).requires_grad_()
    output, (h_n, c_n) = lstm(given)
    assert {output.dtype, h_n.dtype, c_n.dtype} == {dtype}
    torch.testing.assert_close((output.float(), h_n.float()), (expected, states[0]), rtol=0, atol=tolerance)
    output.sum().backward()
    assert given.grad.dtype == lstm.weight_hh_l0.grad.dtype == lstm.bias_ih_l0.grad.dtype == dtype
    assert lstm.weight_hh_l0.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", [TENSOR, UNSORTED])
def test_autocast_stays_near_float32_and_gradients_flow(kind):
    lstm = made(0.5, num_layers=2, bidirectional=True).float()
    x = torch.randn(4, 3, INPUT, requires_grad=True)

    def run():
        if kind == TENSOR:
            return lstm(x)[0]
        return lstm(pack_padded_sequence(x, LENGTHS[kind], enforce_sorted=False))[0].data

    expected = run()
    wanted = torch.autograd.grad(expected.sum(), [x, *lstm.parameters()])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = run()
    assert not torch.equal(output, expected)  # it did compute in bfloat16
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=2e-2)
    got = torch.autograd.grad(output.float().sum(), [x, *lstm.parameters()])
    torch.testing.assert_close(got, wanted, rtol=0.1, atol=0.1)


def saved_while(action):
    """How many tensors autograd kept for a backward pass."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda tensor: tensor):
        action()
    return len(kept)


def test_nothing_is_kept_for_gradients_that_nobody_takes():
    lstm = made(num_layers=2)
    x = inputs_for(TENSOR, False)[0]
    assert saved_while(lambda: lstm(x)) > 0
    with torch.no_grad():
        assert saved_while(lambda: lstm(x)) == 0
        assert not lstm(x)[0].requires_grad
    lstm.requires_grad_(False)
    assert saved_while(lambda: lstm(x.detach())) == 0


def test_second_derivatives_are_refused():
    lstm = made()
    x = inputs_for(TENSOR, False)[0]
    with pytest.raises(RuntimeError, match="without create_graph=True"):
        torch.autograd.grad(lstm(x)[0].sum(), x, create_graph=True)


# --- dropout ------------------------------------------------------------------------------------------------


def test_dropout_acts_in_training_alone_and_follows_the_seed():
    lstm, without = made(num_layers=2, dropout=0.5), made(num_layers=2)
    x = inputs_for(TENSOR, False)[0]
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(lstm(x)[0])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert torch.equal(lstm.eval()(x)[0], without(x)[0])


@pytest.mark.parametrize("kind", [TENSOR, UNSORTED])
def test_dropout_acts_between_layers_alone(kind):
    lstm = made(num_layers=2, dropout=1.0)  # the second layer sees nothing but zeros
    _, given, sequences = inputs_for(kind, False)
    output, (h_n, _) = lstm(given)
    second = LSTMHardSigmoid(HIDDEN, HIDDEN, dtype=torch.float64)
    weights = lstm.state_dict()
    second.load_state_dict({name.replace("l1", "l0"): w for name, w in weights.items() if "l1" in name})
    blank = [torch.zeros(len(x), HIDDEN, dtype=torch.float64) for x in sequences]
    for got, x in zip(by_sequence(output, kind, False), blank, strict=True):
        torch.testing.assert_close(got, second(x)[0], rtol=0, atol=1e-14)
    first = made(num_layers=2)(given)[1][0][0]
    torch.testing.assert_close(h_n[0], first, rtol=0, atol=0)


# --- the cell -----------------------------------------------------------------------------------------------


def test_hard_sigmoid_has_the_slope_of_keras_2_and_both_clips():
    x = torch.tensor([-1e9, -2.6, -2.5, -1.0, 0.0, 1.0, 2.5, 2.6, 1e9])
    expected = torch.tensor([0.0, 0.0, 0.0, 0.3, 0.5, 0.7, 1.0, 1.0, 1.0])
    torch.testing.assert_close(hard_sigmoid(x), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("bias", [False, True])
def test_the_cell_is_a_step_of_the_lstm(bias):
    lstm = made(1.5, bias=bias)
    x = torch.randn(1, 3, INPUT, dtype=torch.float64)
    h_0, c_0 = states_for(lstm, 3)
    h, c = LSTMCell(x[0], (h_0[0], c_0[0]), *lstm.parameters())
    _, h_n, c_n, _ = equations(lstm, list(x.transpose(0, 1)), h_0, c_0)
    torch.testing.assert_close((h, c), (h_n[0], c_n[0]), rtol=0, atol=1e-14)


def test_the_cell_has_second_derivatives():
    lstm = made(0.3)
    x = torch.randn(2, INPUT, dtype=torch.float64, requires_grad=True)
    h, c = (state[0] for state in states_for(lstm, 2))
    assert torch.autograd.gradgradcheck(
        lambda x, h, c, *weights: LSTMCell(x, (h, c), *weights), (x, h, c, *lstm.parameters()), fast_mode=True
    )


# --- tracing and export -------------------------------------------------------------------------------------


def traced_case(batch_first, with_states):
    lstm = made(num_layers=2, bidirectional=True, batch_first=batch_first).eval()

    def arguments(batch):
        x = torch.randn(4, batch, INPUT, dtype=torch.float64)
        x = x.transpose(0, 1) if batch_first else x
        return (x, tuple(state.detach() for state in states_for(lstm, batch))) if with_states else (x,)

    return lstm, arguments


@traces
@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_traced_lstm_takes_any_batch_size(batch_first, with_states):
    lstm, arguments = traced_case(batch_first, with_states)
    traced = torch.jit.trace(lstm, arguments(3))
    for batch in (1, 5):
        given = arguments(batch)
        torch.testing.assert_close(traced(*given), lstm(*given), rtol=0, atol=1e-12)


def test_an_exported_lstm_takes_any_batch_size():
    lstm, arguments = traced_case(batch_first=True, with_states=True)
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes = ({0: batch}, ({1: batch}, {1: batch}))
    exported = torch.export.export(lstm, arguments(3), dynamic_shapes=shapes, strict=False).module()
    for size in (2, 5):
        given = arguments(size)
        torch.testing.assert_close(exported(*given), lstm(*given), rtol=0, atol=1e-12)


# --- other devices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LENGTHS)
def test_a_device_without_autocast_is_taken(kind):
    lstm = made(num_layers=2, bidirectional=True).to("meta")
    _, given, _ = inputs_for(kind, False)
    output, (h_n, c_n) = lstm(given.to("meta"))
    assert h_n.shape == c_n.shape == (4, 3, HIDDEN)
    assert (output.data if kind != TENSOR else output).device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own imports
@pytest.mark.parametrize("kind", LENGTHS)
def test_cuda_gives_what_the_cpu_gives(kind):
    lstm = made(num_layers=2, bidirectional=True)
    _, given, _ = inputs_for(kind, False)
    expected, states = lstm(given)
    output, moved = lstm.cuda()(given.to("cuda"))
    data = (lambda result: result) if kind == TENSOR else (lambda result: result.data)
    torch.testing.assert_close(data(output).cpu(), data(expected), rtol=0, atol=1e-12)
    torch.testing.assert_close([state.cpu() for state in moved], list(states), rtol=0, atol=1e-12)
    data(output).sum().backward()
    assert lstm.weight_hh_l0.grad.is_cuda
