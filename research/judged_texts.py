"""Sentences of our own with the emojis that a reader would accept, to show what a model does not see.

They are hard on purpose: irony, negation, idioms, words of two meanings, and what a sentence implies without
saying it. A model card lists those that a model fails on. They are no measure: for that they are too few, and
chosen.
"""

from typing import NamedTuple

_GLAD = "😊 😁 ☺ 😄 🙌 👏 👍 😌 ✨ 💕 ❤ ♥ 💖"
_LOVE = "❤ ♥ 💕 😍 😘 💖 💜 💙 ♡ ☺ 😊"
_SAD = "😭 😔 😞 💔 😢 😩 😪 😫 😓 😣"
_ANGRY = "😡 😠 😤 😒 😑 🔫"
_IRONIC = "😒 😑 😐 😏 😔 😩 😡 😤 😠 💔 😭 😞 💁 😕"
_TIRED = "😴 😪 😩 😫 😓 😭"
_FUNNY = "😂 💀 😅 😜 😄 🙈"
_PROUD = "💪 🙌 👏 💯 👊 👌 👍 😎 ✨ 😊 😁"
_AFRAID = "😳 😬 😖 😫 😩 😣 😭 🙈 😓 👀"
_SICK = "😷 😫 😩 😖 😣 😭 😞 😢"
_MUSIC = "🎶 🎧 😍 🙌 ❤ 😌"
_FOOD = "😋 😍 👌 ❤ 🙌 😊"


class JudgedText(NamedTuple):
    """A sentence and what fits it."""

    text: str
    accepted: frozenset[str]


def _judged(accepted: str, *texts: str) -> list[JudgedText]:
    return [JudgedText(text, frozenset(accepted.split())) for text in texts]


JUDGED_TEXTS: tuple[JudgedText, ...] = (
    *_judged(
        _IRONIC,
        "Great, another monday",
        "oh wow what a surprise, he is late again",
        "I just love waiting two hours for a bus",
        "thanks a lot for telling everybody my secret",
        "nice of you to remember my birthday a week later",
        "because spending christmas at the airport is exactly what I wanted",
        "sure, take my lunch, I was not hungry anyway",
        "congratulations, you broke it",
        "lovely weather for a barbecue, only the roof is gone",
        "yeah right, like that is going to happen",
    ),
    *_judged(
        _SAD,
        "he said he would call. that was in june",
        "her chair is still at the table",
        "we had to say goodbye to our old dog today",
        "I do not want to be happy without you",
        "two tickets and nobody to go with",
        "not a good day at all",
        "they picked everyone but me",
        "I thought we were friends",
    ),
    *_judged(
        _GLAD,
        "I can't complain, not a bad week at all",
        "no more exams ever again",
        "the doctor says it is nothing",
        "she said yes",
        "guess who is not working tomorrow",
        "never been this happy",
    ),
    *_judged(
        _LOVE,
        "there is nobody I would rather be stuck with",
        "grandma wrote me a letter by hand",
        "you make my heart skip",
        "married this man ten years ago today",
    ),
    *_judged(
        _ANGRY,
        "whoever stole my bike, I will find you",
        "do not talk to me that way",
        "he parked in front of our garage again",
        "they charged me twice and hung up on me",
    ),
    *_judged(
        _TIRED,
        "it is 4 am and I have to be up at six",
        "my eyes close on their own",
        "can't sleep for the third night",
        "one more page and I am off to bed",
    ),
    *_judged(
        _FUNNY,
        "my cat just fell off the sofa and pretended nothing happened",
        "grandpa asked the speaker to marry him",
        "I waved back at someone who was waving to somebody else",
        "I can't breathe, watch his face at the end",
    ),
    *_judged(
        _PROUD,
        "first marathon done",
        "up at five, gym at six, no excuses",
        "we killed it on stage tonight",
        "from zero to a degree in three years",
    ),
    *_judged(
        _AFRAID,
        "there is somebody in the attic",
        "the teacher read my message out loud to the class",
        "the plane is shaking like mad",
        "job interview in ten minutes",
    ),
    *_judged(
        _SICK, "fever and a sore throat, day three", "the flu has got me", "my nose will not stop running"
    ),
    *_judged(_MUSIC, "this bass line on repeat all day", "headphones on, world off", "singing in the car"),
    *_judged(_FOOD, "warm bread straight from the oven", "second plate of lasagne", "this burger is sick"),
    *_judged("🙏", "please let my flight be on time", "keep my brother in your thoughts"),
    *_judged("👊 ✌ 😎 👍 💯", "see you on the court, bro", "peace out"),
)
