r"""Emoticons: the emojis that mean the same, and how to spell them so that models know them.

An emoticon is found where no word goes on: `:/` is none in `http://`, and `xD` none in `fixdate`. Source: our
own table; the emojis are among DeepMoji's 64.
"""

import re
from collections.abc import Iterator

from torchmoji.emojis import fold_emojis
from torchmoji.tokenizer import tokenize

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
_ANY = re.compile(
    _BEFORE + "(?:" + "|".join(f"({found})" for *_, found in EMOTICONS) + ")" + _BEHIND, re.IGNORECASE
)


def find_emoticons(text: str) -> Iterator[tuple[int, "re.Match[str]"]]:
    """The emoticons of a text, in order, each with its row in `EMOTICONS`."""
    for match in _ANY.finditer(text):
        stands_alone = match.start() == 0 or text[match.start() - 1].isspace()
        if stands_alone or not _STANDS_ALONE.search(match[0]):
            yield (match.lastindex or 1) - 1, match


# --- how models know them -----------------------------------------------------------------------------------

_MAY_FOLD = re.compile(
    r"[:;=](?!//)[^\w\s]|[()]-?[:;=]|[:=][o0]|<[/\\]|[-^tuqox;0][._-]+[-^tuqod;0]", re.IGNORECASE
)
"""Quick to search for, and in few texts."""
_RARE = re.compile(r"[,’]|<[/\\]{2}|</3{2}|//")
"""In emoticons that the tokenizer keeps whole, though hardly a vocabulary has them."""
_LEFT_AS_THEY_ARE = (*"^_^ >_< >.< ;_; ;-;".split(), *":0 :-0 =0 =-0".split())
"""Known in pieces, and what may be a number."""
_USUAL = [
    next((one.lower() for one in spellings.split() if len(tokenize(one)) == 1), None)
    for _, spellings, _ in EMOTICONS
]


def folded_emoticons(text: str) -> list[tuple[int, int, str]]:
    """Where a text has emoticons in unusual spellings, from and to, and the usual one of each."""
    if not _MAY_FOLD.search(text):
        return []
    folded = []
    for row, match in find_emoticons(text):
        usual, word = _USUAL[row], match[0].lower()
        is_whole = len(tokenize(word)) == 1 and not _RARE.search(word)
        before = text[max(0, match.start() - 20) : match.start()].rpartition(" ")[2]
        is_index = "[" in before  # a[1:]
        if usual and not (is_whole or is_index or word in _LEFT_AS_THEY_ARE):
            folded.append((*match.span(), usual))
    return folded


def fold_signs(text: str) -> str:
    """A text with plain spellings of emojis (`fold_emojis`) and emoticons, as `MojiPipeline` reads it.

    The tokenizer of 2017 cuts `:[`, `(-:` or `-.-` into punctuation marks, which say nothing; they become
    `:(`, `:)` and `-_-`. Emoticons that it keeps whole, such as `:-)`, stay.
    """
    text, pieces, done = fold_emojis(text), list[str](), 0
    for start, end, usual in folded_emoticons(text):
        pieces += [text[done:start], usual]
        done = end
    return "".join([*pieces, text[done:]])
