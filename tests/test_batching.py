"""torchmoji.batching: batches by length give what row by row gives; so does the model on arrays."""

import numpy as np
import pytest
import torch
from support.small_task import VOCABULARY_SIZE, small_model
from torch.nn.utils.rnn import pack_padded_sequence

from torchmoji import model_def
from torchmoji.attlayer import Attention
from torchmoji.batching import batches_by_length, run_by_length, stream_rows, unique_rows, used_columns
from torchmoji.model_def import TorchMoji
from torchmoji.sentence_tokenizer import SentenceTokenizer

SEEDS = range(2)


def random_rows(seed, rows=30, columns=6, words=3):
    """Token ids with duplicates, rows of padding, and padding at the left and in the middle."""
    return np.random.default_rng(seed).integers(0, words, (rows, columns))


# --- rows and columns -------------------------------------------------------------------------------------


def test_unique_rows_are_in_the_order_of_their_first_occurrence():
    first, row_of = unique_rows(np.array([[5, 1], [2, 2], [5, 1], [0, 9], [2, 2]]))
    assert first.tolist() == [0, 1, 3]
    assert row_of.tolist() == [0, 1, 0, 2, 1]


def test_used_columns_end_at_the_last_token():
    ids = np.array([[1, 2, 3], [1, 0, 0], [0, 4, 0], [0, 0, 0], [1, 0, 1]])
    assert used_columns(ids).tolist() == [3, 1, 2, 0, 3]


# --- batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_batches_keep_to_both_limits(seed):
    lengths = np.random.default_rng(seed).integers(0, 50, 40)
    batches = batches_by_length(lengths, max_rows=4, max_tokens=90)
    assert sorted(np.concatenate(batches).tolist()) == list(range(40))
    assert max(len(batch) for batch in batches) == 4
    assert max(len(batch) * lengths[batch].max() for batch in batches) <= 90


@pytest.mark.parametrize(
    ("lengths", "max_rows", "max_tokens", "expected"),
    [
        ([2, 3, 2, 3], 4, 100, [[1, 3, 0, 2]]),  # of one length in their order
        ([2, 100, 3], 8, 10, [[1], [2, 0]]),  # beyond the limit alone
        ([0] * 5, 3, 100, [[0, 1, 2], [3, 4]]),
    ],
)
def test_batches_of_texts(lengths, max_rows, max_tokens, expected):
    batches = batches_by_length(np.array(lengths), max_rows, max_tokens)
    assert [batch.tolist() for batch in batches] == expected


# --- runs -------------------------------------------------------------------------------------------------


class Engine:
    """Gives each row's sum of squares and count of tokens, and as attention each token's half."""

    def __init__(self):
        self.batches = []

    def __call__(self, ids):
        self.batches.append(ids)
        outputs = np.stack([(ids**2).sum(1), (ids != 0).sum(1)], axis=1).astype(np.float32)
        return outputs, ids / 2

    @property
    def rows(self):
        return sum(len(batch) for batch in self.batches)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_results_are_in_the_order_of_the_rows(seed, once):
    ids = random_rows(seed)
    outputs, attention = run_by_length(ids, Engine(), max_rows=4, max_tokens=14, once=once)
    expected_outputs, expected_attention = Engine()(ids)
    np.testing.assert_array_equal(outputs, expected_outputs)
    np.testing.assert_array_equal(attention, expected_attention)


def test_padding_at_the_left_and_in_the_middle_is_kept():
    ids = np.array([[0, 0, 4], [4, 0, 4], [0, 4, 0]])
    engine = Engine()
    run_by_length(ids, engine, max_rows=2, max_tokens=100)
    assert [batch.tolist() for batch in engine.batches] == [[[0, 0, 4], [4, 0, 4]], [[0, 4]]]


def test_identical_rows_are_computed_once():
    ids = np.array([[1, 2], [3, 0], [1, 2], [3, 0], [1, 2]])
    engine = Engine()
    run_by_length(ids, engine, max_rows=4, max_tokens=100)
    assert engine.rows == 2


@pytest.mark.parametrize("once", [False, True])
def test_no_rows_are_given_to_the_model_as_they_are(once):
    outputs, attention = run_by_length(np.zeros((0, 4), np.int64), Engine(), 4, 100, once=once)
    assert outputs.shape == (0, 2)
    assert attention.shape == (0, 4)


# --- the model on arrays ----------------------------------------------------------------------------------


def texts_of_many_lengths(seed=0, columns=40):
    """Texts of 0 to 40 tokens, some with padding at the left or in the middle."""
    random = np.random.default_rng(seed)
    ids = random.integers(1, VOCABULARY_SIZE, (24, columns))
    ids[np.arange(columns) >= np.linspace(0, columns, 24).astype(int)[:, None]] = 0
    ids[3:8, 0] = 0
    ids[15:20, 4:7] = 0
    return random.permutation(ids).astype(np.uint16)


