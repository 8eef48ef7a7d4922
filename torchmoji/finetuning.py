"""Transfer learning: load a labelled data set and fine-tune a model on it.

The four methods of DeepMoji (Felbo et al., EMNLP 2017), under the names of the 2017 package:

- `last` trains the output layer;
- `full` trains everything, the output layer ten times as fast;
- `new` trains everything at the rate for weights that are not pretrained;
- `chain-thaw` trains the output layer, then each other layer alone, first to last, then everything.

The optimizer is Adam, with L2 regularisation of the embedding alone. What differs from 2017: `finetune` takes
a seed and leaves the global random generators alone; it gives the model back in evaluation mode, its
`requires_grad` flags as they were; it writes no files. Parts of the 2017 module live in `sampling`,
`metrics`, `optimizer` and `loop` of `torchmoji.training`, which say what differs there; all names of 2017 can
still be imported from here.
"""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from torchmoji.global_variables import FINETUNING_METHODS, FINETUNING_METRICS, FINETUNING_MONITORS
from torchmoji.model_def import output_size
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.tokenizer import tokenize
from torchmoji.training.datasets import read_labelled_texts
from torchmoji.training.last_layer import on_features
from torchmoji.training.loop import (
    TrainingOptions,
    check_choice,
    check_class_numbers,
    check_model,
    check_parts,
    fit,
    train_by_method,
    training_session,
)
from torchmoji.training.metrics import (
    calc_loss,
    check_class_weight,
    device_of,
    evaluate_using_acc,
    evaluate_using_weighted_f1,
    find_f1_threshold,
    make_loss,
)
from torchmoji.training.optimizer import (
    EMBED_L2,
    LEARNING_RATE,
    PRETRAINED_LEARNING_RATE,
    change_trainable,
    freeze_layers,
)
from torchmoji.training.sampling import (
    Array,
    Batches,
    DeepMojiBatchSampler,
    DeepMojiDataset,
    get_data_loader,
    loaders_of,
)

__all__ = [
    "DeepMojiBatchSampler",
    "DeepMojiDataset",
    "calc_loss",
    "calculate_batchsize_maxlen",
    "chain_thaw",
    "change_trainable",
    "evaluate_using_acc",
    "evaluate_using_weighted_f1",
    "find_f1_threshold",
    "finetune",
    "fit_model",
    "freeze_layers",
    "get_data_loader",
    "load_benchmark",
    "train_by_chain_thaw",
    "tune_trainable",
]

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=nn.Module)

MAXLEN_PERCENTILE = 80
MAXLEN_STEP = 10  # tokens
BATCH_SIZE = 250
LONG_TEXT = 100  # tokens
LONG_TEXT_BATCH_SIZE = 50


# --- data -------------------------------------------------------------------------------------------------


def calculate_batchsize_maxlen(texts: Sequence[str]) -> tuple[int, int]:
    """Choose the length of the token rows, and a batch size that fits it.

    Args:
        texts: One or more texts.

    Returns:
        `(batch_size, maxlen)`: maxlen is the 80th percentile of the numbers of tokens, rounded up to a
        multiple of ten; the batch size is 250, or 50 where maxlen is over 100.

    Raises:
        ValueError: There is no text.
    """
    if len(texts) == 0:
        raise ValueError("there are no texts; give at least one")
    percentile = np.percentile([len(tokenize(text)) for text in texts], MAXLEN_PERCENTILE)
    maxlen = max(1, math.ceil(percentile / MAXLEN_STEP)) * MAXLEN_STEP
    return LONG_TEXT_BATCH_SIZE if maxlen > LONG_TEXT else BATCH_SIZE, maxlen


def load_benchmark(
    path: str | os.PathLike[str], vocab: Mapping[str, int], extend_with: int = 0, *, seed: int = 42
) -> dict[str, Any]:
    """Read a data set and turn its texts into token ids.

    Args:
        path: A benchmark pickle of DeepMoji, or a CSV or JSONL file with `text`, `label` and, optionally,
            `split` (see `torchmoji.training.datasets.read_labelled_texts`).
        vocab: Token to id; left as it is.
        extend_with: Give at most so many of the training part's most frequent new words ids of their own,
            after those of `vocab`.
        seed: Of the random split where the file has none.

    Returns:
        A dict with

        - `texts`: token ids of the training, validation and test part, each (n, maxlen);
        - `labels`: of the three parts, each int64 (n,), or (n, C) of 0 and 1;
        - `added`: how many words were added: `torchmoji_transfer`'s `extend_embedding`;
        - `vocabulary`: `vocab` with the words that were added, for new texts and to save with the model;
        - `batch_size` and `maxlen`, see `calculate_batchsize_maxlen`;
        - `classes`: the names of the class numbers, where the file has names.

    Raises:
        ValueError: The file is not such a data set; the message names the line or row.
    """
    data = read_labelled_texts(path, seed=seed)
    batch_size, maxlen = calculate_batchsize_maxlen(data.texts)
    tokenizer = SentenceTokenizer(vocab, maxlen)
    texts, labels, added = tokenizer.split_train_val_test(
        data.texts, list(data.labels), data.split, extend_with=extend_with
    )
    last = max(vocab.values(), default=-1)
    new = {word: index for word, index in tokenizer.vocabulary.items() if index > last}
    result = {
        "texts": texts,
        "labels": [np.asarray(part) for part in labels],
        "added": added,
        "vocabulary": {**vocab, **new},
        "batch_size": batch_size,
        "maxlen": maxlen,
    }
    return result if data.classes is None else {**result, "classes": data.classes}


