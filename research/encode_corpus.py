"""Write a sentence encoder's embeddings of a corpus, which a model learns beside the emojis.

CORPUS is of `torchmoji build-corpus --keep-text`. ENCODER is a folder that `transformers` reads: a BERT-like
model with its tokenizer, such as all-MiniLM-L6-v2, whose embedding of a text is the mean of its tokens. OUT
is the file for `torchmoji pretrain --embedding-targets`. With --passes below 1 only those texts are encoded
that a run of pretraining sees with the same --passes, --batch-size and --seed, without --balanced-sampling.
With --words the words of the vocabulary are encoded instead, for `--word-vectors`. With --resume an
interrupted run goes on where it was. It needs `pip install transformers` beside torchmoji.

Examples:
    encode_corpus.py corpus/ all-MiniLM-L6-v2/ embeddings.npy
    encode_corpus.py corpus/ all-MiniLM-L6-v2/ words.npy --words
    torchmoji pretrain corpus/ --out model/ --embedding-targets embeddings.npy --word-vectors words.npy
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from research_helper import run_alone
from torch import Tensor
from train_teacher import as_wordpieces, asking_by_length, encoder_files, load_encoder, mean_of_tokens
from wanted_rows import write_wanted_rows

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.corpus.shards import MANIFEST_NAME, Corpus, TokenRows, in_memory, shard_texts
from torchmoji.create_vocab import words_by_id
from torchmoji.files.resumable import fingerprint
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.distributed import Processes
from torchmoji.pretraining.loss import of_length_1
from torchmoji.pretraining.pretraining import Settings


def encoding(
    encoder: Any, rows: TokenRows, device: torch.device
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]]:
    """What `write_wanted_rows` asks: embeddings (n, D) of length 1 of the texts of these numbers (n,).

    Args:
        encoder: Of `transformers`, in evaluation mode.
        rows: The texts as its tokens.
        device: Where the encoder is.

    Raises:
        ValueError: The encoder gives something else than finite numbers.
    """
    size = encoder.config.hidden_size

    def answer(ids: Tensor) -> npt.NDArray[np.floating]:
        found = mean_of_tokens(encoder, ids).float().cpu().numpy()
        given: npt.NDArray[np.floating] = of_length_1(found, (len(ids), size))
        return given

    return asking_by_length(rows, size, answer, device)


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
    parser.add_argument("--resume", action="store_true", help="go on with half of OUT")
    run_alone(parser, arguments, encode)


def encode(options: Any, processes: Processes) -> None:
    """Encode and write, by the options of the command line."""
    from transformers import AutoTokenizer

    if options.out.suffix != ".npy":
        raise ValueError(f"{options.out} must end with .npy: it is a NumPy array")
    corpus, device = Corpus.load(options.corpus), processes.device
    own, texts = corpus.rows("train"), shard_texts(corpus.shard_paths("train"))
    if options.words:
        words = words_by_id(corpus.vocabulary)
        own = TokenRows([in_memory([[index] for index in range(len(words))], [[0]] * len(words))])
        texts = iter(words)
        is_wanted = np.arange(len(own)) >= len(SPECIAL_TOKENS)
    else:
        is_wanted = DataOrder(own, options.batch_size, options.seed).seen(options.passes)
    tokenizer = AutoTokenizer.from_pretrained(options.encoder, local_files_only=True)
    encoder = load_encoder(options.encoder).eval().to(device)
    rows = as_wordpieces(tokenizer, texts, own, options.max_length)
    about = {
        "corpus": fingerprint(options.corpus / MANIFEST_NAME, content=True),
        "encoder": encoder_files(options.encoder),
        "--words": options.words,
        "--max-length": options.max_length,
    }
    size = encoder.config.hidden_size
    ask = encoding(encoder, rows, device)
    write_wanted_rows(options.out, ask, is_wanted, size, about, options.resume, device.type)


if __name__ == "__main__":
    main()
