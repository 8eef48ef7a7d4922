"""What other output layers on the shipped features say of everyday sentences, and what that costs in tweets.

A trial, not a step of the default model: all weights but those of the output layer stay. It is trained on
texts of the corpus and, weighed by W, on our sentences; then on the sentences alone, also with a hidden
layer, and, where a folder of `transformers` is given, on the embeddings of that sentence encoder.

Examples:
    output_layer.py data/emoji runs/last
    output_layer.py data/emoji runs/last --encoder all-mpnet-base-v2/
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import torch.nn.functional as F
from make_default_model import AGAIN, STUDENT, TEACHER, Recipe, parse
from sentences import fitting, read_emoticons, read_sentences
from torch import Tensor, nn

from torchmoji.corpus.shards import TokenRows, shard_texts
from torchmoji.pipeline import MojiPipeline
from torchmoji.pretraining.distributed import joined_processes

TEXTS = 120_000
WEIGHTS = 0.1, 0.3, 1.0, 3.0
ADJUSTMENT = 0.05


def labels_of(rows: TokenRows, numbers: Any, classes: int) -> Tensor:
    """One where a text has an emoji (n, C)."""
    owners, labels = rows.labels(numbers)
    table = torch.zeros(len(numbers), classes)
    table[torch.from_numpy(owners.astype(np.int64)), torch.from_numpy(labels.astype(np.int64))] = 1
    return table


def embeddings(folder: str, texts: Sequence[str]) -> Tensor:
    """Means of the tokens of a sentence encoder (n, D), normalized."""
    from transformers import AutoModel, AutoTokenizer

    read, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).float().eval()
    order, found = sorted(range(len(texts)), key=lambda row: len(texts[row])), {}
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            rows = order[start : start + 64]
            batch = read(
                [texts[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=64,
                return_tensors="pt",
            )
            mask = batch["attention_mask"].unsqueeze(2)
            means = (encoder(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            found.update(zip(rows, F.normalize(means), strict=True))
    return torch.stack([found[row] for row in range(len(texts))])


def train(layer: nn.Module, parts: Sequence[tuple[float, int, Tensor, Tensor]], steps: int) -> None:
    """Fit a layer to parts: weight, texts in a step, features, and what is to be said of them."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, steps)
    layer.train()
    for _ in range(steps):
        loss = torch.zeros(())
        for weight, count, features, wanted in parts:
            rows = torch.randint(len(features), (count,))
            said = F.log_softmax(layer(features[rows].float()), 1)
            loss = loss - weight * (wanted[rows] * said).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    layer.eval()


def main() -> None:
    """Parse the command line, train, print."""
    parser, _ = parse(["data", "default", "out"])
    arguments = sys.argv[1:]
    encoder = arguments.pop(arguments.index("--encoder") + 1) if "--encoder" in arguments else None
    arguments = [argument for argument in arguments if argument != "--encoder"]
    options = parser.parse_args([arguments[0], "default", *arguments[1:]])
    with joined_processes(None) as processes:
        recipe = Recipe(options, processes, STUDENT, TEACHER, AGAIN)
        recipe.work.mkdir(parents=True, exist_ok=True)
        corpus = recipe.corpus
    classes = len(corpus.classes)
    exact, quick = (MojiPipeline.from_pretrained("default", "onnx", precision=p) for p in (None, "int8"))
    measured, emoticons = read_sentences("everyday.jsonl"), read_emoticons()
    held_out = torch.from_numpy(exact.encode(list(shard_texts(corpus.shard_paths("validation")))))
    right = labels_of(corpus.rows("validation"), np.arange(len(held_out)), classes)
    own = torch.from_numpy(quick.encode([one.text for one in recipe.sentences]))
    texts = list(shard_texts(corpus.shard_paths("train")))
    numbers = np.random.default_rng(7).permutation(len(texts))[:TEXTS]
    tweets = torch.from_numpy(quick.encode([texts[number] for number in numbers]).astype(np.float16))
    fits = fitting(recipe.sentences, corpus.classes)
    everyday, marks = (
        torch.from_numpy(exact.encode([one.text for one in some])) for some in (measured, emoticons)
    )
    counts = torch.tensor(corpus.class_counts("train"))
    adjusted = ADJUSTMENT * torch.log(counts / counts.sum())

    def row(name: str, layer: nn.Module, features: Tensor, shift: Tensor, reads_tweets: bool = True) -> None:
        with torch.no_grad():
            cells = []
            if reads_tweets:
                best = (layer(held_out) - shift).argsort(1, descending=True)[:, :5]
                hit = torch.gather(right, 1, best)
                cells = [f"{100 * hit[:, 0].mean():.1f}%", f"{100 * (hit.sum(1) > 0).float().mean():.1f}%"]
            for some, listed in ((features, measured), (marks, emoticons))[: 2 if reads_tweets else 1]:
                best = (layer(some) - shift).argsort(1, descending=True)[:, :3]
                hit = torch.gather(fitting(listed, corpus.classes), 1, best)
                cells.append(f"{hit[:, 0].mean():.2f}")
        print("|", " | ".join([name, *cells]), "|", flush=True)

    print("| output layer | first guess | first five | everyday | emoticons |\n|---|---|---|---|---|")
    pipeline: Any = MojiPipeline.from_pretrained("default", "torch")
    shipped = pipeline.engine.model.output_layer[0]
    row("shipped", shipped, everyday, torch.zeros(()))
    mean, scale = tweets[:20_000].float().mean(0), tweets[:20_000].float().std(0) + 1e-3
    guesses = torch.softmax(shipped(own), 1).detach() * fits
    said = (guesses / guesses.sum(1, keepdim=True) + fits / fits.sum(1, keepdim=True)) / 2
    labels = labels_of(corpus.rows("train"), numbers, classes)
    labels = labels / labels.sum(1, keepdim=True)
    with torch.no_grad():
        before = torch.cat(
            [torch.softmax(shipped(part.float()) + adjusted, 1) for part in tweets.split(10_000)]
        )
    wanted = (before + labels) / 2

    class Scaled(nn.Linear):
        def forward(self, features: Tensor) -> Tensor:
            return super().forward((features - mean) / scale)

    for weight in WEIGHTS:
        layer = Scaled(len(mean), classes)
        with torch.no_grad():
            layer.weight.copy_(shipped.weight * scale)
            layer.bias.copy_(shipped.bias + adjusted + shipped.weight @ mean)
        train(layer, [(1.0, 1024, tweets, wanted), (weight, 512, own, said)], 3 * TEXTS // 1024)
        row(f"W = {weight}", layer, everyday, adjusted)
    alone = fits / fits.sum(1, keepdim=True)
    layer = Scaled(len(mean), classes)
    train(layer, [(1.0, 1024, own, alone)], 100)
    row("of sentences alone", layer, everyday, torch.zeros(()))
    inputs = {"our features": (own, everyday)}
    if encoder:
        learned = embeddings(encoder, [one.text for one in recipe.sentences])
        asked = embeddings(encoder, [one.text for one in measured])
        inputs["the encoder"] = learned, asked
        inputs["both"] = torch.cat([own, learned], 1), torch.cat([everyday, asked], 1)
    for name, (features, asked) in inputs.items():
        center, spread = features.mean(0), features.std(0) + 1e-6
        layer = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(features.shape[1], 512),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(512, classes),
        )
        train(layer, [(1.0, 1024, (features - center) / spread, alone)], 200)
        row(
            f"of sentences alone, a hidden layer on {name}",
            layer,
            (asked - center) / spread,
            torch.zeros(()),
            False,
        )


if __name__ == "__main__":
    main()
