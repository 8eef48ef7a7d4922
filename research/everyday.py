"""Score models on everyday sentences: is the first guess, or one of three, one that a reader accepts?

The sentences, with the emojis that fit, are in everyday.jsonl; emoticons, and neutral sentences that they
stand after, in emoticons.json. They were written by people who had not seen those for training, and no model
learns them. judged.jsonl has what three readers said of emojis behind the same sentences, without knowing
where these came from: the first guesses of two models, and one at random. "emojis" are those that at least
two of them found natural. The result is Markdown, a row for each kind of sentence.

Examples:
    everyday.py
    everyday.py default runs/default
    everyday.py default --balance 0.4 --failures
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
from sentences import Sentence, fitting, read_emoticons, read_sentences

from torchmoji import MojiPipeline
from torchmoji.cli.arguments import make_parser


def hits(pipeline: MojiPipeline, sentences: Sequence[Sentence]) -> npt.NDArray[np.bool_]:
    """Whether the first guess fits each sentence, and whether one of the first three does: (n, 2)."""
    probabilities = pipeline.predict_proba([sentence.text for sentence in sentences])
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :3]
    fits = np.take_along_axis(fitting(sentences, pipeline.classes).numpy(), best, axis=1) > 0
    return np.stack([fits[:, 0], fits.any(axis=1)], axis=1)


def report(pipelines: Mapping[str, MojiPipeline]) -> str:
    """Markdown: a table of the everyday sentences, one of the emoticons, and what readers said."""
    listed = read_sentences("everyday.jsonl"), read_emoticons()
    return "\n\n".join([*(table(pipelines, sentences) for sentences in listed), judged(pipelines)])


def judged(pipelines: Mapping[str, MojiPipeline]) -> str:
    """Markdown: for each kind the share of first guesses, and of emojis at random, that readers accepted."""
    path = Path(__file__).with_name("judged.jsonl")
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [entry["text"] for entry in entries]
    guesses = {"an emoji at random": [entry["random"] for entry in entries]}
    guesses |= {
        name: [best.emoji for (best,) in model.predict(texts, 1)] for name, model in pipelines.items()
    }
    accepted, names = [], []
    for name, emojis in guesses.items():
        pairs = list(zip(emojis, entries, strict=True))
        accepted.append([emoji in entry["emojis"].split() for emoji, entry in pairs])
        unknown = sum(emoji not in f"{entry['emojis']} {entry['refused']}".split() for emoji, entry in pairs)
        names.append(f"{name} ({unknown} not judged)" if unknown else name)
    return _by_kind([entry["kind"] for entry in entries], names, np.array(accepted).T)


def table(pipelines: Mapping[str, MojiPipeline], sentences: Sequence[Sentence]) -> str:
    """Markdown: for each kind the share of both, for each model."""
    found = [hits(pipeline, sentences) for pipeline in pipelines.values()]
    heads = [head for name in pipelines for head in (f"{name}: first guess", "one of three")]
    return _by_kind([sentence.kind for sentence in sentences], heads, np.concatenate(found, axis=1))


def _by_kind(kinds: Sequence[str], heads: Sequence[str], found: npt.NDArray[np.bool_]) -> str:
    """Markdown: a row for each kind of sentence, the share of each column of `found` (n, columns)."""
    lines = [f"| {' | '.join(['kind', 'sentences', *heads])} |", "|---" * (2 + len(heads)) + "|"]
    for kind in [*dict.fromkeys(kinds), "all"]:
        rows = [number for number, other in enumerate(kinds) if kind in (other, "all")]
        cells = [f"{share:.2f}" for share in found[rows].mean(axis=0)]
        lines.append(f"| {' | '.join([kind, str(len(rows)), *cells])} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, score, print."""
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="*", default=["default"], metavar="MODEL", help="default: default")
    parser.add_argument("--balance", type=float, default=0.0, metavar="B", help="as in `torchmoji emojize`")
    parser.add_argument("--failures", action="store_true", help="show the sentences whose first guess fails")
    options = parser.parse_args(arguments)
    try:
        pipelines = {
            name: MojiPipeline.from_pretrained(name, balance=options.balance) for name in options.models
        }
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(report(pipelines))
    if options.failures:
        sentences = [*read_sentences("everyday.jsonl"), *read_emoticons()]
        for name, pipeline in pipelines.items():
            failed = [sentences[row] for row in np.flatnonzero(~hits(pipeline, sentences)[:, 0])]
            print(f"\n{name} fails on:\n")
            for sentence, (score,) in zip(failed, pipeline.predict([s.text for s in failed], 1), strict=True):
                print(f"- {score.emoji} {sentence.text}")


if __name__ == "__main__":
    main()
