"""Check the original DeepMoji weights against their published answers, and say what differs.

Seven sentences with their five best emojis each, and the mean of the first five features over them, were
recorded with the original weights. Returns 0 when all is the same, 1 when something differs or the weights
cannot be used, 2 when no original weights are installed or the arguments are wrong.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torchmoji import global_variables
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EXAMPLE_TEXTS


class Answers(NamedTuple):
    """What a model says to a list of sentences.

    Attributes:
        classes: For each sentence the indices of the best classes, best first.
        features: The mean over the sentences of the first features.
    """

    classes: list[list[int]]
    features: list[float]


KNOWN = Answers(
    classes=[
        [36, 4, 8, 16, 47],
        [1, 19, 55, 25, 46],
        [31, 6, 30, 15, 13],
        [54, 44, 9, 50, 49],
        [46, 5, 27, 35, 34],
        [55, 32, 27, 1, 37],
        [48, 11, 6, 31, 9],
    ],
    features=[-0.023, 0.021, -0.037, -0.001, -0.005],
)
TOLERANCE = 0.0005 + 1e-6
"""How far a feature may be from one that is known to three decimals, single precision included."""
MAXIMUM_LENGTH = 30
"""Tokens of a sentence that are read."""


def ask(weights: Path, vocabulary: Path) -> Answers:
    """What the model in `weights` says to `EXAMPLE_TEXTS`.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is damaged, or the vocabulary has more words than the weights.
    """
    # Imported here so that --help and a missing model are answered without loading torch.
    from torchmoji.model_def import torchmoji_emojis, torchmoji_feature_encoding
    from torchmoji.sentence_tokenizer import SentenceTokenizer

    tokens, _, _ = SentenceTokenizer(load_vocabulary(vocabulary), MAXIMUM_LENGTH).tokenize_sentences(
        EXAMPLE_TEXTS
    )
    probabilities = torchmoji_emojis(weights)(tokens)  # (sentences, classes)
    features = torchmoji_feature_encoding(weights)(tokens)  # (sentences, features)
    best = (-probabilities).argsort(axis=1, kind="stable")[:, : len(KNOWN.classes[0])]
    return Answers(best.tolist(), features.mean(axis=0)[: len(KNOWN.features)].tolist())


def differences(found: Answers, known: Answers) -> list[str]:
    """One line for each sentence, and one for the features, where `found` is not what is known."""
    lines = [
        f"{sentence!r}: expected classes {right}, found {classes}"
        for sentence, right, classes in zip(EXAMPLE_TEXTS, known.classes, found.classes, strict=True)
        if classes != right
    ]
    if not all(abs(f - k) <= TOLERANCE for f, k in zip(found.features, known.features, strict=True)):
        shown = [round(feature, 4) for feature in found.features]
        lines.append(f"mean of the first features: expected {known.features}, found {shown}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs; returns the exit status (see the module's docstring)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, help="weights file (default: the installed original weights)")
    parser.add_argument("--vocabulary", type=Path, help="its vocabulary.json (default: the installed one)")
    options = parser.parse_args(arguments)
    if (options.weights is None) != (options.vocabulary is None):
        parser.error(
            "weights and vocabulary belong together: give both --weights and --vocabulary, or neither"
        )
    folder = global_variables.original_model_directory()
    if options.weights is None and not global_variables.original_weights_installed():
        print(
            f"no original weights are installed in {folder}: fetch them with "
            f"`python scripts/download_weights.py`, or name files with --weights and --vocabulary",
            file=sys.stderr,
        )
        return 2
    weights = options.weights or folder / global_variables.ORIGINAL_WEIGHTS_NAME
    vocabulary = options.vocabulary or folder / global_variables.VOCABULARY_NAME
    try:
        lines = differences(ask(weights, vocabulary), KNOWN)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    print(f"{weights}: {len(lines)} of {len(EXAMPLE_TEXTS) + 1} known answers differ")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
