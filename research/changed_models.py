"""What programs share that change a trained model a little: it and texts are read, it is written anew."""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from default_model import failures, failures_section, guess_table, samples
from research_helper import check_emojis

from torchmoji.cli.arguments import make_parser
from torchmoji.corpus.shards import Corpus, TokenRows, in_memory, shard_texts
from torchmoji.create_vocab import save_vocabulary
from torchmoji.files.atomic import atomic_write_text
from torchmoji.model_def import TorchMoji, load_model
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pretraining.card import classes_part, scores_row, scores_table
from torchmoji.pretraining.pretraining import STORED, Settings, new_model
from torchmoji.pretraining.scores import Scores
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights.folder import CARD_NAME, CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME, find
from torchmoji.weights.formats import load_state_dict, save_quantized
from torchmoji.weights.layers import model_sizes

READ_LENGTH = 200
"""Tokens after which texts are cut when they are read, and `MAX_LENGTH` when they are learned from."""
_CLASSES_PART, _CLASSES_END = "Most often found", "</details>"


def make_changing_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for MODEL, CORPUS, OUT and --seed.

    Args:
        description: A program's docstring.
    """
    parser = make_parser(description)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="default: %(default)s")
    return parser


@dataclass(frozen=True)
class Given:
    """A model that is to be changed.

    Attributes:
        model: Gives logits, in evaluation mode, without gradients.
        classes: Its emojis.
        vocabulary: Word -> id.
        config: What `config.json` says.
        card: Its model card.
    """

    model: TorchMoji
    classes: list[str]
    vocabulary: dict[str, int]
    config: dict[str, Any]
    card: str


def open_model(name: str, corpus: Corpus, out: Path, device: torch.device) -> Given:
    """Read a model.

    Args:
        name: Its folder, or "default".
        corpus: Of texts with its emojis.
        out: Where it is to be written.
        device: Where it is to be.

    Raises:
        FileExistsError: There is something already.
        FileNotFoundError: There is no such model.
        ValueError: It has other emojis than the corpus, or a file is damaged.
    """
    files = find(name)
    config = dict(files.config)
    classes = config.get("classes") or []
    check_emojis(name, classes, corpus)
    if out.exists():
        raise FileExistsError(f"{out} is there already: give a new folder")
    state = load_state_dict(files.weights)
    sizes = model_sizes(state)
    settings = Settings(embedding_dim=sizes.embedding_dim, hidden_size=sizes.hidden_size)
    model = new_model(settings, sizes.nb_tokens, len(classes)).eval().requires_grad_(False)
    model.load_state_dict(state)
    path = files.weights.with_name(CARD_NAME)
    card = path.read_text(encoding="utf-8") if path.is_file() else f"# {out.name}\n"
    return Given(model.to(device), list(classes), dict(files.vocabulary or {}), config, card)


def read_texts(corpus: Corpus, split: str, vocabulary: Mapping[str, int], least_emojis: int = 1) -> TokenRows:
    """The texts of a corpus as another vocabulary reads them.

    Args:
        corpus: With texts.
        split: train or validation.
        vocabulary: Word -> id.
        least_emojis: Leave out texts with fewer.
    """
    rows = corpus.rows(split)
    is_wanted = rows.label_counts(np.arange(len(rows))) >= least_emojis
    texts = list(compress(shard_texts(corpus.shard_paths(split)), is_wanted))
    ids = SentenceTokenizer(vocabulary, READ_LENGTH).tokenize_sentences(texts)[0]
    owners, classes = rows.labels(np.flatnonzero(is_wanted))
    labels = np.split(classes, np.searchsorted(owners, np.arange(1, len(texts))))
    tokens = [row[row != 0].tolist() for row in ids]
    return TokenRows([in_memory(tokens, [of_row.tolist() for of_row in labels])])


def write_model(
    given: Given,
    out: Path,
    vocabulary: Mapping[str, int],
    before: str,
    told: Callable[[TorchMoji, MojiPipeline], tuple[str, Scores | None]],
    notes: str | None = None,
) -> None:
    """Write a changed model, in int8; it is whole or not there.

    Args:
        given: The model, whose weights were changed.
        out: The folder.
        vocabulary: Word -> id, as it is now.
        before: What the card calls the scores that it has.
        told: Gives what the card says of the change, and the scores, of the model as it is stored and its
            pipeline.
        notes: For the card, in place of what stands below the samples; None to keep that.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        new = Path(temporary) / out.name
        new.mkdir()
        save_quantized(given.model.state_dict(), new / WEIGHTS_NAME)
        save_vocabulary(vocabulary, new / VOCABULARY_NAME)
        atomic_write_text(new / CONFIG_NAME, json.dumps(given.config, ensure_ascii=False, indent=1) + "\n")
        stored, pipeline = load_model(new / WEIGHTS_NAME), MojiPipeline.from_pretrained(new)
        added, scores = told(stored.to(given.model.embed.weight.device), pipeline)
        card = new_card(given.card, added, before, pipeline, scores, notes)
        atomic_write_text(new / CARD_NAME, card)
        new.rename(out)


def new_card(
    old: str,
    added: str,
    before: str,
    pipeline: MojiPipeline,
    scores: Scores | None = None,
    notes: str | None = None,
) -> str:
    """The card of a model with what was added, and guesses and scores that are the new model's.

    Args:
        old: The card.
        added: A section with its heading.
        before: What is said of the scores that were the stored model's.
        pipeline: Of the new model.
        scores: Of the new model; None where there are no texts for them.
        notes: See `write_model`.
    """
    parts = old.replace(f"| {STORED} |", f"| {before} |").rstrip().split("\n\n## ")
    heading = added.split("\n", 1)[0].removeprefix("## ")
    parts = [part for part in parts if part.split("\n", 1)[0] != heading]  # of the same change before
    whole, is_noted = [], notes is None
    for number, part in enumerate(parts):
        text = part if number == 0 else f"## {part}"
        if part.startswith("Scores\n"):
            whole += [text if scores is None else _with_scores(text, scores, pipeline.classes), added]
        elif part.startswith("Samples\n"):
            below = [text.split("|\n\n", 1)[-1]] if "|\n\n" in text else []
            if notes is not None:
                below, is_noted = [notes.strip()], True
            whole.append("\n\n".join([f"## Samples\n\n{guess_table(samples(pipeline))}", *below]))
        elif part.startswith("Where it fails\n"):
            whole.append(failures_section(failures(pipeline)))
        else:
            whole.append(text)
    if added not in whole:
        whole.append(added)
    if notes is not None and not is_noted:
        whole.insert(whole.index(added) + 1, notes.strip())
    return "\n\n".join(part for part in whole if part) + "\n"


def _with_scores(part: str, scores: Scores, classes: Sequence[str]) -> str:
    """The section of scores with those of the stored model as first row, and its scores emoji by emoji."""
    stored = scores_row(STORED, scores)
    if "|---" not in part:
        table = scores_table([stored])
        return f"## Scores\n\nOn {scores.texts} validation texts. {table}\n\n{classes_part(classes, scores)}"
    rule = part.index("\n", part.index("|---")) + 1
    part = f"{part[:rule]}{stored}\n{part[rule:]}"
    if _CLASSES_PART in part:
        begin, (_, rest) = part.index(_CLASSES_PART), part.split(_CLASSES_END, 1)
        part = part[:begin] + classes_part(classes, scores) + rest
    return part
