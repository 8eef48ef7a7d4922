"""The 64 emojis that DeepMoji predicts, in the order of its output classes.

Source: the output layer of the original weights (Felbo et al., 2017). Variation selectors are not part of
the entries: "❤" is U+2764 alone.
"""

EMOJIS: tuple[str, ...] = tuple(
    "😂 😒 😩 😭 😍 😔 👌 😊 ❤ 😏 😁 🎶 😳 💯 😴 😌 "
    "☺ 🙌 💕 😑 😅 🙏 😕 😘 ♥ 😐 💁 😞 🙈 😫 ✌ 😎 "
    "😡 👍 😢 😪 😋 😤 ✋ 😷 👏 👀 🔫 😣 😈 😓 💔 ♡ "
    "🎧 🙊 😉 💀 😖 😄 😜 😠 🙅 💪 👊 💜 💖 💙 😬 ✨".split()
)
"""Class index -> emoji; `EMOJIS[0]` is 😂."""
