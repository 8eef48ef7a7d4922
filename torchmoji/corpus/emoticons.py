r"""What emoticons say: the emojis that mean the same.

An emoticon is found where no word goes on: `:/` is none in `http://`, and `xD` none in `fixdate`. Source: our
own table; the emojis are among DeepMoji's 64.
"""

import hashlib
import re
from collections.abc import Sequence

from torchmoji.corpus.emoji_finder import fold

EMOTICONS = (
    ("💔", r"</3 <\3", r"<[/\\]+3+"),
    ("❤ ♥ 💕", "<3", "<3+"),
    ("😡 😠", ">:( >:-( :@", r">[:=]-?[(\[]+|[:=]-?@"),
    ("😠 😒", ">:/", r">[:=]-?[/\\|]+"),
    ("😈 😏", ">:) >:D", r">[:=;]-?[)\]d]+"),
    ("😭 😢", ":'( :'-( T_T ;_; ;-;", r"[:=]['’,]-?[(\[]+|t[._-]+t|;[._-]+;|q[._]+q"),
    ("😂 😊", ":')", r"[:=]['’,]-?[)\]d]+"),
    ("😂", "xD XD", "x-?d+"),
    ("😣 😖", "D: >_< >.<", r"(?<![\s\S])(?-i:D):|(?-i:D):(?=\s*$)|>[._]+<"),
    ("😉", ";) ;-)", r";-?[)\]d]+|\(-?;"),
    ("😜", ":P :-P ;P", "[:=;]-?p+"),
    ("😄 😁", ":D :-D =D", "[:=]-?d+"),
    ("☺ 😊", ":) :-) (: =)", r"[:=][-^o]?[)\]]+|\(+-?[:=]"),
    ("😊 😄", "^^ ^_^", r"\^[._-]?\^"),
    ("😔 😞 😢", ":( :-( ): =(", r"[:=][-^o]?[(\[]+|\)+-?[:=]"),
    ("😕 😐", r":/ :-/ :\ =/", r"(?<!\b[a-z])(?!(?<=\w)://)[:=]-?[/\\]+"),
    ("😐 😑", ":| :-|", r"[:=]-?\|+"),
    ("😑 😒", "-_- -.-", r"-_+-|-\.-"),
    ("😘", ":* :-*", r"(?<!\S)[:=;]-?\*+"),
    ("😳 👀", "o_o O_O :o :O", r"(?!0\.0)[o0][._]+[o0]|[:=]-?[o0]+"),
    ("😳 🙈", ":$", r"[:=]-?\$"),
    ("😖 😕", ":S :-S", "[:=]-?s+"),
    ("🙊", ":x :-X", "[:=]-?[x#]"),
    ("😊 ☺", ":3 =3", "[:=]-?3"),
    ("😔 😌", "u_u", "u[._]u"),
    ("😎", "8-) B-)", r"[8b]-\)+"),
)
"""Emojis that mean the same, emoticons as people write them, and an expression for these and their kin."""

_BEFORE = r"(?<![\"#-+\-/:->@\[-^`{-~])"
_BEHIND = r"(?=$|[\s.,!?…]|[^\x00-\x7f])"
_STANDS_ALONE = re.compile(r"^(?!<).*[^\W_]|^[()]")  # behind no word: xD, 8), (:


class EmoticonFinder:
    """Finds emoticons that say what one of some emojis says, takes them out, and chooses some to put in.

    Args:
        emojis: The classes, in order. An emoticon none of whose emojis is among them stays in the text.
    """

    def __init__(self, emojis: Sequence[str]) -> None:
        classes = {fold(name): number for number, name in enumerate(emojis)}
        self._meanings = [
            [classes[name] for name in meaning.split() if name in classes] for meaning, _, _ in EMOTICONS
        ]
        self._emoticon = re.compile(
            _BEFORE + "(?:" + "|".join(f"({found})" for *_, found in EMOTICONS) + ")" + _BEHIND, re.IGNORECASE
        )
        self._emojis = tuple(emojis)
        self._spellings: dict[int, list[str]] = {}
        for numbers, (_, spellings, _) in zip(self._meanings, EMOTICONS, strict=True):
            for number in numbers:
                self._spellings.setdefault(number, []).extend(spellings.split())

    def take_out(self, text: str) -> tuple[list[int], str]:
        """The classes of a text's emoticons, sorted, and the text with blanks in their place."""
        classes: set[int] = set()
        pieces, end = [], 0
        for match in self._emoticon.finditer(text):
            meaning = self._meanings[(match.lastindex or 1) - 1]
            stands_alone = match.start() == 0 or text[match.start() - 1].isspace()
            if meaning and (stands_alone or not _STANDS_ALONE.search(match[0])):
                classes.update(meaning)
                pieces.append(text[end : match.start()])
                end = match.end()
        return sorted(classes), " ".join([*pieces, text[end:]])

    def mark_for(self, text: str, classes: Sequence[int], share: float) -> str:
        """One of a text's emojis, as emoji or as emoticon, if the text is one of the chosen, else nothing.

        Args:
            text: It alone decides whether it is chosen, and by what.
            classes: Its emojis.
            share: So many of all texts are chosen, from 0 to 1.
        """
        if not classes or not share:
            return ""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        chance, choice = (int.from_bytes(part, "big") for part in (digest[:8], digest[8:]))
        if chance >= share * 2**64:
            return ""
        number = classes[choice % len(classes)]
        spellings = self._spellings.get(number, [])
        spelling = choice // len(classes) % (2 * len(spellings) or 1)
        return spellings[spelling] if spelling < len(spellings) else self._emojis[number]
