"""Sentences of our own with the emojis that a reader would accept, for `teach_sentences.py`.

They say what texts with emojis seldom say in so many words, or what their writers' emojis hide: a love that
is lost, "the shit" that is good and the shit that is not, a compliment that is none. None of DeepMoji's
examples and of the `torchmoji.judged_texts` is among them, and none shares five words in a row with one;
kinds of these are, for who wrote this knew them.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

_SAD = "💔 😢 😭 😔 😞"
_GREAT = "🙌 😍 👌 💯 😎 👏"
_ANGRY = "😡 😤 😒 😑 😠"
_IRONIC = "😒 😑 😏 😔 😐 😤"
_LOVE = "❤ 😍 😘 💕 ♥ 😊"
_GLAD = "😊 😁 🙌 😄 👏 😍"
_TIRED = "😴 😩 😫 😪 😭"
_FUNNY = "😂 💀 😅 😭 😜"
_PROUD = "💪 🙌 💯 👏 😎 👊"
_AFRAID = "😳 😬 😩 😭 😖 🙈"
_SICK = "😷 😩 😫 😭 😖"
_MUSIC = "🎶 😍 🎧 🙌 ❤"
_FOOD = "😋 😍 👌 🙌 ❤"
_NAUGHTY = "😈 😏 😜 😉 😂"


class OwnSentence(NamedTuple):
    """A sentence and what fits it."""

    text: str
    accepted: tuple[str, ...]


def _all(accepted: str, *parts: str | Sequence[str]) -> list[OwnSentence]:
    """Every way to choose one of each part, as sentences."""
    choices = [[part] if isinstance(part, str) else part for part in parts]
    return [OwnSentence(" ".join(chosen), tuple(accepted.split())) for chosen in product(*choices)]


def _each(accepted: str, *texts: str) -> list[OwnSentence]:
    return _all(accepted, texts)


_HIM = ("I loved him", "I still love him", "he was the love of my life", "he said he loved me")
_HE_LEFT = (
    *("and he left", "then he died", "but he never came back", "and now he is with somebody else"),
    *("and all I have left of him is a photo", "and he won't even look at me", "but he walked away"),
)
_HER = ("I love her", "I loved her with all my heart", "she was the love of my life", "I gave her my heart")
_SHE_LEFT = (
    *("and she left me", "but she never came back", "and now she is with somebody else", "then she died"),
    *("and she won't even answer", "and she does not know I exist"),
)
_YOU = ("I loved you so much", "you were my everything", "I gave you my heart", "you said forever")
_YOU_LEFT = (
    *("but you walked away", "and you left me here", "and then you disappeared", "and you broke it"),
    *("and now you won't even look at me", "and I have to live without you"),
)
_WE = ("we loved each other", "we were so in love", "we had plans for a life together")
_WE_LOST = ("and now it is over", "and now we are strangers", "and all that is left is a photo")
_SONGS = ("this song", "her new album", "that track")
_DISHES = ("that burger", "this beer", "my grandma's soup", "this pie")
_THINGS = (
    *("my new phone", "this show", "this game", "that movie", "this party", "our team", "his car"),
    *("that place", "the weekend", "this book"),
)
_GOOD = ("is the shit", "was the shit", "is the bomb", "is dope", "is fire", "is so damn good")
_BAD = (
    "is shit",
    "was shit",
    "is total crap",
    "is garbage",
    "sucks so bad",
    "is a piece of shit",
    "is trash",
)
_ANNOYING = (
    *("how you always cancel on me", "how nobody told me", "how you only call when you need money"),
    *("when people talk behind my back", "how he ignores my texts", "being left on read", "being ignored"),
    *("how I am always the last to know", "how you forget my name"),
    *("waiting all day for nothing", "how loud the neighbours are at night", "how slow this wifi is"),
)
_NICE = (
    *(
        "how you smile",
        "how you make me laugh",
        "when you hold my hand",
        "my little brother",
        "how she sings",
    ),
    *("waking up next to you", "how kind you are", "when he calls me baby", "our little family"),
    *("dancing with you", "you and I always will", "you more every day"),
)

OWN_SENTENCES: tuple[OwnSentence, ...] = (
    *_all(_SAD, _HIM, _HE_LEFT),
    *_all(_SAD, _HER, _SHE_LEFT),
    *_all(_SAD, _YOU, _YOU_LEFT),
    *_all(_SAD, _WE, _WE_LOST),
    *_each(
        _SAD,
        *("gone without a goodbye", "he is gone and he is not coming back", "she's gone forever"),
        *("everyone I love is gone", "you left and took everything", "why did you have to go"),
        *("the house is so empty without you", "one day you were here, the next day you weren't"),
        *("I wake up and you're not there", "rest easy grandpa, I miss you every day"),
        *("I lost my best friend last night", "he's really gone..", "nobody came to my party"),
        *("I cried all the way home", "they did not even invite me", "another weekend alone"),
        *("I still set the table for two", "mom is back in the hospital", "we buried him this morning"),
        *("I failed again", "she deleted my number", "he forgot our anniversary", "I feel like shit"),
        *("I have nobody to call", "his toys are still in the garden", "I did not get the job"),
        *("you promised you would stay", "they put the house up for sale", "I am not happy here"),
    ),
    *_all(f"{_GREAT} 🎶", _SONGS, (*_GOOD, "slaps")),
    *_all(f"{_GREAT} 😋", _DISHES, (*_GOOD, "slaps")),
    *_all(_GREAT, _THINGS, _GOOD),
    *_each(
        f"{_GREAT} 😏",
        *("you are the shit", "we are the shit", "she's the shit", "damn, I am the shit"),
        *("that's the shit I'm talking about", "now this right here is the shit"),
        *("I feel like the shit today", "these shoes are the shit", "you guys are sick, best show ever"),
    ),
    *_all(f"{_ANGRY} 😩", (*_SONGS, *_DISHES, *_THINGS), _BAD),
    *_each(
        f"{_ANGRY} 😩",
        *("you are shit", "this place is shit", "what a shit day", "everything is shit today"),
        *("this is crap", "this is such garbage", "that was shit"),
    ),
    *_all(
        f"{_IRONIC} 😡",
        ("I love", "I just love", "gotta love", "don't you just love", "so nice", "great,"),
        _ANNOYING,
    ),
    *_each(
        f"{_IRONIC} 😡 😩",
        *("great, it is raining again", "oh perfect, the train is cancelled", "wow, thanks for nothing"),
        *("nice, another bill", "wonderful, my flight is delayed again", "oh good, more homework"),
        *("thank you so much for waking me up at five", "yay, they raised the rent again"),
        *("just what I needed, a flat tyre", "of course it broke on the first day", "yeah sure, blame me"),
        *("lovely, they lost my suitcase", "what a great friend you are, not", "oh look, he is sorry again"),
        *("because who needs sleep anyway", "how sweet, he lied to me"),
    ),
    *_all(_LOVE, ("I love", "I just love", "I really love"), _NICE),
    *_each(
        _LOVE,
        *("you are the best thing that ever happened to me", "my wife left me a note in my lunch box"),
        *("grandpa still brings her flowers", "you are my home", "nobody makes me laugh like you"),
        *("he asked me to be his girlfriend", "our baby smiled at me", "my daughter drew me a card"),
        "I would choose you again",
    ),
    *_each(
        _GLAD,
        *("I got the job", "we won", "the test came back clean", "I passed my driving test"),
        *("he is finally home", "best day of my life", "we are having a baby", "finally friday"),
        *("tomorrow is my birthday", "I did not expect to win", "the sun is out and so am I"),
    ),
    *_each(
        _ANGRY,
        *("who took my lunch again", "someone scratched my car", "do not lie to me", "stop calling me"),
        *("you broke it and you don't even care", "the landlord kept my deposit", "you had one job"),
        *("my neighbour is drilling at six in the morning", "I am so done with them"),
        *("they cancelled my order and kept the money", "he lied to my face"),
    ),
    *_each(
        _TIRED,
        *("I need a nap", "no sleep again", "so sleepy in this class", "night shift again"),
        *("I have been awake for thirty hours", "my bed is calling me", "falling asleep at my desk"),
    ),
    *_each(
        _FUNNY,
        *("the dog just ran into the glass door", "I laughed so hard I cried", "he fell off his chair"),
        *("I said you too to the waiter", "I pushed a door that said pull", "I can't stop laughing"),
        *("my cat is stuck in a box", "he slipped in front of the whole class", "I called my teacher mom"),
    ),
    *_each(
        _PROUD,
        *("new personal best", "no pain no gain", "I finished my thesis", "hard work pays off"),
        *("never give up", "ten kilos down", "we sold out the show", "first in the league"),
    ),
    *_each(
        _AFRAID,
        *("I heard steps in the basement", "my mom found my diary", "I sent it to the wrong person"),
        *("my first day at work and I am late", "a spider on my pillow", "the lights just went out"),
        *("I have to give a speech tomorrow", "I just called my boss honey"),
    ),
    *_each(
        _SICK,
        *("I have a temperature", "throwing up all night", "caught a cold again", "my head is killing me"),
        *("can't stop coughing", "in bed with a stomach bug"),
    ),
    *_each(
        _MUSIC,
        *("this beat is stuck in my head", "that guitar solo", "dancing in the kitchen to old songs"),
        *("her voice gives me chills", "front row at the concert"),
    ),
    *_each(
        _FOOD,
        *("fresh pancakes for breakfast", "grandma's soup is the best", "cookies for breakfast"),
        *("sushi for dinner", "so full and so happy", "that sauce is unreal"),
    ),
    *_each(
        _NAUGHTY,
        *("I love teasing you", "messing with my sister is so fun", "watch me drive him crazy"),
        *("I love playing tricks on you", "he has no idea what is coming", "I love to get on your nerves"),
    ),
    *_each("🙏 ❤ 😔", "pray for my grandma", "may she rest in peace", "I hope they find him"),
    *_each("🙏 😩 😫 😬", "please let it not rain tomorrow", "please let me pass this exam"),
    *_each(
        "😎 ✌ 👊 💯 🙌 👌",
        *("chilling with my boys", "out with the crew tonight", "road trip with my best friends"),
        *("take it easy, guys", "summer, sun, and my people"),
    ),
)
