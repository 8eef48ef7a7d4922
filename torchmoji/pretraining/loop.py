"""The training loop of pretraining, for any model that gives logits.

A `Stepper` computes a step, `_Run` is the state of a training and does all steps, and its checkpoint is that
state in a file, so that a run that was killed goes on and ends with the same weights.
"""

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from torchmoji.corpus.shards import MANIFEST_NAME, Corpus, TokenRows
from torchmoji.files.atomic import atomic_path, remove_leftovers, sha256, writing
from torchmoji.pretraining.data_order import DataOrder, RowNumbers
from torchmoji.pretraining.distributed import BatchRows, Processes, batch_dropout
from torchmoji.pretraining.loss import PretrainingLoss
from torchmoji.pretraining.progress import TrainingProgress, check_metrics, deferred_signals
from torchmoji.pretraining.scores import score_emojis
from torchmoji.pretraining.settings import PATHS, Settings, learning_rate
from torchmoji.runtime.products import has_fast_bfloat16
from torchmoji.training.loop import seeded

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.safetensors"
_REPORT_EVERY = 50  # steps after which progress is reported
_ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of a weight: a number of steps, and two averages of the weight's shape."""
_Stored = tuple[dict[str, Tensor], dict[str, Any]]
"""The tensors and the notes of a checkpoint."""

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Trained(Generic[Model]):
    """What a training gives."""

    model: Model  # in evaluation mode, with the average of the weights where there is one
    settings: Settings  # as given, with the precision that was chosen
    steps: int
    seconds: float  # time spent, interruptions left out


def train_model(
    make: Callable[[bool], Model],
    corpus: Corpus,
    folder: str | os.PathLike[str],
    settings: Settings,
    rows: Mapping[str, TokenRows] | None = None,
    *,
    processes: Processes | None = None,
    checkpoint_seconds: float = 600,
    progress: bool = False,
    force: bool = False,
) -> Trained[Model]:
    """Train any model that gives logits (n, C) for token ids (n, time), or go on where it was interrupted.

    `make` gives the model as it starts, with torch's generators seeded by the settings; its sizes and rates
    of dropout are its own affair. It is told whether a checkpoint will replace the weights. The folder holds
    `checkpoint.safetensors` and `metrics.jsonl`: a run that finds a checkpoint goes on from there; in one
    process, it ends with the same weights as one never interrupted. `rows` are the texts of "train" and
    "validation" as the model reads them, in the corpus's order, by default those of the corpus; the latter
    are what `settings.evaluate_every` is about. By default this process trains alone, on the CPU. Torch's
    global generators are left as they were.

    Raises FileNotFoundError where there is no file of soft targets or embeddings, ValueError where they do
    not fit, the checkpoint is damaged or of another run, or `checkpoint_seconds` is no time,
    FloatingPointError where the loss is not finite, FileExistsError where `metrics.jsonl` is not of a
    training. With `force` a checkpoint of another run and such a file are replaced.
    """
    if not 0 <= checkpoint_seconds < math.inf:
        raise ValueError(f"checkpoint_seconds must be a finite number of 0 or more, got {checkpoint_seconds}")
    processes = processes or Processes(torch.device("cpu"))
    if settings.bfloat16 is None:  # where all processes are fast at it
        fast = processes.total_of(has_fast_bfloat16(processes.device))
        settings = replace(settings, bfloat16=fast == processes.count)
    rows = rows or {split: corpus.rows(split) for split in ("train", "validation")}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    identity = {"corpus": sha256(corpus.folder / MANIFEST_NAME), **asdict(settings)}
    found = _checkpoint_of(folder / CHECKPOINT_NAME, identity, force)
    if processes.is_first:
        check_metrics(folder, is_ours=found is not None or force)
    with seeded(processes.device, settings.seed), ExitStack() as stack:
        model = make(found is not None).to(processes.device).train()
        batch = stack.enter_context(batch_dropout(model, settings.seed))
        stepper = Stepper(model, rows["train"], PretrainingLoss(corpus, settings), settings, processes, batch)
        run = _Run(stepper, rows, len(corpus.classes), folder, settings, processes, identity)
        run.resume(found)
        del found  # as large as the run
        run.train(progress, checkpoint_seconds)
    if run.average is not None:
        model.load_state_dict(run.average.module.state_dict())
    model.zero_grad(set_to_none=True)
    model.eval()
    return Trained(model, settings, run.step, run.seconds)


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    """An average of a model's weights over the steps of training, which guesses better than the last ones.

    It starts at the model's weights; after each step the model goes to `update_parameters`. Its decay, from 0
    to 1, rises with the steps up to `decay`, so that the first weights are soon forgotten (as in TensorFlow's
    ExponentialMovingAverage).
    """

    def update(averages: Any, weights: Any, count: Tensor | int) -> None:
        steps = int(count)
        get_ema_multi_avg_fn(min(decay, steps / (9 + steps)))(averages, weights, count)

    average = AveragedModel(model, multi_avg_fn=update).eval()
    average.update_parameters(model)  # the first time copies
    return average


