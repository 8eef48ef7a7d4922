"""A start for pretraining: the weights of a model that is there, whatever its words and its emojis are.

What the two have in common is taken over: the LSTMs and the attention, the embeddings of the words that both
know, the output layer's rows of the emojis that both know. A word that is new begins as the model's unknown
word, which is what it was to that model; a new emoji's output row is fresh.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from torchmoji.conversion import model_sizes
from torchmoji.create_vocab import check_fits, words_by_id
from torchmoji.emoji_finder import fold
from torchmoji.emojis import unnamed_classes
from torchmoji.global_variables import UNKNOWN_ID
from torchmoji.model_def import TorchMoji
from torchmoji.pretrained import find
from torchmoji.weights import load_state_dict

logger = logging.getLogger(__name__)


@torch.no_grad()
def start_with_model(
    model: TorchMoji, name: str | os.PathLike[str], vocabulary: Mapping[str, int], classes: Sequence[str]
) -> None:
    """Give a model the weights of another one, in place, as far as they fit.

    Args:
        model: With fresh weights.
        name: The other one: "default", "deepmoji", a folder or a repository of the Hugging Face hub.
        vocabulary: Word -> id, of `model`.
        classes: Its emojis.

    Raises:
        FileNotFoundError: There is no such model.
        OSError: Its files could not be fetched.
        ValueError: It is no folder, a file is damaged, or the sizes differ.
    """
    if Path(name).expanduser().is_file():
        raise ValueError(
            f"{os.fspath(name)} is a file: start from a folder with config.json, vocabulary.json "
            "and model.safetensors, which MojiPipeline.save_pretrained writes"
        )
    files = find(name)
    known = files.vocabulary or {}
    state = load_state_dict(files.weights)
    sizes = model_sizes(state)
    given = (sizes.embedding_dim, sizes.hidden_size)
    own = (model.embedding_dim, model.hidden_size)
    if given != own:
        raise ValueError(
            f"the model {os.fspath(name)!r} has the embedding_dim {given[0]} and the hidden_size {given[1]}, "
            f"the run {own[0]} and {own[1]}: set those of the model that it starts from"
        )
    check_fits(known, sizes.nb_tokens)
    words = [known.get(word, UNKNOWN_ID) for word in words_by_id(vocabulary)]
    weights = model.state_dict()
    for key, value in state.items():
        if not key.startswith(("embed.", "output_layer.")):
            weights[key].copy_(value)
    weights["embed.weight"].copy_(state["embed.weight"][words])
    given_classes = files.config.get("classes") or unnamed_classes(sizes.nb_outputs) or []
    found = _copy_classes(weights, state, given_classes, classes)
    logger.info(
        "starting from %s: %d of %d words and %d of %d emojis are its own",
        *(os.fspath(name), sum(word in known for word in vocabulary), len(vocabulary)),
        *(found, len(classes)),
    )


def _copy_classes(
    weights: Mapping[str, Tensor], state: Mapping[str, Tensor], given: Sequence[str], wanted: Sequence[str]
) -> int:
    """Copy the output layer's rows of the classes that both know; gives their number.

    There are none in a model of features, in one of two classes with a single output, and in one that does
    not name its classes.
    """
    layer = [(weights[key], state[key]) for key in state if key.startswith("output_layer.")]
    if not layer or any(len(source) != len(given) for _, source in layer):
        return 0
    places = {fold(name): place for place, name in enumerate(given)}
    pairs = [(row, places[fold(name)]) for row, name in enumerate(wanted) if fold(name) in places]
    for target, source in layer:
        for row, place in pairs:
            target[row] = source[place]
    return len(pairs)
