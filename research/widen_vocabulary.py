"""Let a trained model read more: hashtags of the words that it knows, and its own emojis.

MODEL is a model's folder or "default", CORPUS of `torchmoji build-corpus --keep-text` with the model's
emojis. OUT receives the model, in int8. Nothing that the model knew is changed, but for the rarest words, one
for each emoji, whose places the emojis take.

A hashtag gets the number of its word: "#fear" is read like "fear". The emojis were taken out of all the texts
that the model learned from; what they say is learned now from texts with several of them. One is left in the
text, and the model, which stays as it is, has to guess the text's emojis, that one among them.

Examples:
    widen_vocabulary.py runs/default corpus/ runs/wider
    widen_vocabulary.py runs/default corpus/ runs/wider --hashtags 40000 --steps 0
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from changed_models import make_changing_parser, open_model, read_texts, write_model
from default_model import HASHTAGS
from research_helper import run_alone
from torch.func import functional_call
from torch.nn import functional as F

from torchmoji.cli.arguments import not_negative
from torchmoji.corpus.shards import Corpus, TokenRows
from torchmoji.create_vocab import with_hashtags, words_by_id
from torchmoji.global_variables import SPECIAL_TOKENS, UNKNOWN_ID
from torchmoji.model_def import TorchMoji
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pretraining.card import scores_row, scores_table
from torchmoji.pretraining.distributed import Processes
from torchmoji.pretraining.scores import Scores, score_emojis
from torchmoji.word_generator import every_word

STEPS = 100
BATCH_SIZE = 256
LEARNING_RATE = 0.02
MAX_LENGTH = 50
MOST_REPEATS = 3
"""An emoji stands in a text one to so many times."""
HEADING = "## Hashtags and emojis"
_SCORED_BATCHES = 8
_TELL_EVERY = 20

logger = logging.getLogger(__name__)


def with_emojis(vocabulary: Mapping[str, int], emojis: Sequence[str]) -> tuple[dict[str, int], list[int]]:
    """A vocabulary that has emojis in the places of the rarest words.

    Args:
        vocabulary: Word -> id, frequent words first.
        emojis: Those that are one word to the tokenizer and not there yet are taken in.

    Returns:
        The vocabulary, and for each emoji its id, or -1 where it is several words.
    """
    generator = every_word()
    words = words_by_id(vocabulary)
    read = [generator.get_words(emoji) for emoji in emojis]
    single = [found[0] if len(found) == 1 else None for found in read]
    new = [word for word in dict.fromkeys(single) if word is not None and word not in vocabulary]
    kept = set(single) | set(SPECIAL_TOKENS)
    free = [word for word in reversed(words) if word not in kept][: len(new)]
    places = {word: vocabulary[rare] for word, rare in zip(new, free, strict=True)}
    freed = set(places.values())
    wider = {word: index for word, index in vocabulary.items() if index not in freed} | places
    return wider, [-1 if word is None else wider[word] for word in single]


def with_several(rows: TokenRows, emoji_ids: Sequence[int]) -> npt.NDArray[np.int64]:
    """Numbers of the texts with several emojis, of which one is a word at least.

    Args:
        rows: Texts with their classes.
        emoji_ids: The word of each class, or -1.
    """
    several = np.flatnonzero(rows.label_counts(np.arange(len(rows))) > 1)
    owners, classes = rows.labels(several)
    words = np.bincount(owners, np.array(emoji_ids)[classes] >= 0, minlength=len(several))
    found: npt.NDArray[np.int64] = several[words > 0]
    return found


def emoji_batches(
    rows: TokenRows, emoji_ids: Sequence[int], generator: np.random.Generator, others: bool = False
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Texts with one of their emojis at the end, and one that is to be guessed, without end.

    Args:
        rows: Texts with their classes.
        emoji_ids: The word of each class, or -1.
        generator: Chooses texts and emojis.
        others: Never ask for the emoji that is shown; otherwise all emojis of a text are asked for alike.

    Yields:
        Token ids (`BATCH_SIZE`, time), and the classes that are shown and wanted (`BATCH_SIZE`,).

    Raises:
        ValueError: No text has two emojis of which one is a word.
    """
    several, is_word = with_several(rows, emoji_ids), np.array(emoji_ids) >= 0
    if not len(several):
        raise ValueError("no text of the corpus has several emojis: emojis cannot be learned, use --steps 0")
    while True:
        chosen = generator.choice(several, BATCH_SIZE)
        owners, classes = rows.labels(chosen)
        order = np.lexsort((generator.random(len(owners)), ~is_word[classes], owners))
        first = np.searchsorted(owners, np.arange(BATCH_SIZE))
        numbers = np.bincount(owners, minlength=BATCH_SIZE)
        shown = classes[order][first]
        wanted = classes[order][first + generator.integers(int(others), numbers)]
        texts = rows.token_ids(chosen, MAX_LENGTH - MOST_REPEATS)
        ids = np.pad(texts, ((0, 0), (0, MOST_REPEATS)))
        lengths = (texts != 0).sum(1)
        repeats = generator.integers(1, MOST_REPEATS + 1, BATCH_SIZE)
        for number in range(MOST_REPEATS):
            taken = np.flatnonzero(repeats > number)
            ids[taken, lengths[taken] + number] = np.array(emoji_ids)[shown[taken]]
        yield ids, shown, wanted


