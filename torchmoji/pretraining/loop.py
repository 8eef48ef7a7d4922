"""The run of a pretraining, of any model: from its first weights, or from a checkpoint, to the last step."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmoji.corpus.shards import MANIFEST_NAME, Corpus, TokenRows
from torchmoji.files.atomic import atomic_path, remove_leftovers, sha256
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.data_order import DataOrder, RowNumbers, weights_of_classes
from torchmoji.pretraining.distributed import Processes
from torchmoji.pretraining.dropout import Place, batch_dropout
from torchmoji.pretraining.loss import PretrainingLoss, open_embedding_targets, open_soft_targets
from torchmoji.pretraining.progress import StopRequest, TrainingProgress, waiting_stop
from torchmoji.pretraining.scores import score_emojis
from torchmoji.pretraining.settings import Settings, learning_rate
from torchmoji.products import has_fast_bfloat16

logger = logging.getLogger(__name__)

_TELL_EVERY = 50
"""Steps after which progress is told."""
_FUSED_DEVICES = ("cpu", "cuda")


Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Trained(Generic[Model]):
    """What a training gives.

    Attributes:
        model: In evaluation mode, with the average of the weights where there is one.
        settings: As given, and what they left to the machine.
        steps: Batches seen.
        seconds: Time spent, interruptions left out.
    """

    model: Model
    settings: Settings
    steps: int
    seconds: float


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Let torch's generators start from a seed, within the block; after it they are as before.

    Args:
        device: Of the model, beside the CPU.
        seed: Of the generators.
    """
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed all devices
        if cuda:
            torch.cuda.manual_seed(seed)
        yield


def settled(settings: Settings, processes: Processes) -> Settings:
    """The settings with what they leave to the machine: bfloat16 where all processes are fast at it.

    Args:
        settings: As given.
        processes: Those that train together.
    """
    if settings.bfloat16 is not None:
        return settings
    fast = torch.tensor([int(has_fast_bfloat16(processes.device))], device=processes.device)
    return replace(settings, bfloat16=processes.total(fast).item() == processes.count)


def train_model(
    make: Callable[[], Model],
    corpus: Corpus,
    folder: str | os.PathLike[str],
    settings: Settings,
    rows: Mapping[str, TokenRows] | None = None,
    *,
    processes: Processes | None = None,
    compiled: bool = False,
    tensorboard: bool = False,
    checkpoint_seconds: float = 600,
    progress: bool = False,
) -> Trained[Model]:
    """Train any model that gives logits (n, C) for token ids (n, time), or go on where it was interrupted.

    Args:
        make: Gives the model as it starts, with torch's generators seeded by the settings.
        corpus: Of the texts.
        folder: Holds `checkpoint.pt`, `metrics.jsonl` and `tensorboard`. A run that finds a checkpoint goes
            on from there; in one process, and not compiled, it ends with the same weights as one that was
            never interrupted.
        settings: How to train; sizes and rates of dropout are the model's own affair.
        rows: The texts of "train" and "validation" as the model reads them, in the corpus's order; by default
            those of the corpus. The latter are what `settings.evaluate_every` is about.
        processes: Those that train together; by default this one alone, on the CPU.
        compiled: Use `torch.compile` where it works: it takes minutes, and pays in long runs on a GPU.
        tensorboard: Write for TensorBoard as well.
        checkpoint_seconds: How often to write the checkpoint.
        progress: Show a progress bar.

    Returns:
        The trained model and what it took. Torch's global generators are left as they were.

    Raises:
        FileNotFoundError: There is no file of soft targets or embeddings.
        ValueError: The checkpoint is damaged or of another run, or soft targets or embeddings do not fit.
        FloatingPointError: The loss is not finite.
        ModuleNotFoundError: TensorBoard is missing.
    """
    processes = processes or Processes(torch.device("cpu"))
    settings = settled(settings, processes)
    rows = rows or {split: corpus.rows(split) for split in ("train", "validation")}
    with seeded(processes.device, settings.seed), ExitStack() as stack:
        model = make().to(processes.device).train()
        run = _Run(model, rows, corpus, Path(folder), settings, processes, compiled, stack)
        run.resume()
        told = TrainingProgress(run.folder, run.total_steps, progress, tensorboard, processes.is_first)
        stack.callback(told.close)
        run.train(told, checkpoint_seconds)
    run.finish()
    return Trained(model, settings, run.step, run.seconds)


