"""Time the model against torch.nn.LSTM of the same size, texts a second, and write a table.

The peer is the same model, embedding, attention and output layer included, with torch.nn.LSTM (a plain
sigmoid, so another function) in the two layers, fed with the same batches, sorted by length; its best of
packed and padded input counts. All engines take turns in one run, and medians count. TEXTS has one text a
line, gzipped or not; the weights are random, in the original's sizes. The column "of the limit" compares with
the texts a second that bare float32 matrix products would allow, at the rate measured in the same run for a
product of 4096 x 1024 x 2048.

With --workers, `MojiPipeline.encode` is timed in place of that, with the default model: all texts of the file
in this process and in so many workers, which have to start and to load the model first.

Examples:
    encode.py texts.txt.gz --vocabulary vocabulary.json
    encode.py texts.txt.gz --vocabulary vocabulary.json --texts 512 --repeats 7 --output encode.md
    encode.py texts.txt.gz --workers 1 2 --repeats 3
"""

import argparse
import copy
import gzip
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.report import write_report
from torchmoji import MojiPipeline
from torchmoji.batching import batches_by_length
from torchmoji.cli.arguments import positive
from torchmoji.create_vocab import load_vocabulary, rows_of_embedding
from torchmoji.global_variables import VOCAB_PATH
from torchmoji.model_def import TorchMoji
from torchmoji.onnx import OnnxModel, export
from torchmoji.runtime import products
from torchmoji.runtime.machine import processor, versions
from torchmoji.sentence_tokenizer import SentenceTokenizer

MFLOP_A_TOKEN = 18.9
Batches = list[npt.NDArray[np.int64]]
Engine = Callable[[npt.NDArray[np.int64]], Any]


class Peer(nn.Module):
    """The model with torch.nn.LSTM, on sorted batches padded on the right."""

    def __init__(self, model: TorchMoji, is_packed: bool) -> None:
        super().__init__()
        self.model, self.is_packed = model, is_packed
        sizes = ((model.embedding_dim, model.lstm_0), (2 * model.hidden_size, model.lstm_1))
        self.lstms = nn.ModuleList(
            nn.LSTM(size, model.hidden_size, batch_first=True, bidirectional=True) for size, _ in sizes
        )
        for lstm, (_, ours) in zip(self.lstms, sizes, strict=True):
            lstm.load_state_dict(ours.state_dict())
        self.eval()

    @torch.no_grad()
    def forward(self, ids: npt.NDArray[np.int64]) -> torch.Tensor:
        """Probabilities."""
        tokens = torch.from_numpy(ids)
        lengths = (tokens != 0).sum(1)
        x = torch.tanh(self.model.embed(tokens))
        outputs = [x]
        for lstm in self.lstms:
            given = outputs[-1]
            if self.is_packed:
                packed, _ = lstm(pack_padded_sequence(given, lengths, batch_first=True))
                output, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
            else:
                output, _ = lstm(given)
            outputs.append(output)
        features, _ = self.model.attention_layer(torch.cat(outputs[::-1], dim=2), lengths)
        return self.model.output_layer(features)


