"""Sentences of our own with the emojis that a reader would accept, for `teach_sentences.py`.

They say what texts with emojis seldom say in so many words, or what their writers' emojis hide: a love that
is lost, "the shit" that is good and the shit that is not, a compliment that is none. None of DeepMoji's
examples and of the `torchmoji.judged_texts` is among them, and none shares five words in a row with one.
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


_LOVED = (
    *("I loved him", "I love her", "I loved you so much", "we loved each other", "I still love him"),
    *("you were my everything", "she was the love of my life", "he said he loved me", "I gave you my heart"),
    *("we were so in love", "you said forever"),
)
_LOST = (
    *("and he left", "and now she is with somebody else", "but you walked away", "and it is over"),
    *("and you left me here", "then he died", "and now there is nobody", "but she never came back"),
    *("and then you disappeared", "and all I have left is a photo", "and now we are strangers"),
    "and now you won't even look at me",
)
_THINGS = (
    *("this song", "that burger", "my new phone", "this show", "her new album", "this game", "that movie"),
    *("my barber", "this party", "our team", "his car", "that place", "the weekend", "this beer"),
)
_ANNOYING = (
    *("how you always cancel on me", "how nobody told me", "how you only call when you need money"),
    *("when people talk behind my back", "how he ignores my texts", "being left on read", "being ignored"),
    *("how I am always the last to know", "how you forget my name", "it when you don't call back"),
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
    *_all(_SAD, _LOVED, _LOST),
    *_each(
        _SAD,
        *("gone without a goodbye", "he is gone and he is not coming back", "she's gone forever"),
        *("everyone I love is gone", "you left and took everything", "why did you have to go"),
        *("the house is so empty without you", "one day you were here, the next day you weren't"),
        *("I wake up and you're not there", "rest easy grandpa, I miss you every day"),
        *("I lost my best friend last night", "he's really gone..", "nobody came to my party"),
        *("I cried all the way home", "they did not even invite me", "another weekend alone"),
        *("I still set the table for two", "mom is back in the hospital", "we buried him this morning"),
        *(
            "I failed again",
            "she deleted my number",
            "he forgot our anniversary",
            "the test was not negative",
        ),
        *("I have nobody to call", "his toys are still in the garden", "I did not get the job"),
        *("you promised you would stay", "they put the house up for sale", "not happy at all"),
    ),
    *_all(
        f"{_GREAT} 😋 🎶",
        _THINGS,
        ("is the shit", "was the shit", "is the bomb", "is dope", "is fire", "slaps", "is so damn good"),
    ),
    *_each(
        f"{_GREAT} 😏",
        *("you are the shit", "we are the shit", "she's the shit", "damn, I am the shit"),
        *(
            "that's the shit I'm talking about",
            "now this right here is the shit",
            "I feel like the shit today",
        ),
        *("these shoes are the shit", "you guys are sick, best show ever", "he absolutely killed it"),
    ),
    *_all(
        f"{_ANGRY} 😩",
        _THINGS,
        (
            "is shit",
            "was shit",
            "is total crap",
            "is garbage",
            "sucks so bad",
            "is a piece of shit",
            "is trash",
        ),
    ),
    *_each(
        f"{_ANGRY} 😩",
        *("you are shit", "this place is shit", "what a shit day", "everything is shit today"),
        *("this is crap", "this is such garbage", "that was shit", "I feel like shit"),
    ),
    *_all(
        f"{_IRONIC} 😡",
        ("I love", "I just love", "gotta love", "don't you just love", "so nice", "great,"),
        _ANNOYING,
    ),
    *_each(
        f"{_IRONIC} 😡 😩",
        *("great, it is raining again", "oh perfect, the train is cancelled", "wow, thanks for nothing"),
        *("thanks for telling me now", "nice, another bill", "wonderful, my flight is delayed again"),
        *("oh good, more homework", "thank you so much for waking me up at five", "yay, monday morning"),
        *("just what I needed, a flat tyre", "congrats, you ruined it", "so kind of you to show up late"),
        *("of course it broke on the first day", "yeah sure, blame me", "lovely, they lost my suitcase"),
        *("sure, take the last piece, I did not want it", "what a great friend you are, not"),
        *("because who needs sleep anyway", "oh look, he is sorry again", "how sweet, he lied to me"),
    ),
    *_all(_LOVE, ("I love", "I just love", "I really love"), _NICE),
    *_each(
        _LOVE,
        *("you are the best thing that ever happened to me", "married my best friend today"),
        *("my wife left me a note in my lunch box", "grandpa still brings her flowers", "you are my home"),
        *("nobody makes me laugh like you", "he asked me to be his girlfriend", "our baby smiled at me"),
        *("my daughter drew me a card", "I would choose you again", "there is no one I would rather be with"),
    ),
    *_each(
        _GLAD,
        *("I got the job", "we won", "school is over", "the test came back clean", "she said she will come"),
        *("no work tomorrow", "I passed all my exams", "he is finally home", "best day of my life"),
        *("the doctors say I am healthy", "we are having a baby", "I could not be happier", "not bad at all"),
        *("tomorrow is my birthday", "I did not expect to win", "got a day off", "finally friday"),
    ),
    *_each(
        _ANGRY,
        *("who took my lunch again", "someone scratched my car", "they overcharged me and won't answer"),
        *("do not lie to me", "never speak to my mother like that", "he blocked my driveway"),
        *("you broke it and you don't even care", "stop calling me", "whoever did this will pay"),
        *("I will find out who stole it", "the landlord kept my deposit", "they hung up on me twice"),
        *("my neighbour is drilling at six in the morning", "you had one job", "I am so done with them"),
    ),
    *_each(
        _TIRED,
        *("it is three in the morning and I am still awake", "can't keep my eyes open", "I need a nap"),
        *("no sleep again", "up at five for the third day", "so sleepy in this class", "off to bed"),
        *("I have been awake for thirty hours", "night shift again", "my bed is calling me"),
    ),
    *_each(
        _FUNNY,
        *("the dog just ran into the glass door", "I laughed so hard I cried", "look at his face"),
        *("grandma asked the phone how it is doing", "I said you too to the waiter", "he fell off his chair"),
        *("my cat is stuck in a box and looks proud", "I pushed a door that said pull"),
        *("he slipped in front of the whole class", "I called my teacher mom", "I can't stop laughing"),
    ),
    *_each(
        _PROUD,
        *("ran my first ten miles", "gym done before sunrise", "new personal best", "no pain no gain"),
        *("we crushed it tonight", "I finished my degree", "hard work pays off", "never give up"),
        *("ten kilos down", "we sold out the show", "from nothing to this", "first in the league"),
    ),
    *_each(
        _AFRAID,
        *(
            "there is someone at the window",
            "I heard steps in the basement",
            "the plane is going up and down",
        ),
        *("the exam is in five minutes", "my mom found my diary", "I sent it to the wrong person"),
        *("he read my text out loud", "my first day at work and I am late", "a spider on my pillow"),
        *("the lights just went out", "I have to give a speech tomorrow", "I just called my boss honey"),
    ),
    *_each(
        _SICK,
        *("I have a fever", "my throat hurts so bad", "throwing up all night", "caught a cold again"),
        *("home sick with the flu", "my head is killing me", "can't stop coughing", "my nose is blocked"),
    ),
    *_each(
        _MUSIC,
        *("this beat is stuck in my head", "headphones in, volume up", "singing in the shower"),
        *("that guitar solo", "this album on repeat", "dancing in the kitchen to old songs"),
    ),
    *_each(
        _FOOD,
        *("fresh pancakes for breakfast", "third slice of pizza", "grandma's soup is the best"),
        *(
            "cookies straight from the oven",
            "these tacos are sick",
            "sushi for dinner",
            "so full and so happy",
        ),
    ),
    *_each(
        _NAUGHTY,
        *("I love teasing you", "messing with my sister is so fun", "watch me drive him crazy"),
        *("I love playing tricks on you", "he has no idea what is coming", "I love to get on your nerves"),
    ),
    *_each(
        "🙏 ❤ 😔",
        *("please let it not rain tomorrow", "keep my dad in your prayers", "pray for my grandma"),
        *("please let me pass this exam", "I hope they find him", "may she rest in peace"),
    ),
    *_each(
        "😎 ✌ 👊 💯 🙌 👌",
        *("chilling with my boys", "out with the crew tonight", "road trip with my best friends"),
        *("see you at the game, man", "take it easy, guys", "summer, sun, and my people"),
    ),
)
