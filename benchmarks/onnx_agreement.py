"""Measure how far the ONNX engine and bfloat16 are from torch in float32 on real texts, and write a table.

TEXTS has lines of classes, tab, text, as the default model's training and validation files have; the classes
are not used. Errors are the differences from torch in float32 on the same token ids: of the features, of the
probabilities, and of the guesses that follow from them. "Alone" are the results of one text a call: with int8
the texts of a batch share the scales of activations. The file sizes are those of exported files.

Examples:
    onnx_agreement.py valid.tsv.gz
    onnx_agreement.py valid.tsv.gz --weights pytorch_model.bin --vocabulary vocabulary.json --output table.md
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
import torch

import torchmoji
from benchmarks.report import write_report
from torchmoji.cli.arguments import make_parser, positive
from torchmoji.corpus.reading import read_corpus_texts
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH
from torchmoji.model_def import torchmoji_emojis, torchmoji_feature_encoding
from torchmoji.onnx import OnnxModel, serialize
from torchmoji.runtime.machine import processor, versions
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights import load_state_dict

Array = npt.NDArray[Any]
Model = Callable[[Array], Array]
PRECISIONS = {"float32": None, "int8": "int8"}


class Errors(NamedTuple):
    """Differences from torch: of features, of probabilities, and shares of texts with the same guesses.

    `first_alone` is not of torch: it compares texts in company with the same texts on their own.
    """

    megabytes: float
    feature_max: float
    feature_mean: float
    probability_max: float
    probability_mean: float
    first: float
    first_five: float
    first_five_in_order: float
    first_alone: float


def command_line() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("texts_file", type=Path, metavar="TEXTS", help="lines of classes, tab, text")
    parser.add_argument("--weights", metavar="PATH", help="default: the installed model")
    parser.add_argument("--vocabulary", metavar="PATH", help="default: that of the installed model")
    parser.add_argument("--texts", type=positive, metavar="N", help="the first N (default: all)")
    parser.add_argument(
        "--length", type=positive, default=30, metavar="N", help="tokens (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
    return parser


def compare(
    megabytes: float, features: tuple[Array, Array], probabilities: tuple[Array, Array], alone: Array
) -> Errors:
    """Errors of pairs of results, torch's second; `alone` are the first probabilities, text by text."""
    feature_errors = np.abs(features[0] - features[1])
    errors = np.abs(probabilities[0] - probabilities[1])
    best, expected = (np.argsort(-values, axis=1, kind="stable")[:, :5] for values in probabilities)
    return Errors(
        megabytes,
        float(feature_errors.max()),
        float(feature_errors.mean()),
        float(errors.max()),
        float(errors.mean()),
        float((best[:, 0] == expected[:, 0]).mean()),
        float((np.sort(best) == np.sort(expected)).all(axis=1).mean()),
        float((best == expected).all(axis=1).mean()),
        float((best[:, 0] == alone.argmax(axis=1)).mean()),
    )


def measure(weights: str, ids: Array) -> dict[str, Errors]:
    """Errors of each precision."""
    features, probabilities = torchmoji_feature_encoding(weights)(ids), torchmoji_emojis(weights)(ids)
    found = {}

    def add(name: str, megabytes: float, encode: Model, guess: Model) -> None:
        alone = np.concatenate([guess(row[np.newaxis]) for row in ids])
        found[name] = compare(megabytes, (encode(ids), features), (guess(ids), probabilities), alone)

    for name, quantize in PRECISIONS.items():
        data = serialize(weights, quantize)
        add(f"ONNX {name}", len(data) / 1e6, OnnxModel(data, "features"), OnnxModel(data, "probabilities"))
    half = [load(weights).to(torch.bfloat16) for load in (torchmoji_feature_encoding, torchmoji_emojis)]
    size = sum(tensor.numel() for tensor in load_state_dict(weights).values()) * 2 / 1e6
    add("torch bfloat16", size, *half)
    return found


def table(found: dict[str, Errors]) -> str:
    """Markdown: a column for each precision."""
    shares = ("first", "first_five", "first_five_in_order", "first_alone")
    names = {
        "megabytes": "weights, MB",
        "feature_max": "features, largest error",
        "feature_mean": "features, mean error",
        "probability_max": "probabilities, largest error",
        "probability_mean": "probabilities, mean error",
        "first": "same first guess",
        "first_five": "same first five",
        "first_five_in_order": "same first five in the same order",
        "first_alone": "same first guess alone and in company",
    }
    lines = [f"| | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for field, name in names.items():
        form = ".2%" if field in shares else ".1f" if field == "megabytes" else ".1e"
        cells = [format(getattr(errors, field), form) for errors in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = command_line().parse_args(argv)
    texts, _ = read_corpus_texts(arguments.texts_file, len(EMOJIS))
    texts = texts[: arguments.texts]
    vocabulary = load_vocabulary(arguments.vocabulary or VOCAB_PATH)
    ids, _, _ = SentenceTokenizer(vocabulary, arguments.length).tokenize_sentences(texts)
    found = measure(arguments.weights or str(PRETRAINED_PATH), ids)
    report = (
        f"{table(found)}\n{len(ids)} texts.\n\n"
        f"    python benchmarks/onnx_agreement.py {shlex.join(argv)}\n\n"
        f"{processor()}; {versions('torch', 'onnx', 'onnxruntime', 'numpy')}, "
        f"torchmoji {torchmoji.__version__}.\n"
    )
    write_report(report, arguments.output)


if __name__ == "__main__":
    main()