# --- fine-tuning ------------------------------------------------------------------------------------------


def finetune(
    model: Model,
    texts: Sequence[Array],
    labels: Sequence[Array],
    nb_classes: int,
    batch_size: int,
    method: str,
    metric: str = "acc",
    epoch_size: int = 5000,
    nb_epochs: int = 1000,
    embed_l2: float = EMBED_L2,
    verbose: int = 1,
    *,
    seed: int = 42,
    patience: int = 5,
    class_weight: Sequence[float] | Literal["balanced"] | None = None,
    first_stage_epochs: int | None = None,
    first_stage_dropout: bool = True,
    pretrained_lr: float = PRETRAINED_LEARNING_RATE,
    monitor: str = "loss",
) -> tuple[Model, float]:
    """Fine-tune a model and score it on the test part.

    The same seed gives the same result on the same machine; torch's and numpy's global generators are left as
    they were.

    Args:
        model: As `torchmoji_transfer(nb_classes, ...)` makes it, on any device. Trained in place.
        texts: Token ids of the training, validation and test part, integers (n, time).
        labels: Class numbers of the three parts, (n,).
        nb_classes: Number of classes C.
        batch_size: Texts in a batch.
        method: last, full, new or chain-thaw.
        metric: acc, accuracy; or weighted, F1 of the classes weighted by their size.
        epoch_size: Samples drawn for an epoch.
        nb_epochs: At most so many, for chain-thaw in each stage.
        embed_l2: L2 regularisation of the embedding.
        verbose: 0 is silent, 1 shows progress bars of epochs, 2 also logs each epoch.
        seed: Of the samples and of dropout.
        patience: Stop after so many epochs in a row without a lower validation loss.
        class_weight: How much a sample counts, by its class, in training and in the validation loss: a
            positive number for each class, "balanced" for classes that count alike, or None for samples that
            do.
        first_stage_epochs: At most so many in chain-thaw's first stage; None for as many as in the others.
        first_stage_dropout: False leaves dropout of embedding channels out of chain-thaw's first stage, whose
            epochs then take next to no time.
        pretrained_lr: Learning rate of what is pretrained: of chain-thaw after its first stage, and of all
            but the output layer in full. The other learning rates are 0.001.
        monitor: What the best epoch is chosen by, and when to stop, on the validation part: loss, as in
            DeepMoji; or a score: acc and weighted as for `metric`, or macro, the mean F1 of the classes.

    Returns:
        The model, with the weights of its best epoch, and the score.

    Raises:
        ValueError: An argument is not as described.
    """
    check_choice("method", method, FINETUNING_METHODS)
    check_choice("metric", metric, FINETUNING_METRICS)
    check_choice("monitor", monitor, FINETUNING_MONITORS)
    check_model(model, output_size(nb_classes), f"nb_classes={nb_classes}")
    parts = check_parts(model, texts, labels)
    for _, y in parts:
        check_class_numbers(y, nb_classes)
    check_class_weight(class_weight, max(2, nb_classes))
    loss_op = make_loss(parts[0][1], nb_classes, class_weight)
    loss_op.to(device_of(model), torch.promote_types(next(model.parameters()).dtype, torch.float32))
    options = TrainingOptions(
        *(method, nb_epochs, patience),
        first_stage_epochs=first_stage_epochs,
        first_stage_dropout=first_stage_dropout,
        pretrained_lr=pretrained_lr,
        embed_l2=embed_l2,
        monitor=monitor,
        verbose=verbose,
    )
    tuned, parts = on_features(model, parts) if method == "last" else (model, parts)
    train_gen, val_gen, test_gen = loaders_of(parts, batch_size, epoch_size, seed)
    with training_session(model, seed):
        train_by_method(tuned, loss_op, train_gen, val_gen, options)
        return model, _evaluate(tuned, test_gen, metric, verbose)


