"""Fine-tune a sentence encoder to guess emojis, and write what it says of a corpus, for a smaller model.

CORPUS is of `torchmoji build-corpus --keep-text`. ENCODER is a folder that `transformers` reads: a BERT-like
model with its tokenizer, such as all-MiniLM-L6-v2. OUT receives `targets.npy` for `torchmoji pretrain
--soft-targets`, and `scores.json`. With --target-passes it is asked only about the texts that a run of
pretraining sees with the same --passes, with --target-batch-size and --target-seed as its own, and without
--balanced-sampling. An interrupted run goes on where it was when the same command is given again. It needs
`pip install transformers` beside torchmoji.

Examples:
    train_teacher.py corpus/ all-MiniLM-L6-v2/ teacher/
    train_teacher.py corpus/ all-MiniLM-L6-v2/ teacher/ --passes 0.5 --target-passes 0.4
    torchmoji pretrain corpus/ --out model/ --soft-targets teacher/targets.npy
"""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from research_helper import run_alone
from torch import Tensor, nn
from wanted_rows import write_wanted_rows

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.corpus.shards import MANIFEST_NAME, Corpus, RowBatch, TokenRows, shard_texts
from torchmoji.files.atomic import atomic_write_text
from torchmoji.files.resumable import fingerprint
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.distributed import Processes
from torchmoji.pretraining.loop import CHECKPOINT_NAME, Trained, train_model
from torchmoji.pretraining.loss import highest
from torchmoji.pretraining.pretraining import Settings
from torchmoji.pretraining.scores import score_emojis

AVERAGE = 0.999
PAD = 0  # of BERT's vocabularies, and of `TokenRows`
_TOKENIZED_TOGETHER = 10_000
_ASKED_TOGETHER = 64
"""Texts, of nearly the same length: more is slower on a CPU, whose caches they leave."""
_ASKED_TOGETHER_GPU = 1024

logger = logging.getLogger(__name__)


class Teacher(nn.Module):
    """An encoder with an output layer over the mean of its tokens.

    Args:
        encoder: Of `transformers`.
        nb_classes: Number of emojis C.
        is_padded: See `mean_of_tokens`.
    """

    def __init__(self, encoder: nn.Module, nb_classes: int, is_padded: bool = True) -> None:
        super().__init__()
        self.encoder, self.is_padded = encoder, is_padded
        config: Any = encoder.config
        self.output_layer = nn.Linear(config.hidden_size, nb_classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (batch, time), `PAD` where a text has ended, to logits (batch, C)."""
        logits: Tensor = self.output_layer(mean_of_tokens(self.encoder, ids, self.is_padded))
        return logits


def load_encoder(folder: Path) -> Any:
    """An encoder of `transformers` in float32: as stored it may be of half precision.

    Args:
        folder: Of the encoder.
    """
    from transformers import AutoModel

    encoder: Any = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return encoder.float()


def mean_of_tokens(encoder: nn.Module, ids: Tensor, is_padded: bool = True) -> Tensor:
    """The mean of the encoder's last states over a text's tokens (batch, D).

    Args:
        encoder: Of `transformers`.
        ids: (batch, time), `PAD` where a text has ended.
        is_padded: False where all texts are of one length, and nothing may wait for the GPU to tell.
    """
    if not is_padded:
        states = encoder(input_ids=ids, attention_mask=None).last_hidden_state
        unpadded: Tensor = states.float().mean(1)
        return unpadded
    kept = (ids != PAD).long()
    states = encoder(input_ids=ids, attention_mask=kept).last_hidden_state
    mask = kept.unsqueeze(2)
    mean: Tensor = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
    return mean


def encoder_files(folder: Path) -> list[list[Any]]:
    """What tells the files of an encoder from others."""
    return [[path.name, *fingerprint(path)] for path in sorted(folder.glob("*.*"))]


def as_wordpieces(tokenizer: Any, texts: Iterable[str], rows: TokenRows, max_length: int) -> TokenRows:
    """The texts of a corpus as the encoder's tokens, with the same labels.

    Args:
        tokenizer: Of `transformers`.
        texts: In the order of the rows.
        rows: Their tokens and labels in the corpus.
        max_length: Tokens after which a text is cut.
    """
    pieces: list[npt.NDArray[np.uint32]] = []
    counts: list[int] = []
    read = word_piece_reader(tokenizer, max_length)
    for some in _batched(texts, _TOKENIZED_TOGETHER):
        found = read(some)
        counts += map(len, found)
        pieces.append(np.concatenate([np.asarray(ids, dtype=np.uint32) for ids in found]))
    numbers = np.arange(len(rows))
    batch = RowBatch(
        np.concatenate(pieces),
        np.concatenate([[0], np.cumsum(counts)]),
        rows.labels(numbers)[1],
        np.concatenate([[0], np.cumsum(rows.label_counts(numbers))]),
    )
    return TokenRows([batch])


def word_piece_reader(tokenizer: Any, max_length: int) -> Callable[[list[str]], list[list[int]]]:
    """What gives the ids of texts, without the masks that cost as much where a tokenizer is fast.

    Args:
        tokenizer: Of `transformers`.
        max_length: Tokens after which a text is cut.
    """
    if not getattr(tokenizer, "is_fast", False):
        return lambda some: tokenizer(some, truncation=True, max_length=max_length)["input_ids"]
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length)
    backend.no_padding()
    return lambda some: [encoding.ids for encoding in backend.encode_batch_fast(some)]


def asking_by_length(
    rows: TokenRows, columns: int, answer: Callable[[Tensor], npt.NDArray[np.floating]], device: torch.device
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]]:
    """What `write_wanted_rows` asks: rows (n, columns) for the texts of these numbers (n,).

    Args:
        rows: The texts as an encoder's tokens.
        columns: Numbers in a row.
        answer: Ids (batch, time) of texts of nearly the same length to their rows (batch, columns).
        device: Where the ids are to be.
    """

    @torch.no_grad()
    def ask(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        order = np.argsort(rows.lengths(numbers), kind="stable")
        found = np.zeros((len(numbers), columns), dtype=np.float32)
        together = _ASKED_TOGETHER if device.type == "cpu" else _ASKED_TOGETHER_GPU
        for start in range(0, len(order), together):
            some = order[start : start + together]
            found[some] = answer(torch.from_numpy(rows.token_ids(numbers[some])).to(device))
        return found

    return ask


def probabilities(
    trained: Trained[Teacher], rows: TokenRows, nb_classes: int, device: torch.device
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]]:
    """What `write_wanted_rows` asks: probabilities (n, C) of the texts of these numbers (n,).

    Args:
        trained: The teacher.
        rows: The texts as its tokens.
        nb_classes: Number of emojis C.
        device: Where it is.
    """
    is_bfloat16 = bool(trained.settings.bfloat16)

    def answer(ids: Tensor) -> npt.NDArray[np.floating]:
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16):
            logits = trained.model(ids)
        found: npt.NDArray[np.floating] = torch.softmax(logits.float(), dim=1).cpu().numpy()
        return found

    return asking_by_length(rows, nb_classes, answer, device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train, write."""
    parser = make_parser(__doc__)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("encoder", type=Path, metavar="ENCODER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--passes", type=float, default=1.0, metavar="N", help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=3e-4, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive, default=256, metavar="N", help="default: %(default)s")
    parser.add_argument("--max-length", type=positive, default=64, metavar="N", help="default: %(default)s")
    parser.add_argument("--top-k", type=positive, metavar="N", help="of the emojis (default: all)")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="default: %(default)s")
    of_run = Settings()
    parser.add_argument(
        "--target-passes",
        type=float,
        default=1.0,
        metavar="N",
        help="see above (default: all texts)",
    )
    parser.add_argument("--target-batch-size", type=positive, default=of_run.batch_size, metavar="N")
    parser.add_argument("--target-seed", type=int, default=of_run.seed, metavar="N")
    run_alone(parser, arguments, make_targets)


