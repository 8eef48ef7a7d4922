"""The DeepMoji model: token ids in; a distribution over emojis, an encoding or a classifier's output out.

    x   = tanh(embed[ids])         channel dropout: one mask for a sequence, all its time steps alike
    a   = bi-LSTM_0(x)
    b   = bi-LSTM_1(a)
    z   = [b, a, x]
    out = attention(z)             features; then dropout, linear, softmax or sigmoid

Source: Felbo et al. 2017 and DeepMoji's `model_def.py`; names and parameters are the 2017 torchMoji's.
Unlike there, a text's result does not depend on its neighbours in the batch, the attention's rows and columns
are those of the input, and tensors keep their gradients.
"""

import logging
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from torchmoji.attlayer import Attention, is_plain
from torchmoji.batching import run_by_length
from torchmoji.global_variables import NB_TOKENS, UNKNOWN_ID
from torchmoji.lstm import LSTMHardSigmoid, is_traced
from torchmoji.runtime.products import settle_threads
from torchmoji.shipped import note_weights
from torchmoji.weights.formats import LAYERS, load_state_dict, model_sizes

logger = logging.getLogger(__name__)

EMBEDDING_DIM = 256
HIDDEN_SIZE = 512
EMBED_DROPOUT_RATE = 0.1
"""Of `torchmoji_transfer`."""

Tokens = npt.NDArray[Any] | Tensor | PackedSequence
Output = npt.NDArray[Any] | Tensor

MAX_ROWS = 128
"""NumPy input is computed in batches of so many texts, alike in length: see `benchmarks/batching.py`."""
MAX_TOKENS = 2048
"""Texts times tokens in such a batch: more is hardly faster and takes more memory."""
MAX_ROWS_GPU = 2048
"""The same for devices other than the CPU, where each batch costs hundreds of launches."""
MAX_TOKENS_GPU = 1 << 16


def output_size(nb_classes: int) -> int:
    """Outputs of a classifier: one for each class, but of two classes only the second one's."""
    return nb_classes if nb_classes > 2 else 1


class _Packing(NamedTuple):
    """Where the tokens of a batch stand, once in the array of ids and once packed.

    Packed data hold all sequences' first tokens, then their second ones and so on, longest sequence first.
    """

    rows: Tensor  # (tokens,) row of each packed token in the array
    columns: Tensor  # (tokens,) its column
    places: Tensor  # (tokens,) its row when sequences are sorted by length
    times: Tensor  # (tokens,) its number in its sequence
    batch_sizes: Tensor  # (longest length,) sequences that have a token, for each number; on the CPU
    order: Tensor  # (batch,) for each array row, its row when sorted


def _packing(mask: Tensor) -> _Packing:
    """Find the packed order of the tokens of a (batch, time) mask that is true where there is a token."""
    batch = len(mask)
    lengths = mask.sum(1)
    order = torch.empty_like(lengths)
    order[torch.argsort(lengths, descending=True, stable=True)] = torch.arange(batch, device=mask.device)
    rows, columns = mask.nonzero(as_tuple=True)
    times = (mask.cumsum(1) - 1)[rows, columns]
    packed = torch.argsort(times * batch + order[rows])
    rows, columns, times = rows[packed], columns[packed], times[packed]
    return _Packing(rows, columns, order[rows], times, torch.bincount(times).cpu(), order)