def learn_emojis(model: TorchMoji, rows: TokenRows, emoji_ids: Sequence[int], steps: int, seed: int) -> None:
    """Learn the embeddings of emojis, in place; all other weights stay.

    Args:
        model: With logits as output.
        rows: Texts with their classes.
        emoji_ids: The word of each class, or -1.
        steps: Of Adam.
        seed: Of the choice of texts.

    Raises:
        ValueError: No text has several emojis.
    """
    places = torch.tensor(sorted({index for index in emoji_ids if index >= 0}))
    base = model.embed.weight.detach().clone()
    learned = base[UNKNOWN_ID].repeat(len(places), 1).requires_grad_()
    optimizer = torch.optim.Adam([learned], lr=LEARNING_RATE)
    batches = emoji_batches(rows, emoji_ids, np.random.default_rng(seed))
    device, losses = base.device, []
    for step, (ids, _, classes) in enumerate(islice(batches, steps)):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        weight = base.index_copy(0, places.to(device), learned)
        logits = functional_call(model, {"embed.weight": weight}, (torch.from_numpy(ids).to(device),))
        loss = F.cross_entropy(logits.float(), torch.from_numpy(classes).to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % _TELL_EVERY == 0 or step + 1 == steps:
            logger.info("emojis, step %d of %d: loss %.4f", step + 1, steps, np.mean(losses))
            losses.clear()
    with torch.no_grad():
        model.embed.weight.copy_(base.index_copy(0, places.to(device), learned.detach()))


def losses_with_emojis(
    model: TorchMoji, rows: TokenRows, emoji_ids: Sequence[int], seed: int
) -> tuple[float, float]:
    """Cross-entropy of another emoji of a text than the one that is shown, among all but that one, in nats.

    Args:
        model: With logits as output.
        rows: Texts that nothing was learned from.
        emoji_ids: The word of each class, or -1.
        seed: Of the choice of texts.

    Returns:
        Where the model does not see the emoji that is shown, and where it does.
    """
    totals: dict[bool, list[float]] = {False: [], True: []}
    words = np.array([index for index in emoji_ids if index >= 0])
    for ids, shown, classes in islice(
        emoji_batches(rows, emoji_ids, np.random.default_rng(seed), others=True), 8
    ):
        for is_shown in totals:
            read = ids if is_shown else np.where(np.isin(ids, words), 0, ids)
            with torch.no_grad():
                logits = model(torch.from_numpy(read).to(model.embed.weight.device)).float().cpu()
            logits[np.arange(len(shown)), shown] = -torch.inf
            totals[is_shown].append(F.cross_entropy(logits, torch.from_numpy(classes)).item())
    return float(np.mean(totals[False])), float(np.mean(totals[True]))


def section(
    added: Mapping[str, int], scores: Mapping[str, Scores], losses: tuple[float, float] | None
) -> str:
    """What the card says of the change.

    Args:
        added: How many words of each kind.
        scores: Of the validation texts, before and after.
        losses: See `losses_with_emojis`.
    """
    kinds = " and ".join(f"{number} {kind}" for kind, number in added.items() if number)
    told = [f"Added after training: {kinds or 'no words'}."]
    if added.get("hashtags"):
        told.append(
            "A hashtag has the embedding of its word, before which it stands in `vocabulary.json`, as do the "
            "small letters of special tokens."
        )
    if added.get("emojis"):
        told.append(
            "Emojis, which training took out of all texts, have embeddings from texts with several emojis, "
            "of which one is left in the text; they have the places of the rarest words."
        )
    told.append("This left all other weights as they were.")
    parts = [HEADING, " ".join(told)]
    if scores:
        parts.append(scores_table([scores_row(*entry) for entry in scores.items()]))
    if losses:
        unseen, seen = losses
        parts.append(
            "In validation texts with several emojis, one stands in the text, and another one is to be told "
            f"from all but that one, with a cross-entropy of {seen:.2f} nats, and of {unseen:.2f} "
            "where none stands in the text."
        )
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, widen, write."""
    parser = make_changing_parser(__doc__)
    parser.add_argument(
        "--hashtags", type=not_negative, default=HASHTAGS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--steps",
        type=not_negative,
        default=STEPS,
        metavar="N",
        help="for the emojis; 0 for none (default: %(default)s)",
    )
    run_alone(parser, arguments, widen)


def widen(options: Any, processes: Processes) -> None:
    """Read, learn and write, by the options of the command line."""
    corpus = Corpus.load(options.corpus)
    given = open_model(options.model, corpus, options.out, processes.device)
    old, emojis, model = given.vocabulary, given.classes, given.model
    scores: dict[str, Scores] = {}
    has_validation = len(corpus.rows("validation")) > 0
    if has_validation:
        scores["before"] = score_emojis(model, read_texts(corpus, "validation", old), len(emojis))
    vocabulary, emoji_ids = with_emojis(old, emojis) if options.steps else (old, [])
    vocabulary = with_hashtags(vocabulary, options.hashtags)
    held_out = read_texts(corpus, "validation", vocabulary) if has_validation else None
    losses = None
    if options.steps:
        several = read_texts(corpus, "train", vocabulary, least_emojis=2)
        learn_emojis(model, several, emoji_ids, options.steps, options.seed)
        if held_out is not None and len(with_several(held_out, emoji_ids)):
            losses = losses_with_emojis(model, held_out, emoji_ids, options.seed)
    added = {
        "hashtags": sum(word[0] == "#" and word not in old for word in vocabulary),
        "emojis": len({index for index in emoji_ids if index >= 0}),
    }

    def told(stored: TorchMoji, _: MojiPipeline) -> tuple[str, Scores | None]:
        if held_out is not None:
            scores["after"] = score_emojis(stored, held_out, len(emojis))
        return section(added, scores, losses), scores.get("after")

    write_model(given, options.out, vocabulary, "before words were added", told)
    logger.info("%s: %s", options.out, added)


if __name__ == "__main__":
    main()