def loss_of(corpus: Corpus, settings: Settings) -> PretrainingLoss:
    """What a run minimizes.

    Args:
        corpus: Of the run.
        settings: Of the run.

    Raises:
        FileNotFoundError: There is no file of soft targets or embeddings.
        ValueError: They do not fit.
    """
    counts, texts = corpus.class_counts("train"), len(corpus.rows("train"))
    soft = embeddings = None
    if settings.soft_targets is not None:
        soft = open_soft_targets(settings.soft_targets, (texts, len(counts)))
    if settings.embedding_targets is not None:
        embeddings = open_embedding_targets(settings.embedding_targets, texts)
    return PretrainingLoss(settings, counts, soft, embeddings)


class _Run:
    """The state of a training.

    Args:
        model: In training mode, on the device of the processes.
        rows: See `train_model`, as for the others.
        corpus: Of the texts.
        folder: For the checkpoint.
        settings: How to train.
        processes: Those that train together.
        compiled: Use `torch.compile`.
        stack: Puts the model's dropout back in the end.
    """

    def __init__(
        self,
        model: nn.Module,
        rows: Mapping[str, TokenRows],
        corpus: Corpus,
        folder: Path,
        settings: Settings,
        processes: Processes,
        compiled: bool,
        stack: ExitStack,
    ) -> None:
        self.model, self.rows, self.corpus = model, rows, corpus
        self.folder, self.settings, self.processes = folder, settings, processes
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / CHECKPOINT_NAME
        wanted = None
        if settings.balanced_sampling:
            wanted = weights_of_classes(corpus.class_counts("train"), settings.balanced_sampling)
        self.order = DataOrder(rows["train"], settings.batch_size, settings.seed, wanted)
        self.total_steps = self.order.steps(settings.passes)
        place = Place(settings.seed)
        for part in model.modules():
            if isinstance(part, TorchMoji):
                place = stack.enter_context(batch_dropout(part, settings.seed))
                break
        self.optimizer = torch.optim.Adam(
            model.parameters(),
            lr=settings.learning_rate,
            fused=processes.device.type in _FUSED_DEVICES or None,
        )
        self.average = WeightAverage(model, settings.average) if settings.average else None
        self.stepper = Stepper(
            *(model, self.optimizer, rows["train"], loss_of(corpus, settings)),
            *(settings, processes, place, compiled),
        )
        self.step, self.seconds, self.written = 0, 0.0, 0
        self.losses: list[float] = []  # since they were told
        self.rate = self.norm = 0.0  # of the last step
        self.identity = {"corpus": sha256(corpus.folder / MANIFEST_NAME), **asdict(settings)}

    def resume(self) -> None:
        """Go to where a checkpoint was written, if there is one."""
        if self.processes.is_first:
            remove_leftovers(self.folder)
        state = load_training(self.path)
        self._check_all_see(state["step"] if state else 0)
        if state is None:
            return
        check_same_run(self.path, state["identity"], self.identity)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        restore_random_states(state["random"], self.processes.device)
        self.step, self.seconds = state["step"], state["seconds"]
        self.losses, self.written = state["losses"], state["written"]
        logger.info("going on after step %d of %d", self.step, self.total_steps)

    def _check_all_see(self, step: int) -> None:
        """Refuse to train where processes have found different checkpoints."""
        first = self.processes.total(
            torch.tensor([step if self.processes.is_first else 0], device=self.processes.device)
        )
        same = torch.tensor([int(first.item() == step)], device=self.processes.device)
        if self.processes.total(same).item() != self.processes.count:
            raise ValueError(
                f"process {self.processes.rank} finds {self.path} at step {step}, the first one at step "
                f"{first.item()}: all processes must see the same folder"
            )

    def _save(self, written: int) -> None:
        state = {
            "identity": self.identity,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "random": random_states(self.processes.device),
            "step": self.step,
            "pass": list(divmod(self.step, self.order.steps_a_pass)),
            "seconds": self.seconds,
            "losses": self.losses,
            "written": written,
        }
        save_training(self.path, state)

    def train(self, told: TrainingProgress, checkpoint_seconds: float) -> None:
        """Do all steps that are left, or, where somebody asks one process to stop, store where it is."""
        told.begin(self.step, self.written)
        started = saved = time.monotonic()
        before = self.seconds
        with waiting_stop() if self.processes.count == 1 else nullcontext(StopRequest()) as asked:
            for rows in islice(self.order.batches(self.step), self.total_steps - self.step):
                self._do_step(rows, told)
                now = time.monotonic()
                self.seconds = before + now - started
                is_last = self.step == self.total_steps
                is_asked = asked.signal is not None
                self._tell(told, is_last)
                if not is_asked and self._is_evaluated():
                    self._evaluate(told)
                if self.processes.is_first and (now - saved > checkpoint_seconds or is_last or is_asked):
                    self._save(told.written)
                    saved = now
                if is_asked:
                    logger.warning(
                        "stopped after step %d of %d: the same run goes on from here",
                        self.step,
                        self.total_steps,
                    )
                    break
        self.processes.wait()  # for the checkpoint

    def _do_step(self, rows: RowNumbers, told: TrainingProgress) -> None:
        self.rate = learning_rate(self.step, self.total_steps, self.settings)
        loss, self.norm = self.stepper.step(self.step, rows, self.rate)
        if self.average is not None:
            self.average.update(self.model, self.step)
        self.step += 1
        self.losses.append(loss)
        told.advance(len(rows))

    def _tell(self, told: TrainingProgress, is_last: bool) -> None:
        """Tell of the last steps, where it is time."""
        if self.step % _TELL_EVERY == 0 or is_last:
            mean = sum(self.losses) / len(self.losses)
            told.tell_training(
                *(self.step, self.seconds),
                {"loss": mean, "learning_rate": self.rate, "gradient_norm": self.norm},
            )
            self.losses.clear()

    def _is_evaluated(self) -> bool:
        every = self.settings.evaluate_every
        return bool(every) and self.step % every == 0

    def _evaluate(self, told: TrainingProgress) -> None:
        rows = self.rows["validation"]
        if not len(rows):
            return
        self.model.eval()
        with self.average.applied(self.model) if self.average is not None else nullcontext():
            scores = score_emojis(
                *(self.model, rows, len(self.corpus.classes)),
                most=self.settings.evaluation_texts,
                processes=self.processes,
            )
        self.model.train()
        told.tell_evaluation(self.step, scores.summary())

    def finish(self) -> None:
        """Give the model what is to be stored, and put it into evaluation mode."""
        if self.average is not None:
            self.model.load_state_dict(self.average.state_dict(), strict=False)  # buffers are not averaged
        self.model.zero_grad(set_to_none=True)
        self.model.eval()


