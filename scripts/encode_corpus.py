"""Write a sentence encoder's embeddings of a corpus, which a model learns beside the emojis.

CORPUS is of `torchmoji build-corpus --keep-text`. ENCODER is a folder that `transformers` reads: a BERT-like
model with its tokenizer, such as all-MiniLM-L6-v2, whose embedding of a text is the mean of its tokens. OUT
is the file for `torchmoji pretrain --embedding-targets`. With --passes below 1 only those texts are encoded
that a run of pretraining sees with the same --passes, --batch-size and --seed. With --words the words of the
vocabulary are encoded instead, for `--word-vectors`. It needs
`pip install transformers` beside torchmoji.

Examples:
    encode_corpus.py corpus/ all-MiniLM-L6-v2/ embeddings.npy
    encode_corpus.py corpus/ all-MiniLM-L6-v2/ words.npy --words
    torchmoji pretrain corpus/ --out model/ --embedding-targets embeddings.npy --word-vectors words.npy
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from train_teacher import as_wordpieces, load_encoder, mean_of_tokens

from torchmoji.arguments import make_parser, positive
from torchmoji.corpus_folder import Corpus
from torchmoji.data_order import DataOrder
from torchmoji.embedding_targets import save_embedding_targets
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.pretraining import Settings
from torchmoji.processes import joined_processes
from torchmoji.shards import TokenRows, in_memory, shard_texts

_ENCODED_TOGETHER = 64
"""Texts, of nearly the same length: more is slower on a CPU, whose caches they leave."""
_TELL_EVERY = 50_000

logger = logging.getLogger(__name__)


def embeddings(
    encoder: torch.nn.Module, rows: TokenRows, wanted: npt.NDArray[np.int64], device: torch.device
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.floating]]]:
    """Encode texts, a few at a time: their numbers (n,) and embeddings (n, D), float32.

    Args:
        encoder: Of `transformers`, in evaluation mode.
        rows: The texts as its tokens.
        wanted: Numbers of texts.
        device: Where the encoder is.
    """
    ordered = wanted[np.argsort(rows.lengths(wanted), kind="stable")]
    for start in range(0, len(ordered), _ENCODED_TOGETHER):
        some = ordered[start : start + _ENCODED_TOGETHER]
        with torch.inference_mode():
            found = mean_of_tokens(encoder, torch.from_numpy(rows.token_ids(some)).to(device))
        yield some, found.float().cpu().numpy()
        if start % _TELL_EVERY >= _TELL_EVERY - _ENCODED_TOGETHER:
            logger.info("%d of %d texts", start + len(some), len(ordered))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, encode, write."""
    defaults = Settings()
    parser = make_parser(__doc__)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("encoder", type=Path, metavar="ENCODER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--words", action="store_true", help="encode the words of the vocabulary")
    parser.add_argument("--passes", type=float, default=1.0, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--batch-size", type=positive, default=defaults.batch_size, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, metavar="N", help="default: %(default)s")
    parser.add_argument("--max-length", type=positive, default=64, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", metavar="NAME", help="such as cuda (default: cuda where it is there)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        with joined_processes(options.device) as processes:
            if processes.count > 1:
                raise ValueError(f"{processes.count} processes: start it without torchrun")
            encode(options, processes.device)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def encode(options: Any, device: torch.device) -> None:
    """Encode and write, by the options of the command line."""
    from transformers import AutoTokenizer

    if not options.passes > 0:
        raise ValueError(f"--passes must be above 0, got {options.passes:g}")
    corpus = Corpus.load(options.corpus)
    tokenizer = AutoTokenizer.from_pretrained(options.encoder, local_files_only=True)
    encoder = load_encoder(options.encoder).eval().to(device)
    own, texts = corpus.rows("train"), shard_texts(corpus.shard_paths("train"))
    if options.words:
        words = sorted(corpus.vocabulary, key=corpus.vocabulary.__getitem__)
        own = TokenRows([in_memory([[index] for index in range(len(words))], [[0]] * len(words))])
        texts = iter(words)
    rows = as_wordpieces(tokenizer, texts, own, options.max_length)
    wanted = np.arange(len(SPECIAL_TOKENS) if options.words else 0, len(own))
    if options.passes < 1 and not options.words:
        order = DataOrder(own, options.batch_size, options.seed)
        steps = max(1, round(order.steps_a_pass * options.passes))
        wanted = np.concatenate(list(islice(order.batches(), steps)))
    shape = (len(own), encoder.config.hidden_size)
    save_embedding_targets(options.out, shape, embeddings(encoder, rows, wanted, device))
    logger.info("%s: embeddings of %d of %d", options.out, len(wanted), len(own))


if __name__ == "__main__":
    main()
