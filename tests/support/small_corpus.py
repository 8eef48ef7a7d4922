"""Small corpora: texts whose words decide their emojis, and what is built of them."""

from pathlib import Path

import numpy as np

from torchmoji.corpus.build import CorpusSettings, build_corpus
from torchmoji.corpus.settings import Rules
from torchmoji.corpus.shards import Corpus

EMOJIS = ("😂", "😭", "❤", "😡")
CUES = ("funny", "sad", "love", "angry")
FILLERS = tuple("the a my your day night song game work home food rain sun train book".split())


def texts(count, seed=0):
    """Texts with one or two emojis; the cues of these emojis are in the text, no two texts are alike."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        classes = random.choice(len(EMOJIS), size=1 + (number % 5 == 0), replace=False)
        words = [*random.choice(FILLERS, 4 + number % 9), *(CUES[index] for index in classes)]
        words.append(f"w{int(random.integers(0, 40))}x{'abcdefgh'[number % 8]}")
        random.shuffle(words)
        found.append(" ".join([*words, *(EMOJIS[index] for index in classes)]))
    return found


def write_texts(path, lines):
    """Write texts, one a line, and give the path."""
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Path(path)


def rules(**changes):
    """Rules for the four emojis."""
    return Rules(**{"emojis": EMOJIS, **changes})


def small_corpus(folder, count=120, validation=0.2, seed=0, **settings):
    """Build a corpus in this process."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = write_texts(folder / "texts.txt", texts(count, seed))
    own = CorpusSettings(**{"rules": rules(keep_near_duplicates=True), "validation": validation, **settings})
    build_corpus(path, folder / "corpus", own, workers=1)
    return Corpus.load(folder / "corpus")


def files_of(folder):
    """The bytes of every file in a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