def classifier(**options):
    model = small_model(nb_classes=3, **options).eval()
    torch.nn.init.normal_(model.output_layer[0].weight, generator=torch.Generator().manual_seed(2))
    return model


@pytest.mark.parametrize("max_tokens", [50, 8192])
def test_a_row_gives_what_it_gives_alone(monkeypatch, max_tokens):
    monkeypatch.setattr(model_def, "MAX_TOKENS", max_tokens)
    model, ids = classifier(return_attention=True), texts_of_many_lengths()
    outputs, attention = model(ids)
    alone = [model(row[None]) for row in ids]
    np.testing.assert_allclose(outputs, np.concatenate([o for o, _ in alone]), rtol=0, atol=1e-5)
    np.testing.assert_allclose(attention, np.concatenate([a for _, a in alone]), rtol=0, atol=1e-5)


def test_equal_texts_differ_by_dropout_in_training():
    model = classifier(embed_dropout_rate=0.5).train()
    outputs = model(np.array([[11, 12, 13]] * 6))
    assert len(np.unique(outputs, axis=0)) > 1


def feature_model(model):
    """A model of the same weights that gives features."""
    sizes = {"embedding_dim": 32, "hidden_size": model.hidden_size}
    encoder = TorchMoji(None, VOCABULARY_SIZE, feature_output=True, **sizes)
    state = model.state_dict()
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    return encoder.eval()


def test_encoded_ids_and_features_of_tensors_are_the_features():
    model, ids = classifier(), texts_of_many_lengths()
    encoded, features = model.encode_ids(ids), model.features_of(torch.from_numpy(ids.astype(np.int64)))
    assert not encoded.requires_grad
    for got in (encoded, features):
        np.testing.assert_allclose(got.detach().numpy(), feature_model(model)(ids), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["encode_ids", "features_of"])
def test_ids_beyond_the_vocabulary_are_refused(method):
    ids = np.array([[1, VOCABULARY_SIZE]])
    with pytest.raises(ValueError, match=f"token id {VOCABULARY_SIZE} is outside"):
        getattr(classifier(), method)(ids if method == "encode_ids" else torch.from_numpy(ids))


# --- attention over packed sequences ----------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.bfloat16, 5e-2)])
@pytest.mark.parametrize("lengths", [[4, 4, 2, 1], [3], [1, 1]])
def test_packed_sequences_are_pooled_as_padded_ones(lengths, dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    layer = Attention(5).to(dtype)
    torch.nn.init.normal_(layer.attention_vector, generator=generator)
    x = torch.randn(len(lengths), max(lengths), 5, generator=generator).to(dtype)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True)
    with torch.no_grad():
        got = layer.pool_packed(packed.data, packed.batch_sizes)
        expected = layer.pool(x, mask)
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


def test_gradients_of_packed_sequences_are_those_of_finite_differences():
    layer = Attention(5).double()
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    vector = torch.randn(5, dtype=torch.float64, requires_grad=True)
    sizes = torch.tensor([3, 3, 1])

    class Packed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer.pool_packed(x, sizes)

    def run(x, vector):
        return torch.func.functional_call(Packed(), {"layer.attention_vector": vector}, (x,))

    assert torch.autograd.gradcheck(run, (x, vector))


# --- streams ----------------------------------------------------------------------------------------------


def words_tokenizer():
    return SentenceTokenizer({"one": 10, "two": 11, "three": 12}, 4)


def row_sums(ids):
    return ids.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("window", [1, 2, 100])
def test_a_stream_gives_a_row_for_each_text_in_order(window):
    texts = (text for text in ["one", "", "two two", "three", "one two three"])
    rows = list(stream_rows(texts, words_tokenizer(), row_sums, window))
    assert [row.tolist() for row in rows] == [[10], [0], [22], [12], [33]]


def test_a_stream_of_pairs_gives_pairs():
    pairs = list(stream_rows(["one", "two"], words_tokenizer(), lambda ids: (row_sums(ids), ids), 1))
    assert [(output.tolist(), attention.tolist()) for output, attention in pairs] == [
        ([10], [10, 0, 0, 0]),
        ([11], [11, 0, 0, 0]),
    ]


def test_a_stream_is_read_a_window_ahead():
    taken = []

    def texts():
        for number in range(10):
            taken.append(number)
            yield "one"

    next(stream_rows(texts(), words_tokenizer(), row_sums, 3))
    assert taken == [0, 1, 2]


def test_what_is_no_text_is_named_by_its_place_in_the_stream():
    rows = stream_rows(["one", "two", "three", None], words_tokenizer(), row_sums, 2)
    with pytest.raises(TypeError, match="text 3 is not a string but NoneType"):
        list(rows)


def test_a_window_below_one_is_refused():
    with pytest.raises(ValueError, match="window must be at least 1 text, got 0"):
        next(stream_rows(["one"], words_tokenizer(), row_sums, 0))