class _Run:
    """The state of a training, with the precision decided; `identity` is what decides its result."""

    def __init__(
        self,
        stepper: "Stepper",
        rows: Mapping[str, TokenRows],
        nb_classes: int,
        folder: Path,
        settings: Settings,
        processes: Processes,
        identity: dict[str, Any],
    ) -> None:
        self.stepper, self.model, self.optimizer = stepper, stepper.model, stepper.optimizer
        self.validation, self.nb_classes = rows["validation"], nb_classes
        self.folder, self.settings, self.processes = folder, settings, processes
        self.order = DataOrder(rows["train"], settings.batch_size, settings.seed)
        self.total_steps = self.order.steps(settings.passes)
        self.average = weight_average(self.model, settings.average) if settings.average else None
        self.step, self.seconds, self.written = 0, 0.0, 0
        self.losses: list[float] = []  # since the last report
        self.identity = identity

    def resume(self, found: _Stored | None) -> None:
        """Go to where the run's checkpoint was written, if there is one; another is removed."""
        path, processes = self.folder / CHECKPOINT_NAME, self.processes
        if processes.is_first:
            remove_leftovers(self.folder)
            if found is None:
                path.unlink(missing_ok=True)
        if found is not None:
            self._check(*found, path)
        step = found[1]["step"] if found else 0
        first = processes.total_of(step if processes.is_first else 0)
        if processes.total_of(first == step) != processes.count:
            raise ValueError(
                f"process {processes.rank} finds {path} at step {step}, the first one at step {first}: all "
                "processes must see the same folder"
            )
        if found is None:
            return
        tensors, notes = found
        self.model.load_state_dict(_part(tensors, "model"))
        adam = [
            {key: tensors[f"adam.{name}.{key}"].clone() for key in _ADAM}
            for name, _ in self.model.named_parameters()
        ]
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(enumerate(adam)), "param_groups": groups})
        if self.average is not None:
            self.average.load_state_dict(_part(tensors, "average"))
        torch.set_rng_state(tensors["random"])
        if processes.device.type == "cuda" and "cuda_random" in tensors:
            torch.cuda.set_rng_state(tensors["cuda_random"], processes.device)
        self.step, self.seconds = step, notes["seconds"]
        self.losses, self.written = notes["losses"], notes["written"]
        logger.info("going on after step %d of %d", self.step, self.total_steps)

    def _check(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], path: Path) -> None:
        """Raise ValueError unless all parts of a checkpoint are what torch expects."""
        step, written, losses = (notes.get(name) for name in ("step", "written", "losses"))
        floats = [notes.get("seconds"), *(losses if isinstance(losses, list) else [None])]
        are_finite = all(type(number) is float and math.isfinite(number) for number in floats)
        is_written = type(written) is int and written >= 0
        if not (type(step) is int and 0 < step <= self.total_steps and are_finite and is_written):
            raise _damaged(path, "its numbers of steps, seconds or losses are none")
        expected = self._tensors()
        for name in sorted({*expected, *tensors} - {"cuda_random"}):  # which may have been another device
            shapes = [
                (tuple(kept[name].shape), kept[name].dtype) if name in kept else "nothing"
                for kept in (tensors, expected)
            ]
            if shapes[0] != shapes[1]:
                raise _damaged(path, f"{name:.200} is {shapes[0]} where {shapes[1]} is expected")
        try:
            torch.Generator().set_state(tensors["random"])
        except RuntimeError as error:
            raise _damaged(path, error) from error
        if self.average is not None and tensors["average.n_averaged"] != step + 1:
            raise _damaged(path, "the average is of another number of steps")

    def _tensors(self) -> dict[str, Tensor]:
        """The state of the run but for numbers: weights, their average, Adam's state, torch's generators."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for name, weight in self.model.named_parameters():
            fresh = (torch.zeros(()), torch.zeros_like(weight), torch.zeros_like(weight))
            adam = self.optimizer.state.get(weight, {})
            tensors |= {
                f"adam.{name}.{key}": adam.get(key, zeros) for key, zeros in zip(_ADAM, fresh, strict=True)
            }
        tensors["random"] = torch.get_rng_state()
        if self.processes.device.type == "cuda":
            tensors["cuda_random"] = torch.cuda.get_rng_state(self.processes.device)
        return tensors

    def _save(self, written: int) -> None:
        numbers = {"step": self.step, "seconds": self.seconds, "losses": self.losses, "written": written}
        notes = {"identity": self.identity, "paths": _real_paths(self.identity), **numbers}
        save_training(self.folder / CHECKPOINT_NAME, self._tensors(), notes)

    def train(self, shown: bool, checkpoint_seconds: float) -> None:
        """Do all steps that are left; one process stops on a signal, and stores where it is."""
        progress = TrainingProgress(
            *(self.folder, self.total_steps, self.step, self.written, shown, self.processes.is_first)
        )
        started = saved = time.monotonic()
        before = self.seconds
        with ExitStack() as stack:
            stack.callback(progress.close)
            alone = self.processes.count == 1
            signals = stack.enter_context(deferred_signals()) if alone else []
            for rows in islice(self.order.batches(self.step), self.total_steps - self.step):
                self._do_step(rows, progress, before - started)
                now = time.monotonic()
                is_stopped = bool(signals)
                if not is_stopped:
                    self._evaluate(progress)
                is_due = now - saved > checkpoint_seconds or self.step == self.total_steps or is_stopped
                if self.processes.is_first and is_due:
                    self._save(progress.written)
                    saved = now
                if is_stopped:
                    logger.warning(
                        "stopped after step %d of %d: the same run goes on from here",
                        *(self.step, self.total_steps),
                    )
                    break
        self.processes.wait()  # for the checkpoint

    def _do_step(self, rows: RowNumbers, progress: TrainingProgress, offset: float) -> None:
        """Do a step, and report the last ones where it is time."""
        rate = learning_rate(self.step, self.total_steps, self.settings)
        loss, norm = self.stepper.step(self.step, rows, rate)
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        self.seconds = offset + time.monotonic()
        self.losses.append(loss)
        progress.advance(len(rows))
        if self.step % _REPORT_EVERY == 0 or self.step == self.total_steps:
            mean = sum(self.losses) / len(self.losses)
            metrics = {"loss": mean, "learning_rate": rate, "gradient_norm": norm}
            progress.report_training(self.step, self.seconds, metrics)
            self.losses.clear()

    def _evaluate(self, progress: TrainingProgress) -> None:
        """Score the validation texts where it is time."""
        every = self.settings.evaluate_every
        if not every or self.step % every or not len(self.validation):
            return
        model = self.model.eval() if self.average is None else self.average.module
        scores = score_emojis(
            *(model, self.validation, self.nb_classes),
            most=self.settings.evaluation_texts,
            processes=self.processes,
        )
        self.model.train()
        progress.report_evaluation(self.step, scores.summary())


class Stepper:
    """Updates a model's weights, all processes together; `batch` is set to the texts that are computed."""

    def __init__(
        self,
        model: nn.Module,
        rows: TokenRows,
        loss: PretrainingLoss,
        settings: Settings,
        processes: Processes,
        batch: BatchRows,
    ) -> None:
        fused = processes.device.type in ("cpu", "cuda") or None
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=fused)
        self._rows, self._loss, self._settings = rows, loss, settings
        self._processes, self._batch = processes, batch
        self._parallel = processes.parallel(model)

    def step(self, number: int, rows: RowNumbers, rate: float) -> tuple[float, float]:
        """Update the weights once; steps count from 0, `rows` are the same in all processes.

        Returns the mean loss of the samples, and the norm of the gradients before they are scaled down.
        FloatingPointError where one of them is not finite; the weights are then as before.
        """
        self.optimizer.zero_grad()
        loss = self._gradients(number, rows)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.gradient_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            others = " or more warmup_steps"
            if self._settings.bfloat16:
                others = ", more warmup_steps or bfloat16=False"
            raise FloatingPointError(
                f"step {number + 1} has the loss {loss:g} and gradients of the norm {norm:g} at a learning "
                f"rate of {rate:g}: try a lower learning_rate than {self._settings.learning_rate:g}{others}, "
                "in another folder, for a checkpoint is of its own settings"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return loss, norm

    def _gradients(self, number: int, batch: RowNumbers) -> float:
        """Compute the gradients of a batch, of which each process takes a part; give its loss."""
        processes, device, most = self._processes, self._processes.device, self._settings.max_length
        samples = int(self._rows.label_counts(batch).sum())
        places = np.arange(processes.rank, len(batch), processes.count)
        scale = processes.count / samples if len(places) else 0.0
        if not len(places):  # all processes must compute something
            places = np.zeros(1, dtype=np.int64)
        # longest first: the order in which the model applies the dropout of embeddings
        lengths = np.minimum(self._rows.lengths(batch[places]), most)
        places = places[np.argsort(-lengths, kind="stable")]
        self._batch.step, self._batch.size, self._batch.rows = number, len(batch), torch.from_numpy(places)
        rows = batch[places]
        ids = torch.from_numpy(self._rows.token_ids(rows, most)).to(device)
        owners, classes = (torch.from_numpy(part).to(device) for part in self._rows.labels(rows))
        with torch.autocast(device.type, torch.bfloat16, enabled=bool(self._settings.bfloat16)):
            logits = self._parallel(ids)
        loss = self._loss(logits, owners, classes, rows) * scale
        loss.backward()
        return float(processes.total(loss.detach())) / processes.count


def _real_paths(identity: Mapping[str, Any]) -> dict[str, str]:
    """Where the files and folders of settings are, whatever they are called."""
    given = ((name, identity.get(name)) for name in PATHS)
    return {
        name: os.path.realpath(os.path.expanduser(path))
        for name, path in given
        if isinstance(path, str) and path not in ("default", "deepmoji")
    }


def _checkpoint_of(path: Path, identity: Mapping[str, Any], force: bool) -> _Stored | None:
    """Read the checkpoint of a run; None without one. One of another run counts as none with `force`."""
    found = load_training(path)
    if found is None:
        return None
    was, paths = found[1].get("identity"), found[1].get("paths", {})  # the latter not in older ones
    if not isinstance(was, dict) or not isinstance(paths, dict):
        raise _damaged(path, "it has no settings")
    paths, now = _real_paths(was) | paths, _real_paths(identity)
    differing = [
        name
        for name in sorted({**identity, **was}.keys() - {"prior_adjustment"})  # which comes after training
        if was.get(name) != identity.get(name) and (name not in now or paths.get(name) != now[name])
    ]
    if not differing:
        return found
    parts = "; ".join(f"{name} was {was.get(name)!r}, is {identity.get(name)!r}" for name in differing)
    message = f"{path} is of a run with other settings ({parts[:1000]})"
    if not force:
        raise ValueError(f"{message}: use those, name another folder, or force=True to begin anew")
    logger.warning("%s: another run begins in its place", message)
    return None


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a part's, without it."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}


def _damaged(path: Path, reason: object) -> ValueError:
    text = (str(reason) or type(reason).__name__).splitlines()[0]
    return ValueError(f"{path} is damaged ({text[:300]}): remove it to start again")


def _digest(notes: str, tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of a checkpoint's content."""
    digest = hashlib.sha256(notes.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_training(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write the state of a run, safetensors, whole or not at all; power may fail as soon as this returns.

    The tensors may be on any device, the notes are what JSON can hold. OSError where it cannot be written.
    """
    text = json.dumps(dict(notes), default=float)  # for NumPy's integers
    stored: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        whole = tensor.detach().cpu().contiguous()
        storage = whole.untyped_storage().data_ptr()
        stored[name] = whole.clone() if storage in storages else whole  # safetensors shares no memory
        storages.add(storage)
    metadata = {"notes": text, "sha256": _digest(text, stored)}
    with atomic_path(path) as temporary, writing(temporary):
        save_file(stored, temporary, metadata=metadata)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


def load_training(path: Path) -> _Stored | None:
    """Read what `save_training` wrote, tensors on the CPU; None without a file, ValueError if damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        notes = json.loads(metadata["notes"])
        if not isinstance(notes, dict):
            raise TypeError("it has no notes")
        if metadata["sha256"] != _digest(metadata["notes"], tensors):
            raise ValueError("its content does not fit its checksum")
    except OSError:
        raise
    except Exception as error:  # changed bytes make safetensors and torch raise nearly anything
        raise _damaged(path, error) from error
    return tensors, notes
