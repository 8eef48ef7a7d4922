"""Time fine-tuning: a step of `full`, and the method `last`.

A step is compared with autograd through a loop over time steps, `last` with computing the features anew in
each epoch. TEXTS has one text a line, gzipped or not; the weights are random, in the original's sizes, and so
are the labels. The loop does what the 2017 package did: the cell's equations at each step, autograd, a dense
gradient for the embedding and torch's Adam as it is by default. Both take turns in one run; medians
count.

Example:
    training.py texts.txt.gz --vocabulary vocabulary.json --output training.md
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from encode import read_ids
from torch import Tensor, nn

from benchmarks.report import write_report
from torchmoji import finetuning
from torchmoji.create_vocab import load_vocabulary, rows_of_embedding
from torchmoji.finetuning import finetune
from torchmoji.lstm import LSTMCell, LSTMHardSigmoid
from torchmoji.model_def import TorchMoji, torchmoji_transfer
from torchmoji.runtime.machine import processor, versions
from torchmoji.training.metrics import calc_loss
from torchmoji.training.optimizer import EMBED_L2, clip_gradients, method_optimizer

BATCH_SIZE = 250


class LoopLSTM(LSTMHardSigmoid):
    """A cell at each step, with autograd."""

    def run_packed(self, data: Tensor, batch_sizes: list[int], states: Any = None) -> Any:
        """See `LSTMHardSigmoid`; states are zero and there is one layer."""
        outputs = []
        for reverse in (False, True):
            name = "l0_reverse" if reverse else "l0"
            weights = [
                getattr(self, f"{kind}_{name}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            h = c = data.new_zeros(0, self.hidden_size)
            steps = []
            for x in data.split(batch_sizes)[:: -1 if reverse else 1]:
                begin = x.new_zeros(max(0, len(x) - len(h)), self.hidden_size)
                state = torch.cat([h, begin])[: len(x)], torch.cat([c, begin])[: len(x)]
                h, c = LSTMCell(x, state, *weights)
                steps.append(h)
            outputs.append(torch.cat(steps[:: -1 if reverse else 1]))
        unused = data.new_zeros(2, batch_sizes[0], self.hidden_size)
        return torch.cat(outputs, dim=1), (unused, unused)


def looping(model: TorchMoji) -> TorchMoji:
    """A copy of the model with loops in its layers."""
    model = copy.deepcopy(model)
    for lstm in (model.lstm_0, model.lstm_1):
        lstm.__class__ = LoopLSTM
    return model


def training_step(model: TorchMoji, optimizer: torch.optim.Optimizer, ids: Tensor, labels: Tensor) -> float:
    """One step as `finetune` does it; gives the loss."""
    optimizer.zero_grad()
    loss = calc_loss(nn.BCEWithLogitsLoss(), model(ids), labels)
    loss.backward()
    clip_gradients([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    return loss.item()


def full_steps(ids: Tensor, nb_tokens: int, repeats: int) -> list[str]:
    """Rows for a step of `full`."""
    torch.manual_seed(0)
    ours = TorchMoji(2, nb_tokens, output_logits=True).train()
    loop = looping(ours)
    labels = torch.randint(2, (BATCH_SIZE,))
    optimizer = method_optimizer(ours, "full", EMBED_L2)
    ours.embed.sparse = True
    of_embedding, of_output, of_others = optimizer.param_groups
    groups = [
        {"params": list(loop.embed.parameters()), "lr": of_embedding["lr"], "weight_decay": EMBED_L2},
        {"params": list(loop.output_layer.parameters()), "lr": of_output["lr"]},
        {
            "params": [
                p for n, p in loop.named_parameters() if n.split(".")[0] not in ("embed", "output_layer")
            ],
            "lr": of_others["lr"],
        },
    ]
    runs = {"loop": (loop, torch.optim.Adam(groups)), "torchMoji": (ours, optimizer)}
    half = copy.deepcopy(ours)
    runs["autocast"] = half, method_optimizer(half, "full", EMBED_L2)
    half.embed.sparse = True
    times: dict[str, list[float]] = {name: [] for name in runs}
    losses: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats + 1):
        batch = ids[torch.arange(number * BATCH_SIZE, (number + 1) * BATCH_SIZE) % len(ids)]
        for name, (model, opt) in runs.items():
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "autocast"):
                losses[name].append(training_step(model, opt, batch, labels))
            if number:
                times[name].append(time.perf_counter() - started)
    slow = statistics.median(times["loop"])
    rows = []
    for name, what in (("torchMoji", ""), ("autocast", ", autocast to bfloat16")):
        difference = max(abs(a - b) for a, b in zip(losses["loop"], losses[name], strict=True))
        fast = statistics.median(times[name])
        rows.append(
            f"| a step of `full`, batch 250{what} | {slow:.2f} | {fast:.2f} | {slow / fast:.1f} | "
            f"loss, largest difference in {repeats + 1} steps: {difference:.1e} |"
        )
    return rows


def last_runs(ids: Tensor, nb_tokens: int, epochs: int) -> list[str]:
    """A row for the method `last`."""
    texts = [part.numpy() for part in ids.split([len(ids) - 400, 200, 200])]
    labels = [np.random.RandomState(0).randint(0, 2, len(part)) for part in texts]
    torch.manual_seed(0)
    start = torchmoji_transfer(2, embed_dropout_rate=0.0, extend_embedding=max(0, nb_tokens - 50_000))
    cached = finetuning.on_features
    times, scores = [], []
    for on_features in (lambda model, parts: (model, list(parts)), cached):
        finetuning.on_features = on_features
        model = copy.deepcopy(start)
        started = time.perf_counter()
        _, score = finetune(
            *(model, texts, labels, 2, BATCH_SIZE, "last"), nb_epochs=epochs, patience=epochs, verbose=0
        )
        times.append(time.perf_counter() - started)
        scores.append(score)
    finetuning.on_features = cached
    return [
        f"| `last`, {epochs} epochs of 5000, {len(texts[0])} texts | {times[0]:.1f} | {times[1]:.1f} | "
        f"{times[0] / times[1]:.1f} | accuracy {scores[0]:.4f} and {scores[1]:.4f} |"
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("texts_file", type=Path, metavar="TEXTS", help="one text a line")
    parser.add_argument("--vocabulary", required=True, metavar="PATH")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="of last (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
    options = parser.parse_args(argv)
    vocabulary = load_vocabulary(options.vocabulary)
    nb_tokens = rows_of_embedding(vocabulary)
    ids = torch.from_numpy(read_ids(options.texts_file, vocabulary, 1400, 1)[:, :30].copy())
    lines = [
        f"{len(ids)} texts of {float((ids != 0).sum(1).float().mean()):.1f} tokens on average.",
        "",
        "| what | without, seconds | torchMoji, seconds | times faster | the same result |",
        "|---|---|---|---|---|",
        *full_steps(ids, nb_tokens, options.repeats),
        *last_runs(ids, nb_tokens, options.epochs),
        "",
        f"{processor()}, {torch.get_num_threads()} threads; {versions('torch', 'numpy')}.",
    ]
    report = "\n".join(lines) + "\n"
    write_report(report, options.output)


if __name__ == "__main__":
    main()
