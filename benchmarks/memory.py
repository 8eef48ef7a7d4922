"""Measure memory while many texts are encoded from a generator, and how long loading takes.

The texts are the lines of TEXTS again and again, each with a number, so that none is like another. Memory is
the peak of the resident set beyond that of the loaded model, on Linux.

Examples:
    memory.py texts.txt.gz --texts 100000
    memory.py texts.txt.gz --texts 100000 --engine onnx
"""

import argparse
import gzip
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torchmoji.batching import stream_rows
from torchmoji.create_vocab import load_vocabulary
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH
from torchmoji.runtime.machine import processor, versions
from torchmoji.sentence_tokenizer import SentenceTokenizer

MB = 1e6


def peak() -> float:
    """Peak of the resident set so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB


def numbered(path: Path, texts: int) -> Iterator[str]:
    """So many different texts."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    for number in count():
        for line in lines:
            if texts == 0:
                return
            texts -= 1
            yield f"{line} x{number}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("texts_file", type=Path, metavar="TEXTS", help="one text a line, gzipped")
    parser.add_argument("--texts", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--engine", choices=("torch", "onnx", "loading"), default="torch")
    options = parser.parse_args()
    tokenizer = SentenceTokenizer(load_vocabulary(VOCAB_PATH), 60)
    if options.engine == "loading":
        loading()
    else:
        if options.engine == "torch":
            from torchmoji.model_def import torchmoji_feature_encoding

            model = torchmoji_feature_encoding(PRETRAINED_PATH)
        else:
            from torchmoji.onnx import OnnxModel, serialize

            model = OnnxModel(serialize(str(PRETRAINED_PATH), "int8", output="features"))
        model(tokenizer.tokenize_sentences(["a text"])[0])
        loaded, started = peak(), time.perf_counter()
        rows = sum(1 for _ in stream_rows(numbered(options.texts_file, options.texts), tokenizer, model))
        seconds = time.perf_counter() - started
        print(
            f"{options.engine}: {rows} texts in {seconds:.0f} s; {loaded:.0f} MB loaded, "
            f"{peak() - loaded:.0f} MB more at the peak"
        )
    print(f"{processor()}; {versions('torch', 'numpy', 'onnxruntime')}.")


def loading() -> None:
    """Time loading original-size weights against reading the file, both from the page cache."""
    from torchmoji.model_def import TorchMoji, torchmoji_emojis
    from torchmoji.weights import save_state_dict

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_state_dict(TorchMoji(64, 50_000).state_dict(), path)
        times: dict[str, list[float]] = {"read": [], "load": []}
        for _ in range(9):
            for name, action in (("read", path.read_bytes), ("load", lambda: torchmoji_emojis(path))):
                started = time.perf_counter()
                action()
                times[name].append(time.perf_counter() - started)
    read, load = (statistics.median(values) for values in times.values())
    print(f"loading: {load * 1e3:.0f} ms, reading the file: {read * 1e3:.0f} ms, {load / read:.2f} times")


if __name__ == "__main__":
    main()