class TorchMoji(nn.Module):
    """The model, for emojis, encodings or a classifier; a new one is in evaluation mode.

    `model.train()` is for a training loop of one's own; the functions of `torchmoji.finetuning` call it.

    Args:
        nb_classes: Number of classes C; one output where C <= 2. None with `feature_output`.
        nb_tokens: Size of the vocabulary.
        feature_output: Give the features instead of classes.
        output_logits: Give logits instead of probabilities.
        embed_dropout_rate: Probability of dropping an embedding channel of a sequence, in training.
        final_dropout_rate: Probability of dropping a feature before the output layer, in training.
        return_attention: Give a pair, output and attention.
        embedding_dim: Numbers in an embedding, E.
        hidden_size: Units of an LSTM direction, H. There are F = 4 H + E features.

    Raises:
        ValueError: `nb_classes` is missing, or a number is not positive.
    """

    def __init__(
        self,
        nb_classes: int | None,
        nb_tokens: int,
        feature_output: bool = False,
        output_logits: bool = False,
        embed_dropout_rate: float = 0,
        final_dropout_rate: float = 0,
        return_attention: bool = False,
        *,
        embedding_dim: int = EMBEDDING_DIM,
        hidden_size: int = HIDDEN_SIZE,
    ) -> None:
        super().__init__()
        if not feature_output and nb_classes is None:
            raise ValueError("nb_classes is None: give the number of classes, or feature_output=True")
        sizes = {"nb_tokens": nb_tokens, "embedding_dim": embedding_dim, "hidden_size": hidden_size}
        if not feature_output and nb_classes is not None:
            sizes["nb_classes"] = nb_classes
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")

        settle_threads()
        self.nb_classes = nb_classes
        self.nb_tokens = nb_tokens
        self.feature_output = feature_output
        self.output_logits = output_logits
        self.embed_dropout_rate = embed_dropout_rate
        self.final_dropout_rate = final_dropout_rate
        self.return_attention = return_attention
        self.embedding_dim = embedding_dim
        self.hidden_size = hidden_size
        self.attention_size = 4 * hidden_size + embedding_dim

        weight = torch.empty(nb_tokens, embedding_dim) if torch.empty(0).is_meta else None
        # for an embedding on meta to draw its weights torch would import its compiler, which takes seconds
        self.embed = nn.Embedding(nb_tokens, embedding_dim, _weight=weight)
        self.embed_dropout = nn.Dropout(embed_dropout_rate)
        self.lstm_0 = LSTMHardSigmoid(embedding_dim, hidden_size, batch_first=True, bidirectional=True)
        self.lstm_1 = LSTMHardSigmoid(2 * hidden_size, hidden_size, batch_first=True, bidirectional=True)
        self.attention_layer = Attention(self.attention_size, return_attention=return_attention)
        if not feature_output and nb_classes is not None:
            self.final_dropout = nn.Dropout(final_dropout_rate)
            nb_outputs = output_size(nb_classes)
            layers: list[nn.Module] = [nn.Linear(self.attention_size, nb_outputs)]
            if not output_logits:
                layers.append(nn.Softmax(dim=1) if nb_outputs > 1 else nn.Sigmoid())
            self.output_layer = nn.Sequential(*layers)
        self.init_weights()
        self.eval()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Draw all weights anew as Keras 2 does: biases are zero, but those of the forget gates one."""
        nn.init.uniform_(self.embed.weight, -0.5, 0.5)
        for lstm in (self.lstm_0, self.lstm_1):
            for name, weight in lstm.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(weight)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(weight)
                else:
                    nn.init.zeros_(weight)
                    if name.startswith("bias_ih"):
                        weight[self.hidden_size : 2 * self.hidden_size] = 1
        self.attention_layer.reset_parameters()
        if not self.feature_output:
            for name, weight in self.output_layer.named_parameters():
                (nn.init.zeros_ if name.endswith("bias") else nn.init.xavier_uniform_)(weight)

    def forward(self, input_seqs: Tokens) -> Any:
        """Compute classes or features of texts.

        Id 0 is padding wherever it stands: it has no part in the result, as with Keras's masking. A row of
        padding gives zero features.

        Args:
            input_seqs: Token ids (batch, time): a NumPy array or a tensor of integers, or a packed sequence.

        Returns:
            Probabilities (batch, C), (batch, 1) where C <= 2, logits with `output_logits`, or features
            (batch, F): for NumPy input a NumPy array of float32 (float64 from a float64 model), computed
            without gradients, else a tensor on the model's device. With `return_attention` a pair of that and
            the attention (batch, time).

        Raises:
            TypeError: The input is of another kind, or not of integers.
            ValueError: The input is not two-dimensional, or an id is outside the vocabulary.
        """
        if isinstance(input_seqs, Tensor):
            return self._result(*self._run(self._checked(input_seqs)))
        if isinstance(input_seqs, PackedSequence):
            ids, _ = pad_packed_sequence(input_seqs, batch_first=True)
            return self._result(*self._run(self._checked(ids)))
        if isinstance(input_seqs, np.ndarray):
            return self._result(*self.run_ids(input_seqs))
        raise TypeError(
            "token ids must be a NumPy array, a tensor or a PackedSequence, "
            f"got {type(input_seqs).__name__}; SentenceTokenizer makes them from texts"
        )

    def _result(self, output: Output, attention: Output) -> Any:
        return (output, attention) if self.return_attention else output

    @property
    def _device(self) -> torch.device:
        return self.embed.weight.device

    def _checked(self, ids: Tensor) -> Tensor:
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise TypeError(f"token ids must be integers, got {ids.dtype}")
        if ids.dim() != 2:
            raise ValueError(f"token ids must have two dimensions (batch, time), got {tuple(ids.shape)}")
        if not is_traced():
            settle_threads()
        ids = ids.to(self._device, torch.long)
        if not is_traced() and ids.numel():
            size = self.embed.num_embeddings
            for extreme in torch.stack(ids.aminmax()).tolist():
                if not 0 <= extreme < size:
                    raise ValueError(
                        f"token id {extreme} is outside the model's vocabulary of {size}: "
                        "use the vocabulary that belongs to the weights, or extend_embedding"
                    )
        return ids

    @torch.no_grad()
    def run_ids(
        self, token_ids: npt.NDArray[Any], *, features: bool = False, max_rows: int | None = None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Compute texts without gradients, in batches of similar length, identical ones once.

        Args:
            token_ids: (n, time), integers, padding (0) anywhere.
            features: Give the features, whatever the model's output is.
            max_rows: Texts in a batch, at most; by default `MAX_ROWS`, beside the CPU `MAX_ROWS_GPU`.

        Returns:
            The output (n, C) or features (n, F), and the attention (n, time): float32, float64 from a float64
            model.

        Raises:
            TypeError: The ids are not integers.
            ValueError: They are not two-dimensional, or an id is outside the vocabulary.
        """
        if not np.issubdtype(token_ids.dtype, np.integer):
            raise TypeError(f"token ids must be integers, got an array of {token_ids.dtype}")
        ids = token_ids.astype(np.int64)
        self._checked(torch.from_numpy(ids))
        compute = self._pool_packed if features else self._run

        def run(rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
            output, attention = compute(torch.from_numpy(rows).to(self._device))
            return _to_numpy(output), _to_numpy(attention)

        is_on_cpu = self._device.type == "cpu"
        most_rows, most_tokens = (MAX_ROWS, MAX_TOKENS) if is_on_cpu else (MAX_ROWS_GPU, MAX_TOKENS_GPU)
        # in training equal texts differ by dropout
        return run_by_length(ids, run, max_rows or most_rows, most_tokens, once=not self.training)

    def features_of(self, token_ids: Tensor) -> Tensor:
        """Features (batch, F), whatever the model's output is, of token ids (batch, time), with gradients."""
        return self._pool_packed(self._checked(token_ids))[0]

    def encode_ids(self, token_ids: npt.NDArray[Any]) -> Tensor:
        """The features of `run_ids` as a tensor (n, F), on the device and in the type of the model."""
        features, _ = self.run_ids(token_ids, features=True)
        return torch.from_numpy(features).to(self._device, self.embed.weight.dtype)

    def _run(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Checked ids (batch, time) to output and attention."""
        pool = self._pool_padded if is_traced() else self._pool_packed
        features, attention = pool(ids)
        if self.feature_output:
            return features, attention
        return self.output_layer(self.final_dropout(features)), attention

    @property
    def _drops_channels(self) -> bool:
        """Whether dropout takes whole channels of a sequence now; a layer in its place gets the tokens."""
        layer = self.embed_dropout
        return isinstance(layer, nn.Dropout) and layer.training and layer.p > 0

    def _attend(self, z: Tensor, batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Pool packed sequences (tokens, F): features (sequences, F) and attention (sequences, time).

        A layer in the attention's place, and one with hooks, is called as 2017's was: with padded sequences,
        longest first, and their lengths. One that gives no attention has zeros.
        """
        layer = self.attention_layer
        if is_plain(layer, Attention):
            return layer.pool_packed(z, batch_sizes)
        padded, lengths = pad_packed_sequence(PackedSequence(z, batch_sizes), batch_first=True)
        features, weights = layer(padded, lengths)
        if weights is None:
            is_own = isinstance(layer, Attention)
            mask = torch.arange(padded.shape[1], device="cpu") < lengths.unsqueeze(1)
            weights = layer.pool(padded, mask.to(z.device))[1] if is_own else padded.new_zeros(mask.shape)
        return features, weights

    def _pool_packed(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, F) and attention (batch, time), computed on the tokens alone."""
        batch = len(ids)
        packing = _packing(ids != 0)
        x = torch.tanh(self.embed(ids[packing.rows, packing.columns]))
        if self._drops_channels:
            x = x * self.embed_dropout(x.new_ones(batch, self.embedding_dim))[packing.places]
        else:
            x = self.embed_dropout(x)
        if len(x) == 0 and not torch.is_grad_enabled():
            return F.pad(x, (4 * self.hidden_size, 0, 0, batch)), x.new_zeros(ids.shape)
        a, _ = self.lstm_0(PackedSequence(x, packing.batch_sizes))
        b, _ = self.lstm_1(a)

        z = torch.cat([b.data, a.data, x], dim=1)
        del a, b  # z has them
        if len(z) == 0:  # all weights have a part in these zeros too, so that training goes on
            z = z * sum(weight.sum() for weight in self.attention_layer.parameters())
            return F.pad(z, (0, 0, 0, batch)), z.new_zeros(ids.shape)
        features, weights = self._attend(z, packing.batch_sizes)
        features = F.pad(features, (0, 0, 0, batch - len(features)))  # texts without tokens are last
        attention = weights.new_zeros(ids.shape)
        attention = attention.index_put(
            (packing.rows, packing.columns), weights[packing.places, packing.times]
        )
        return features[packing.order], attention

    def _pool_padded(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The same in operations that can be traced and exported, for any batch size.

        RuntimeError where an LSTM layer has hooks, or was replaced: neither would be called.
        """
        for name in ("lstm_0", "lstm_1"):
            if not is_plain(getattr(self, name), LSTMHardSigmoid):
                raise RuntimeError(
                    f"{name} has hooks or was replaced, which tracing, export and compiling would pass over: "
                    "take the hooks off, or run the model as it is"
                )
        mask = ids != 0
        x = torch.tanh(self.embed(ids))
        x = (
            x * self.embed_dropout(torch.ones_like(x[:, :1]))
            if self._drops_channels
            else self.embed_dropout(x)
        )
        steps = mask.t().unsqueeze(2)
        a, _ = self.lstm_0.run_padded(x.transpose(0, 1), steps)
        b, _ = self.lstm_1.run_padded(a, steps)
        z = torch.cat([b.transpose(0, 1), a.transpose(0, 1), x], dim=2)
        layer = self.attention_layer
        return layer.pool(z, mask) if is_plain(layer, Attention) else layer(z, mask.sum(1))


def _to_numpy(tensor: Tensor) -> npt.NDArray[Any]:
    kept = tensor if tensor.dtype == torch.float64 else tensor.float()
    return kept.cpu().numpy()


def load_model(
    weight_path: str | os.PathLike[str], features: bool | None = None, return_attention: bool = False
) -> TorchMoji:
    """Load a whole model, in evaluation mode, on the CPU; it gives probabilities or features.

    Args:
        weight_path: A torch, safetensors or Keras file.
        features: Give features; None for probabilities where the file has an output layer.
        return_attention: Give a pair, output and attention.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold weights of this model, or lacks the output layer.
    """
    settle_threads()
    state = load_state_dict(weight_path)
    if len({tensor.dtype for tensor in state.values()}) > 1:  # a layer or two in double precision
        state = {name: tensor.double() for name, tensor in state.items()}
    sizes = model_sizes(state)
    if features is None:
        features = sizes.nb_outputs is None
    if features:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("output_layer.")}
    elif sizes.nb_outputs is None:
        raise ValueError(
            f"{os.fspath(weight_path)} has no output layer, so it cannot give emojis: "
            "use torchmoji_feature_encoding, or weights with an output layer"
        )
    with torch.device("meta"):  # neither memory nor random numbers for weights that the file replaces
        model = TorchMoji(
            nb_classes=None if features else sizes.nb_outputs,
            nb_tokens=sizes.nb_tokens,
            feature_output=features,
            return_attention=return_attention,
            embedding_dim=sizes.embedding_dim,
            hidden_size=sizes.hidden_size,
        )
        if not features and sizes.nb_outputs == 2:  # such as two labels that are independent of each other
            model.output_layer = nn.Sequential(nn.Linear(model.attention_size, 2), nn.Softmax(dim=1))
    model.load_state_dict(state, assign=True)
    return model.eval()


def torchmoji_feature_encoding(
    weight_path: str | os.PathLike[str], return_attention: bool = False
) -> TorchMoji:
    """Load a model that gives features: 2304 numbers for a text with the original sizes.

    Args:
        weight_path: A torch, safetensors or Keras file; all sizes are read from it.
        return_attention: Give a pair, features and attention.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold weights of this model; the message says what differs.
    """
    note_weights(weight_path)
    return load_model(weight_path, features=True, return_attention=return_attention)


def torchmoji_emojis(weight_path: str | os.PathLike[str], return_attention: bool = False) -> TorchMoji:
    """Load a model that gives the probability of each emoji (64 with the original weights).

    Args:
        weight_path: A torch, safetensors or Keras file; all sizes are read from it.
        return_attention: Give a pair, probabilities and attention.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold weights of this model; the message says what differs.
    """
    note_weights(weight_path)
    return load_model(weight_path, features=False, return_attention=return_attention)


def torchmoji_transfer(
    nb_classes: int,
    weight_path: str | os.PathLike[str] | None = None,
    extend_embedding: int = 0,
    embed_dropout_rate: float = EMBED_DROPOUT_RATE,
    final_dropout_rate: float = 0.5,
) -> TorchMoji:
    """Make a classifier for fine-tuning: pretrained weights below a new output layer that gives logits.

    Args:
        nb_classes: Number of classes; one output where there are two.
        weight_path: A torch, safetensors or Keras file, whose sizes are taken; None for new weights in the
            original's sizes.
        extend_embedding: Number of words added to the vocabulary. Their embeddings start as that of unknown
            words, which they were before; without weights they are new like all others.
        embed_dropout_rate: Probability of dropping an embedding channel of a sequence, in training.
        final_dropout_rate: Probability of dropping a feature before the output layer, in training.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold weights of this model; the message says what differs.
    """
    _check_extension(extend_embedding)
    nb_tokens, embedding_dim, hidden_size = NB_TOKENS, EMBEDDING_DIM, HIDDEN_SIZE
    state = None
    if weight_path is not None:
        note_weights(weight_path)
        state = load_state_dict(weight_path)
        sizes = model_sizes(state)
        nb_tokens, embedding_dim, hidden_size = sizes.nb_tokens, sizes.embedding_dim, sizes.hidden_size
    model = TorchMoji(
        nb_classes,
        nb_tokens + extend_embedding,
        output_logits=True,
        embed_dropout_rate=embed_dropout_rate,
        final_dropout_rate=final_dropout_rate,
        embedding_dim=embedding_dim,
        hidden_size=hidden_size,
    )
    if state is not None:
        _copy_weights(model, state, ["output_layer"], extend_embedding)
        embeddings = model.embed.weight.data
        embeddings[len(embeddings) - extend_embedding :] = embeddings[UNKNOWN_ID]
    return model


def load_specific_weights(
    model: TorchMoji,
    weight_path: str | os.PathLike[str],
    exclude_names: Sequence[str] = (),
    extend_embedding: int = 0,
    verbose: bool = True,
) -> None:
    """Copy weights from a file into a model, layer by layer; on an error the model stays as it was.

    Args:
        model: Is changed in place. Layers that a subclass adds to those of `TorchMoji` are left alone.
        weight_path: A torch, safetensors or Keras file.
        exclude_names: Weights whose name contains one of these keep the model's: a layer, such as
            `output_layer`, or several, such as `lstm`.
        extend_embedding: Number of words that the model has more than the file; their embeddings stay.
        verbose: Log each layer that is copied.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A name is part of no weight's, a layer's weights are missing from the file or the model
            or have another shape there, or `extend_embedding` is negative or the embedding excluded.
    """
    _check_extension(extend_embedding)
    exclude_names = [exclude_names] if isinstance(exclude_names, str) else exclude_names
    if extend_embedding and _is_excluded("embed.weight", exclude_names):
        raise ValueError(
            f"extend_embedding={extend_embedding} needs the embedding of the file: "
            "take 'embed' out of exclude_names"
        )
    note_weights(weight_path)
    copied = _copy_weights(model, load_state_dict(weight_path), exclude_names, extend_embedding)
    if verbose:
        logger.info("copied %s from %s", ", ".join(copied), os.fspath(weight_path))


def _check_extension(extend_embedding: int) -> None:
    if extend_embedding < 0:
        raise ValueError(f"extend_embedding must not be negative, got {extend_embedding}")


@torch.no_grad()
def _copy_weights(
    model: TorchMoji, state: dict[str, Tensor], exclude_names: Sequence[str], extend_embedding: int
) -> list[str]:
    """Copy a state dict into a model, or nothing when a layer does not fit; give the names of the weights."""
    weights = model.state_dict()
    for part in exclude_names:
        if not any(part in name for name in [*LAYERS, *weights]):
            layers = dict.fromkeys(name.split(".")[0] for name in [*LAYERS, *weights])
            raise ValueError(f"exclude_names has {part!r}, but the layers are {', '.join(layers)}")
    targets = {}
    for name in LAYERS:
        if _is_excluded(name, exclude_names) or not (name in weights or name in state):
            continue
        for owner, names in (("file", state), ("model", weights)):
            if name not in names:
                raise ValueError(
                    f"the {owner} has no {name}; put {name.split('.')[0]!r} into exclude_names to do without"
                )
        rows = len(weights[name]) - (extend_embedding if name == "embed.weight" else 0)
        needed = (rows, *weights[name].shape[1:])
        if state[name].shape != needed:
            new = f" and {extend_embedding} new rows" if name == "embed.weight" and extend_embedding else ""
            raise ValueError(
                f"{name} is {tuple(state[name].shape)} in the file, but the model needs {needed}{new}"
            )
        targets[name] = weights[name][:rows]
    for name, target in targets.items():
        target.copy_(state[name])
    return list(targets)


def _is_excluded(name: str, exclude_names: Sequence[str]) -> bool:
    return any(part in name for part in exclude_names)