# --- One step of pretraining: the gradients of a batch, computed by all processes together, in parts or at


_COMPILED_LENGTHS = 10
"""A compiled model gets texts padded to multiples of so many tokens: each length is compiled for itself."""


class Stepper:
    """Computes gradients and updates weights.

    Args:
        model: Gives logits; on the device of the processes.
        optimizer: Of its weights.
        rows: The training texts.
        loss: What is minimized.
        settings: Of the run.
        processes: Those that train together.
        place: Is told which texts are computed.
        compiled: Use `torch.compile`, where it works.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        rows: TokenRows,
        loss: PretrainingLoss,
        settings: Settings,
        processes: Processes,
        place: Place,
        compiled: bool = False,
    ) -> None:
        self._model, self._optimizer, self._rows, self._loss = model, optimizer, rows, loss
        self._settings, self._processes, self._place = settings, processes, place
        self._parallel: Any = processes.parallel(model)
        self._compiled: Callable[..., Any] | None = (
            torch.compile(self._parallel, dynamic=False) if compiled else None
        )
        self._part_rows = math.ceil(settings.batch_size / (settings.accumulation * processes.count))

    def step(self, number: int, rows: RowNumbers, rate: float) -> tuple[float, float]:
        """Update the weights once.

        Args:
            number: Of the step, from 0 on.
            rows: Its texts, the same in all processes.
            rate: Learning rate.

        Returns:
            The mean loss of the samples, and the norm of the gradients before they are scaled down.

        Raises:
            FloatingPointError: One of them is not finite; the weights are as before.
        """
        self._optimizer.zero_grad()
        loss = self._gradients(number, rows)
        norm = float(nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.gradient_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise FloatingPointError(
                f"step {number + 1} has the loss {loss:g} and gradients of the norm {norm:g} at a learning "
                f"rate of {rate:g}: try a lower learning_rate than {self._settings.learning_rate:g}, more "
                "warmup_steps or bfloat16=False, in another folder, for a checkpoint is of its own settings"
            )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        return loss, norm

    def _gradients(self, number: int, rows: RowNumbers) -> float:
        """Compute the gradients of a batch; give its loss."""
        processes, turns = self._processes, self._settings.accumulation
        weight = self._loss.total_weight(self._rows.labels(rows)[1])
        total = torch.zeros((), device=processes.device)
        for turn in range(turns):
            own = np.arange(turn * processes.count + processes.rank, len(rows), turns * processes.count)
            scale = processes.count / weight if len(own) else 0.0
            own = own if len(own) else np.zeros(1, dtype=np.int64)  # all processes must compute something
            own = self._longest_first(rows, own)
            self._place.move(number, len(rows), own)
            is_last = turn == turns - 1
            with nullcontext() if is_last or processes.count == 1 else self._parallel.no_sync():
                total += self._part(rows[own], scale)
        return float(processes.total(total)) / processes.count

    def _longest_first(self, rows: RowNumbers, own: RowNumbers) -> RowNumbers:
        """Places in `rows`, in the order in which the model applies the dropout of embeddings."""
        lengths = np.minimum(self._rows.lengths(rows[own]), self._settings.max_length)
        return own[np.argsort(-lengths, kind="stable")]

    def _part(self, rows: RowNumbers, scale: float) -> Tensor:
        """Add the gradients of some texts; give their loss, scaled."""
        device = self._processes.device
        ids = torch.from_numpy(self._rows.token_ids(rows, self._settings.max_length)).to(device)
        owners, classes = (torch.from_numpy(part).to(device) for part in self._rows.labels(rows))

        def run(model: Callable[..., Any], ids: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=bool(self._settings.bfloat16)):
                logits = model(ids)
            loss = self._loss(logits, owners, classes, rows) * scale
            loss.backward()
            return loss.detach()

        if self._compiled is not None and len(rows) == self._part_rows:
            try:
                return run(self._compiled, F.pad(ids, (0, -ids.shape[1] % _COMPILED_LENGTHS)))
            except Exception as error:  # no compiler, an old device: whatever a compiler may raise
                if self._processes.count > 1:  # the others may have gone on
                    raise
                reason = (str(error) or type(error).__name__).strip().splitlines()[0]
                logger.warning("torch.compile failed (%s): training goes on without it", reason)
                self._compiled = None
                self._optimizer.zero_grad()
        return run(self._parallel, ids)


# --- The state of a pretraining run on disk: complete, and written whole or not at all

CHECKPOINT_NAME = "checkpoint.pt"


def save_training(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run; power may fail as soon as this returns.

    Args:
        path: The file. An older one stays until the new one is whole.
        state: Tensors, numbers, strings, and lists and dicts of them.
    """
    with atomic_path(path) as temporary:
        torch.save(dict(state), temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


def load_training(path: Path) -> dict[str, Any] | None:
    """Read the state of a run; None where there is none.

    Raises:
        ValueError: The file is damaged.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # cut or changed bytes make torch raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is damaged ({reason}): remove it to start again") from error
    return state


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of torch's generators, of the CPU and of a CUDA device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Put torch's generators into the states of `random_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def check_same_run(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with another run.

    Raises:
        ValueError: Names the settings that differ.
    """
    differing = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if differing:
        parts = [f"{name} was {found.get(name)!r}, is {wanted.get(name)!r}" for name in differing]
        raise ValueError(
            f"{path} is of a run with other settings ({'; '.join(parts)}): use those, name another folder, "
            "or remove the file to start again"
        )


# --- An average of a model's weights over the steps of training: it guesses better than the last ones


class WeightAverage:
    """Keeps the average.

    Args:
        model: Its weights are where the average starts.
        decay: Of the average at a step, from 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._averages = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights after a step, counted from 0, into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, weight in model.named_parameters():
            self._averages[name].lerp_(weight, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Give the model the average in place of its weights, within the block."""
        own = {name: weight.data for name, weight in model.named_parameters()}
        for name, weight in model.named_parameters():
            weight.data = self._averages[name]
        try:
            yield
        finally:
            for name, weight in model.named_parameters():
                weight.data = own[name]

    def state_dict(self) -> dict[str, Tensor]:
        """The averages."""
        return dict(self._averages)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take averages that `state_dict` gave."""
        for name, average in self._averages.items():
            average.copy_(state[name])