def _metric(evaluate: str) -> str:
    """The metric by its name, or by "weighted_f1", which is 2017's other name of "weighted"."""
    metric = "weighted" if evaluate == "weighted_f1" else evaluate
    check_choice("evaluate", metric, FINETUNING_METRICS)
    return metric


_SCORES = {"acc": evaluate_using_acc, "weighted": evaluate_using_weighted_f1}


def _evaluate(model: nn.Module, test_gen: Batches, metric: str, verbose: int) -> float:
    score = _SCORES[metric](model, test_gen)
    if verbose:
        logger.info("%s on the test part: %.4f", metric, score)
    return score


# --- its steps, as the 2017 package has them --------------------------------------------------------------


def fit_model(
    model: nn.Module,
    loss_op: nn.Module,
    optim_op: Optimizer,
    train_gen: Batches,
    val_gen: Batches,
    epochs: int,
    checkpoint_path: str | os.PathLike[str],
    patience: int,
    verbose: int = 1,
) -> float:
    """Train until the validation loss stops falling; the model ends with the weights of its lowest.

    Args:
        model: Takes int64 (batch, time), gives logits (batch, C) or (batch, 1). Left in evaluation mode.
        loss_op: See `calc_loss`; a mean over the batch.
        optim_op: Holds the parameters to train.
        train_gen: Batches of an epoch, iterated once for each.
        val_gen: Batches of the validation set.
        epochs: At most so many.
        checkpoint_path: Where the best weights are kept; the file is left there.
        patience: Stop after so many epochs in a row without improvement.
        verbose: 0 is silent, 1 shows a progress bar of epochs, 2 also logs each epoch.

    Returns:
        The lowest validation loss.

    Raises:
        FloatingPointError: The training loss is not finite.
    """
    options = TrainingOptions(epochs=epochs, patience=patience, verbose=verbose)
    best, _ = fit(model, loss_op, optim_op, train_gen, val_gen, options, checkpoint_path=checkpoint_path)
    return best


def tune_trainable(
    model: nn.Module,
    loss_op: nn.Module,
    optim_op: Optimizer,
    train_gen: Batches,
    val_gen: Batches,
    test_gen: Batches,
    nb_epochs: int,
    checkpoint_path: str | os.PathLike[str],
    patience: int = 5,
    evaluate: str = "acc",
    verbose: int = 2,
) -> float:
    """Train the optimizer's parameters and score the test part; see `fit_model` and `finetune`."""
    evaluate = _metric(evaluate)
    fit_model(model, loss_op, optim_op, train_gen, val_gen, nb_epochs, checkpoint_path, patience, verbose)
    return _evaluate(model, test_gen, evaluate, verbose)


def chain_thaw(
    model: nn.Module,
    train_gen: Batches,
    val_gen: Batches,
    test_gen: Batches,
    nb_epochs: int,
    checkpoint_path: str | os.PathLike[str],
    loss_op: nn.Module,
    patience: int = 5,
    initial_lr: float = LEARNING_RATE,
    next_lr: float = PRETRAINED_LEARNING_RATE,
    embed_l2: float = EMBED_L2,
    evaluate: str = "acc",
    verbose: int = 1,
) -> float:
    """Train by chain-thaw and score the test part; see `train_by_chain_thaw` and `finetune`."""
    evaluate = _metric(evaluate)
    train_by_chain_thaw(
        *(model, train_gen, val_gen, loss_op, patience, nb_epochs, checkpoint_path),
        *(initial_lr, next_lr, embed_l2, verbose),
    )
    return _evaluate(model, test_gen, evaluate, verbose)


def train_by_chain_thaw(
    model: nn.Module,
    train_gen: Batches,
    val_gen: Batches,
    loss_op: nn.Module,
    patience: int,
    nb_epochs: int,
    checkpoint_path: str | os.PathLike[str],
    initial_lr: float = LEARNING_RATE,
    next_lr: float = PRETRAINED_LEARNING_RATE,
    embed_l2: float = EMBED_L2,
    verbose: int = 1,
) -> None:
    """Train the last layer, then each other layer alone, first to last, then everything.

    The layers are the model's children; those without parameters have no stage. Each stage is a `fit_model`
    that starts from the best weights of the stage before, the first at `initial_lr`, the others at `next_lr`;
    at the end all parameters are thawed. In the first stage the file may have the output layer alone.
    """
    options = TrainingOptions(
        *("chain-thaw", nb_epochs, patience),
        first_stage_lr=initial_lr,
        pretrained_lr=next_lr,
        embed_l2=embed_l2,
        verbose=verbose,
    )
    train_by_method(model, loss_op, train_gen, val_gen, options, checkpoint_path=checkpoint_path)
