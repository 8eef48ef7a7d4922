"""Count the words of texts and make a vocabulary of them.

Each input file is counted on its own; the counts of all files are then brought to the same
total, so that no file outweighs another, and merged. In the folder --out there are afterwards

    counts/NAME.npz    word counts of the input file NAME
    counts.npz         the merged counts, most frequent words first
    vocabulary.json    word -> id: the special tokens, then words by frequency

Counts that are in counts/ already take part, so a vocabulary can grow file by file.

Examples:
    create_twitter_vocab.py                                    counts the texts of examples/data
    create_twitter_vocab.py --plain diary.txt blog.txt         text files, one text a line
    create_twitter_vocab.py day1.tsv day2.tsv --size 50000     tweets: the user id is the second tab-separated
                                                               field, the text the tenth
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from example_helper import DATA, LABELLED_ENDINGS, read_lines, read_texts

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.create_vocab import MasterVocab, VocabBuilder, load_vocabulary
from torchmoji.filter_input import read_english, read_non_english_users, read_wanted_emojis
from torchmoji.word_generator import TweetWordGenerator, WordGenerator


def word_generator(options: argparse.Namespace) -> WordGenerator:
    """Make a generator, still without a stream, for the kind of files that the options name."""
    if options.plain or not options.files:
        return WordGenerator(None)
    users = options.unwanted_users
    if users is not None and not users.is_file():
        raise FileNotFoundError(f"there is no file {users}")
    return TweetWordGenerator(
        None,
        wanted_emojis=options.wanted_emojis and read_wanted_emojis(options.wanted_emojis),
        english_words=options.english_words and read_english(options.english_words),
        non_english_user_set=users and read_non_english_users(users),
    )


def count(path: Path, generator: WordGenerator, counts_path: Path) -> str:
    """Count the words of a file, write the counts, and give a line that describes it."""
    labelled = path.suffix.lower() in LABELLED_ENDINGS
    generator.stream = read_texts(path) if labelled else read_lines(path)
    generator.reset_stats()
    builder = VocabBuilder(generator)
    builder.count_all_words()
    stats = generator.stats
    if not stats["valid"]:
        raise ValueError(
            f"{path}: none of {stats['total']} lines was taken; "
            "give --plain where the lines are texts, not tab-separated tweets"
        )
    builder.save_vocab(counts_path)
    return f"{path}: {stats['valid']} of {stats['total']} texts taken"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, count, merge, say what was found."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="default: the sets in examples/data"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="the files hold one text a line, or are .csv, .jsonl or .pickle data sets",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("vocabulary"),
        metavar="FOLDER",
        help="default: %(default)s in the current folder",
    )
    parser.add_argument(
        "--size", type=positive, default=50000, metavar="N", help="most entries (default: %(default)s)"
    )
    parser.add_argument(
        "--min-count",
        type=positive,
        default=1,
        metavar="N",
        help="leave out words that a file has less often (default: %(default)s)",
    )
    tweets = parser.add_argument_group(
        "tweets", "which tweets to take (default: all that are ASCII, emojis aside)"
    )
    tweets.add_argument(
        "--english-words", type=Path, metavar="FILE", help="mostly of these words, one a line"
    )
    tweets.add_argument("--wanted-emojis", type=Path, metavar="FILE", help="with one of these emojis, CSV")
    tweets.add_argument(
        "--unwanted-users", type=Path, metavar="FILE", help="not by these users, .npz with an array userids"
    )
    options = parser.parse_args(arguments)

    files = options.files or sorted(DATA.glob("*.csv"))
    names = [path.name for path in files]
    if len(set(names)) < len(names):
        parser.error(f"two of the files have the same name: {', '.join(sorted(names))}")
    try:
        generator = word_generator(options)
        for path in files:
            print(count(path, generator, options.out / "counts" / f"{path.name}.npz"))
        master = MasterVocab()
        master.populate_master_vocab(options.out / "counts", min_words=options.min_count)
        vocabulary_path = options.out / "vocabulary.json"
        master.save_vocab(options.out / "counts.npz", vocabulary_path, word_limit=options.size)
        vocabulary = load_vocabulary(vocabulary_path)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    words = [word for word in vocabulary if not word.startswith("CUSTOM_")]
    print(f"{vocabulary_path}: {len(vocabulary)} entries; the commonest words: {' '.join(words[:10])}")


if __name__ == "__main__":
    main()
