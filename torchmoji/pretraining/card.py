"""The model card of a pretrained model: data, training, scores, limits, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torchmoji.pretraining.scores import Scores
from torchmoji.pretraining.settings import Settings
from torchmoji.runtime.machine import processor, versions

_SHOWN_CLASSES = 10
_REASONS = {
    "no_emoji": "without an emoji",
    "retweet": "retweets",
    "link": "with a link",
    "mention": "with a mention",
    "few_words": "with too few words",
    "language": "in other languages",
    "duplicate": "duplicates",
    "near_duplicate": "near duplicates",
}
"""Rule -> what is said of the texts that it left out."""

LIMITS = """- Common emojis are guessed too often and rare ones too seldom, where training did nothing about
  it: see the averaged scores, and `balance` of `MojiPipeline.from_pretrained`.
- Texts carry the tone and the prejudices of those who wrote them. Guesses repeat them.
- Single words can outweigh the sense of a sentence; irony and negation are often missed.
- It must not be used to judge persons: not for hiring, policing, medical or credit decisions, nor to
  state as a fact what somebody feels. A guess says which emoji people put next to such words, no more."""


@dataclass(frozen=True)
class Report:
    """What a card tells of a run."""

    manifest: Mapping[str, Any]  # of the corpus
    settings: Settings
    nb_tokens: int
    steps: int
    seconds: float
    device: str  # its name
    processes: int
    scores: Mapping[str, Scores]  # on the validation texts, those of the stored model first; may be empty
    is_int8: bool  # matrices are stored as int8
    command: str
    notes: str  # more Markdown

    @property
    def classes(self) -> list[str]:
        """The emojis."""
        return list(self.manifest["classes"])


def row(name: str, shares: Sequence[float]) -> str:
    """A line of the table of scores: first guess, first five, both averaged over the emojis."""
    return " | ".join([f"| {name}", *(f"{share:.2%}" for share in shares)]) + " |"


def scores_row(name: str, scores: Scores) -> str:
    """A line of the table of scores."""
    return row(name, (scores.first, scores.first_five, scores.average_first, scores.average_first_five))


def files_section(report: Report) -> str:
    """What each file is."""
    int8 = "matrices as int8 with a float32 scale for each row, the rest float32"
    return f"""## Files

- `model.safetensors`: {int8 if report.is_int8 else "float32"}.
- `vocabulary.json`: word -> id, one word for each row of the embedding. The ten special tokens come first,
  then words by frequency.
- `vocabulary.spellings.json`, if there are any: other spellings, such as hashtags, with their words' ids.
- `config.json`: sizes, and the emojis in the order of the classes, with their frequencies."""


def data_section(report: Report, about: str = "") -> str:
    """Where the texts came from, and what was left out."""
    counts, splits = report.manifest["counts"], report.manifest["splits"]
    inputs = report.manifest["inputs"]
    named = ", ".join(f"`{entry['name']}`" for entry in inputs[:10])
    more = f" and {len(inputs) - 10} more" if len(inputs) > 10 else ""
    reasons = [
        f"{number} {_REASONS.get(reason, reason)}" for reason, number in counts["dropped"].items() if number
    ]
    dropped = ", ".join(reasons) or "none"
    hashtags = ""
    if shared := report.manifest["settings"].get("hashtags", 0):
        hashtags = f"\nWords share their embeddings with their hashtags, the {shared} commonest at most."
    return f"""## Data

{splits["train"]["rows"]} texts for training, {splits["validation"]["rows"]} for validation, which training
never saw. They come from {counts["texts"]} texts of {named}{more}. Left out: {dropped}.{hashtags}

{about}""".rstrip()


def training_section(report: Report) -> str:
    """How the model was made."""
    settings = report.settings
    changed = [
        f"{entry.name}={getattr(settings, entry.name)!r}"
        for entry in fields(settings)
        if getattr(settings, entry.name) != entry.default and entry.name != "bfloat16"
    ]
    products = "bfloat16" if settings.bfloat16 else "float32"
    together = f", {report.processes} processes" if report.processes > 1 else ""
    return f"""## Training

    {report.command or "torchmoji.pretraining.pretraining.pretrain"}

{settings.passes:g} passes, {report.steps} steps of {settings.batch_size} texts, Adam with a peak learning
rate of {settings.learning_rate:g}. A text with k emojis counts as k samples. Settings other than the
defaults: {", ".join(changed) or "none"}. Products in {products}. It took {report.seconds / 60:.0f} minutes on
{report.device} ({processor()}{together}; {versions("torch", "numpy")})."""


def scores_section(report: Report, further_rows: Sequence[str] = ()) -> str:
    """The table of scores, and the emojis that are guessed well and badly."""
    if not report.scores:
        return "## Scores\n\nNo texts were held out: build the corpus with `--validation 0.02` for scores."
    stored = next(iter(report.scores.values()))
    rows = [scores_row(name, scores) for name, scores in report.scores.items()]
    return f"""## Scores

On {stored.texts} validation texts. {scores_table(rows + list(further_rows))}

{classes_part(report.classes, stored)}"""


def scores_table(rows: Sequence[str]) -> str:
    """What the scores mean, and a table of lines of `row` or `scores_row`."""
    lines = "\n".join(rows)
    return f"""A guess is right where it is one of the text's emojis: "first guess" is top-1 accuracy, "first
five" top-5. "Averaged" is the macro average, the mean over the emojis of the share of an emoji's texts for
which it is guessed.

| | first guess | first five | first guess, averaged | first five, averaged |
|---|---|---|---|---|
{lines}"""


def classes_part(classes: Sequence[str], scores: Scores) -> str:
    """The emojis that are guessed best and worst, and a table of all."""
    shares = [(share, index) for index, share in enumerate(scores.class_first_five) if scores.counts[index]]
    ranked = [index for _, index in sorted(shares, key=lambda pair: (-pair[0], pair[1]))]
    by_class = [
        f"| {classes[index]} | {scores.counts[index]} | {scores.class_first[index]:.1%} "
        f"| {scores.class_first_five[index]:.1%} |"
        for index in ranked
    ]
    best = " ".join(classes[index] for index in ranked[:_SHOWN_CLASSES])
    worst = " ".join(classes[index] for index in ranked[-_SHOWN_CLASSES:][::-1])
    return f"""Most often found among the first five guesses: {best}

Least often: {worst}

<details><summary>Each emoji</summary>

| emoji | texts | first guess | first five |
|---|---|---|---|
{chr(10).join(by_class)}

</details>"""


def model_card(report: Report) -> str:
    """The whole card."""
    settings = report.settings
    features = 4 * settings.hidden_size + settings.embedding_dim
    sections = [
        f"""# A torchMoji model for {len(report.classes)} emojis

{" ".join(report.classes)}

A DeepMoji model (bi-LSTM with hard-sigmoid gates and attention) that guesses which of these emojis a short
text was written with: {report.nb_tokens} words, embeddings of {settings.embedding_dim}, LSTMs of
{settings.hidden_size}, {features} features. `torchmoji emojize "..." --model FOLDER` uses it, as does
`MojiPipeline.from_pretrained`.""",
        files_section(report),
        data_section(report),
        training_section(report),
        scores_section(report),
        report.notes.strip(),
        f"## Limits\n\n{LIMITS}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
