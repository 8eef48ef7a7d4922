"""How a corpus is made."""

from dataclasses import dataclass, field

from torchmoji.corpus_records import Columns
from torchmoji.corpus_rules import Rules
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS


@dataclass(frozen=True)
class CorpusSettings:
    """How a corpus is made.

    Attributes:
        rules: Which texts are taken, and the emojis.
        columns: Where texts, and labels if they have any, stand in tables.
        nb_tokens: Entries of the vocabulary, special tokens included, at most.
        hashtags: So many of the commonest words give their ids to their hashtags, see
            `torchmoji.create_vocab.with_hashtags`.
        min_count: Words that occur less often do not enter it, so that the unknown word is trained.
        validation: Share of the texts that is held out, 0 to below 1, by the hash of their first ten words.
        skip_bad_lines: Count lines that are no records; else they are errors.
        keep_text: Keep the texts in the shards, beside their tokens.

    Raises:
        ValueError: A number is out of range.
    """

    rules: Rules = field(default_factory=Rules)
    columns: Columns = field(default_factory=Columns)
    nb_tokens: int = NB_TOKENS
    hashtags: int = 0
    min_count: int = 2
    validation: float = 0.0
    skip_bad_lines: bool = False
    keep_text: bool = False

    def __post_init__(self) -> None:
        if self.nb_tokens <= len(SPECIAL_TOKENS):
            raise ValueError(
                f"nb_tokens must be more than the {len(SPECIAL_TOKENS)} special tokens, got {self.nb_tokens}"
            )
        if self.hashtags < 0:
            raise ValueError(f"hashtags must be 0 or more, got {self.hashtags}")
        if self.min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {self.min_count}")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must be a share from 0 to below 1, got {self.validation}")