def command_line() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("texts_file", type=Path, metavar="TEXTS", help="one text a line")
    parser.add_argument("--vocabulary", default=VOCAB_PATH, metavar="PATH")
    parser.add_argument("--texts", type=int, default=1024, metavar="N", help="default: %(default)s")
    parser.add_argument("--min-tokens", type=int, default=1, metavar="N", help="leave out shorter texts")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 32, 256], metavar="N")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--workers", nargs="+", type=positive, metavar="N", help="time workers instead")
    parser.add_argument("--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
    return parser


def read_texts(path: Path) -> list[str]:
    """The different texts."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(dict.fromkeys(content.decode("utf-8").splitlines()))


def read_ids(path: Path, vocabulary: dict[str, int], count: int, min_tokens: int) -> npt.NDArray[np.int64]:
    """Token ids (count, 60) of the first different texts."""
    ids, _, _ = SentenceTokenizer(vocabulary, 60).tokenize_sentences(read_texts(path)[: 4 * count])
    return ids[(ids != 0).sum(1) >= min_tokens][:count].astype(np.int64)


def sorted_batches(ids: npt.NDArray[np.int64], size: int) -> Batches:
    """The texts in batches of one size, alike in length; batches of one text are an evenly spaced quarter."""
    lengths = (ids != 0).sum(1)
    batches = batches_by_length(lengths, size, 1 << 30)
    return [ids[rows, : lengths[rows[0]]] for rows in (batches[::4] if size == 1 else batches)]


def speeds(engines: dict[str, Engine], batches: Batches, repeats: int) -> dict[str, float]:
    """Texts a second of each engine, the median of runs in turn."""
    texts = sum(len(batch) for batch in batches)
    measured: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(repeats + 1):
        for name, engine in engines.items():
            started = time.perf_counter()
            for batch in batches:
                engine(batch)
            if number:  # the first is for warming up
                measured[name].append(texts / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in measured.items()}


@torch.no_grad()
def product_rates(repeats: int) -> list[tuple[str, float, float]]:
    """GFLOP/s: shape, torch's default BLAS, what `products` chooses."""
    rows = []
    for n, k, m in ((4096, 1024, 2048), (256, 512, 2048), (32, 512, 2048), (1, 512, 2048)):
        x, weight = torch.randn(n, k), torch.randn(m, k) * 0.02
        loops = min(500, max(1, int(4e9 / (2 * n * k * m))))
        times: list[list[float]] = [[], []]
        choices = (partial(nn.functional.linear, x, weight), partial(products.linear, x, weight))
        for _ in range(repeats + 1):
            for taken, product in zip(times, choices, strict=True):
                started = time.perf_counter()
                for _ in range(loops):
                    product()
                taken.append((time.perf_counter() - started) / loops)
        default, chosen = (2e-9 * n * k * m / statistics.median(values[1:]) for values in times)
        rows.append((f"{n} x {k} x {m}", default, chosen))
    return rows


def make_engines(model: TorchMoji, size: int, folder: Path) -> dict[str, Engine]:
    """Everything that is timed at a batch size."""
    half = copy.deepcopy(model).to(torch.bfloat16)

    def autocast(ids: npt.NDArray[np.int64]) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(ids)

    engines: dict[str, Engine] = {
        "nn.LSTM, packed": Peer(model, True),
        "nn.LSTM, padded": Peer(model, False),
        "torchMoji, float32": model,
        "torchMoji, bfloat16": half,
        "torchMoji, autocast to bfloat16": autocast,
    }
    for name, quantize in (("float32", None), ("int8", "int8")):
        path = folder / f"{name}.onnx"
        if not path.exists():
            export(model, path, quantize)
        engines[f"ONNX, {name}"] = OnnxModel(path, max_rows=size, max_tokens=1 << 30)
    return engines


def time_workers(path: Path, workers: Sequence[int], repeats: int) -> str:
    """The table of pipelines, texts a second in this process and in workers."""
    texts = read_texts(path)
    numbers = (None, *workers)
    header = ["engine", "this process", *(f"{number} worker{'s'[: number - 1]}" for number in workers)]
    lines = [f"{len(texts)} texts.", "", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for options in ({}, {"precision": "int8"}, {"backend": "torch"}):
        pipeline = MojiPipeline.from_pretrained(**options)
        measured: dict[int | None, list[float]] = {number: [] for number in numbers}
        for _ in range(repeats):
            for number in numbers:
                started = time.perf_counter()
                count = sum(1 for _ in pipeline.encode(iter(texts), workers=number))
                measured[number].append(count / (time.perf_counter() - started))
        medians = (statistics.median(values) for values in measured.values())
        lines.append(f"| {' | '.join([pipeline.engine.name, *(f'{value:.0f}' for value in medians)])} |")
    about = f"{processor()}; {versions('torch', 'numpy', 'onnxruntime', 'torchmoji')}."
    return "\n".join([*lines, "", about, ""])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the tables."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = command_line().parse_args(argv)
    if arguments.workers:
        report = time_workers(arguments.texts_file, arguments.workers, arguments.repeats)
        write_report(report, arguments.output)
        return
    torch.manual_seed(0)
    vocabulary = load_vocabulary(arguments.vocabulary)
    ids = read_ids(arguments.texts_file, vocabulary, arguments.texts, arguments.min_tokens)
    model = TorchMoji(nb_classes=64, nb_tokens=rows_of_embedding(vocabulary)).eval()
    tokens = float((ids != 0).sum(1).mean())
    rates = product_rates(arguments.repeats)
    limit = max(rates[0][1:]) * 1e3 / (MFLOP_A_TOKEN * tokens)  # texts a second
    lines = [
        f"{len(ids)} texts of {tokens:.1f} tokens on average; matrix products alone would allow "
        f"{limit:.0f} texts a second in float32.",
        "",
        "| batch | engine | texts a second | of nn.LSTM | of the limit |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.batch_sizes:
            engines = make_engines(model, size, Path(folder))
            measured = speeds(engines, sorted_batches(ids, size), arguments.repeats)
            peer = max(value for name, value in measured.items() if name.startswith("nn.LSTM"))
            for name, value in measured.items():
                lines.append(f"| {size} | {name} | {value:.0f} | {value / peer:.2f} | {value / limit:.2f} |")
    lines += ["", "| product | default BLAS, GFLOP/s | chosen |", "|---|---|---|"]
    lines += [f"| {shape} | {a:.0f} | {b:.0f} |" for shape, a, b in rates]
    lines += [
        "",
        f"{processor()}, {torch.get_num_threads()} threads; {versions('torch', 'numpy', 'onnxruntime')}.",
    ]
    report = "\n".join(lines) + "\n"
    write_report(report, arguments.output)


if __name__ == "__main__":
    main()
