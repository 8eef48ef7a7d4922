"""A model for German with 20 emojis of its own, by the command line alone, then in ONNX and on the page."""

import json
import random

import pytest
from support.requests import fetch
from support.snippets import REPOSITORY, blocks

from torchmoji import MojiPipeline
from torchmoji.cli.main import main
from torchmoji.server import served

pytestmark = pytest.mark.nightly  # the page itself is run by test_docs.py

PAGE = REPOSITORY / "docs" / "languages.md"
UNSEEN = {
    "Das schmeckt köstlich, sagt Oma": "😋",
    "Montag im Büro: so müde": "😴",
    "was für ein Tor, gestern in Köln!": "⚽",
    "Frohe Weihnachten euch und den Kindern": "🎄",
    "der Hund wedelt zu Hause": "🐶",
    "Das macht mich wütend. Schule eben": "😡",
    "danke für alles, mit euch heute": "🙏",
    "ohne Espresso geht nichts nach der Pause": "☕",
}
"""Sentences of which no training text has the words in that order."""


@pytest.fixture(scope="module")
def emojis():
    (listed,) = [block.text for block in blocks(PAGE.read_text("utf-8")) if block.title == "emojis.txt"]
    return listed.split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, emojis):
    """With `modell`, trained on texts put together from the tutorial's phrases in another order."""
    folder = tmp_path_factory.mktemp("german")
    names = {}
    first = next(block for block in blocks(PAGE.read_text("utf-8")) if block.language == "python")
    exec(first.text.split("random.seed")[0], names)
    generator = random.Random(2)
    with open(folder / "texte.txt", "w", encoding="utf-8") as file:
        for _ in range(1500):
            emoji = generator.choice(emojis)
            parts = [generator.choice(names["times"]), generator.choice(names["moods"][emoji])]
            generator.shuffle(parts)
            file.write(f"{' '.join(parts)} {generator.choice(names['places'])} {emoji}\n")
    (folder / "emojis.txt").write_text("\n".join(emojis), encoding="utf-8")
    corpus, model = str(folder / "korpus"), str(folder / "modell")
    build = ["--emojis", str(folder / "emojis.txt"), "--validation", "0.1", "--workers", "1", "--quiet"]
    assert main(["build-corpus", str(folder / "texte.txt"), "--out", corpus, *build]) == 0
    sizes = ["--embedding-dim", "24", "--hidden-size", "16", "--batch-size", "32"]
    training = ["--passes", "8", "--learning-rate", "0.015", "--float32", "--int8", "--quiet"]
    assert main(["pretrain", corpus, "--out", model, *sizes, *training]) == 0
    return folder


@pytest.fixture(scope="module")
def onnx(folder):
    path = str(folder / "modell.onnx")
    assert main(["export", "--model", str(folder / "modell"), "--out", path]) == 0
    return path


def first_guesses(capsys, *options):
    assert main(["emojize", *UNSEEN, "--top-k", "1", "--json", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line)["emoji_1"] for line in lines]


def test_the_model_guesses_its_own_emojis_in_sentences_it_has_not_seen(folder, capsys):
    capsys.readouterr()
    assert first_guesses(capsys, "--model", str(folder / "modell")) == list(UNSEEN.values())


def test_classes_are_those_that_were_named_in_their_order(folder, emojis):
    assert len(emojis) == 20
    assert list(MojiPipeline.from_pretrained(folder / "modell").classes) == emojis


def test_an_onnx_file_alone_has_the_classes_and_says_the_same(folder, onnx, emojis, capsys, tmp_path):
    alone = tmp_path / "alone.onnx"
    alone.write_bytes((folder / "modell.onnx").read_bytes())
    capsys.readouterr()
    assert main(["info", "--weights", str(alone), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == emojis
    assert first_guesses(capsys, "--weights", str(alone)) == list(UNSEEN.values())


def test_the_demo_page_serves_them(folder, emojis):
    pipeline = MojiPipeline.from_pretrained(folder / "modell")
    with served(pipeline) as address:
        status, _, text = fetch(f"{address}emojize", {"inputs": "so lecker", "top_k": 20})
    assert status == 200
    found = json.loads(text)["emojis"]
    assert sorted(score["emoji"] for score in found) == sorted(emojis)
    assert found[0]["emoji"] == "😋"