def make_targets(options: Any, processes: Processes) -> None:
    """Train, score and write, by the options of the command line."""
    from transformers import AutoTokenizer

    settings = Settings(
        passes=options.passes,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        max_length=options.max_length,
        average=AVERAGE,
        seed=options.seed,
    )
    corpus = Corpus.load(options.corpus)
    order = DataOrder(corpus.rows("train"), options.target_batch_size, options.target_seed)
    is_wanted = order.seen(options.target_passes)
    tokenizer = AutoTokenizer.from_pretrained(options.encoder, local_files_only=True)
    rows = {
        split: as_wordpieces(
            tokenizer, shard_texts(corpus.shard_paths(split)), corpus.rows(split), options.max_length
        )
        for split in ("train", "validation")
    }

    def make() -> Teacher:
        return Teacher(load_encoder(options.encoder), len(corpus.classes))

    trained = train_model(
        make, corpus, options.out, settings, rows, processes=processes, progress=sys.stderr.isatty()
    )
    device = processes.device
    with torch.autocast(device.type, torch.bfloat16, enabled=bool(trained.settings.bfloat16)):
        scores = score_emojis(trained.model, rows["validation"], len(corpus.classes), processes=processes)
    logger.info("first guess %.1f%%, first five %.1f%%", 100 * scores.first, 100 * scores.first_five)
    atomic_write_text(options.out / "scores.json", json.dumps(scores.summary(), indent=1) + "\n")
    about = {
        "corpus": fingerprint(options.corpus / MANIFEST_NAME, content=True),
        "training": fingerprint(options.out / CHECKPOINT_NAME),
        "--top-k": options.top_k,
    }
    nb_classes = len(corpus.classes)
    ask = probabilities(trained, rows["train"], nb_classes, device)

    def kept(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        return highest(ask(numbers), options.top_k)

    write_wanted_rows(options.out / "targets.npy", kept, is_wanted, nb_classes, about, True, device.type)


def _batched(texts: Iterable[str], size: int) -> Iterable[list[str]]:
    iterator = iter(texts)
    while some := list(islice(iterator, size)):
        yield some


if __name__ == "__main__":
    main()
