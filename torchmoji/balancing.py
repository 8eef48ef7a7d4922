"""What becomes of a model's probabilities: common classes with less of a head start, temperature, thresholds.

A model has learned how often each class occurs, so where a text says little it guesses the commonest: one
text in eight of the default model's data has 😂. Dividing each probability by a power b of its class's
frequency,

    p'_c  ~  p_c / f_c^b,        0 <= b <= 1,

takes some of that off: b = 0 changes nothing, b = 1 gives the guesses for classes that are all alike
frequent. That is what DeepMoji was trained for, on tweets sampled so that emojis were alike.

Source: Saerens, Latinne and Decaestecker 2002 for b = 1; Menon et al. 2021 for the power (logit adjustment).

A fine-tuned classifier may come with a temperature, chosen on texts that training did not see, by which its
logits are divided: above 1 it is less sure of itself, and its order of classes stays. And it may come with a
threshold for each class, above which a text is said to have it.
"""

from collections.abc import Callable, Mapping, Sequence
from reprlib import repr as short
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_SMALLEST = 1e-38  # a probability that has a logarithm


class Balance:
    """Changes probabilities so.

    Args:
        strength: b.
        frequencies: Of each class, as the model has learned them (C,), in any unit; None where nobody knows.
        nb_classes: C.

    Attributes:
        strength, frequencies: As given.

    Raises:
        ValueError: The strength is out of range, or frequencies are missing or do not fit.
    """

    def __init__(self, strength: float, frequencies: Sequence[float] | None, nb_classes: int | None) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"balance must be from 0 (as learned) to 1 (all classes alike), got {strength}")
        self.strength = strength
        self.frequencies: tuple[float, ...] | None = None
        self._weights: npt.NDArray[np.float64] | None = None  # (C,)
        if frequencies is not None:
            self.frequencies = checked_frequencies(frequencies, nb_classes or 0)
            learned = np.array(self.frequencies)
            if strength:
                self._weights = (learned / learned.min()) ** -strength
        elif strength:
            raise ValueError(
                "this model does not say how frequent its classes were in training, so they cannot be "
                "balanced: leave balance= out, or give class_frequencies= to MojiPipeline"
            )

    def __call__(self, probabilities: Floats) -> Floats:
        """Probabilities (n, C) to probabilities (n, C)."""
        if self._weights is None:
            return probabilities
        weighted = probabilities * self._weights
        balanced: Floats = (weighted / weighted.sum(axis=1, keepdims=True)).astype(np.float32)
        return balanced


def with_temperature(probabilities: Any, temperature: float, multi_label: bool = False) -> Floats:
    """What probabilities are where the outputs behind them are divided by a temperature.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Args:
        probabilities: (n, C), each row sums to 1.
        temperature: Above 1 for less certain ones.
        multi_label: Each is a probability on its own.

    Returns:
        float32 (n, C).
    """
    if temperature == 1:
        return np.asarray(probabilities, dtype=np.float32)
    given = np.asarray(probabilities, dtype=np.float64)
    logs = np.log(np.maximum(given, _SMALLEST)) / temperature
    if multi_label:
        odds = logs - np.log(np.maximum(1 - given, _SMALLEST)) / temperature
        return np.exp(-np.logaddexp(0, -odds)).astype(np.float32)
    exponentials = np.exp(logs - logs.max(axis=1, keepdims=True, initial=-np.inf))
    result: Floats = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


FACTS = ("classes", "multi_label", "class_frequencies", "thresholds", "temperature", "max_length")
"""What the files of a model say of it beside its sizes and vocabulary."""


def checked_facts(given: Mapping[str, Any], nb_classes: int | None = None) -> dict[str, Any]:
    """Give the values of `FACTS`, None for what is not given.

    Args:
        given: As a file has them, among others.
        nb_classes: How many classes there are, 0 for none; None where nobody knows yet.

    Raises:
        ValueError: One is of another form, or of another number of classes.
    """
    classes, multi_label, frequencies, thresholds, temperature, length = map(given.get, FACTS)
    are_names = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if classes is not None and not (classes and are_names):
        raise ValueError(f'"classes" must be a list of names, got {short(classes)}')
    if classes is not None and nb_classes not in (None, len(classes)):
        raise ValueError(f"classes are {len(classes)} names, but the model has {nb_classes or 'no'} classes")
    if not isinstance(multi_label, bool | None):
        raise ValueError(f'"multi_label" must be true or false, got {short(multi_label)}')
    if length is not None and not (type(length) is int and length > 0):
        raise ValueError(f'"max_length" must be a positive number of tokens or null, got {short(length)}')
    return {
        "classes": classes and tuple(classes),
        "multi_label": bool(multi_label),
        "class_frequencies": None if frequencies is None else checked_frequencies(frequencies, nb_classes),
        "thresholds": None if thresholds is None else checked_thresholds(thresholds, nb_classes),
        "temperature": None if temperature is None else checked_temperature(temperature),
        "max_length": length,
    }


def checked_temperature(given: Any) -> float:
    """A temperature.

    Raises:
        ValueError: It is no number from 0.001 to 1000; beyond that all are the same or alike.
    """
    is_number = isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)
    if not is_number or not 1e-3 <= given <= 1e3:
        raise ValueError(f"temperature must be a number from 0.001 to 1000, got {short(given)}")
    return float(given)


def checked_thresholds(given: Any, nb_classes: int | None = None) -> tuple[float, ...]:
    """A threshold for each class.

    Raises:
        ValueError: It is not a list of as many numbers from 0 to 1.
    """
    wanted = "thresholds must be a number from 0 to 1 for each of the classes"
    return _of_classes(given, lambda numbers: (numbers >= 0) & (numbers <= 1), wanted, nb_classes)


def checked_frequencies(given: Any, nb_classes: int | None = None) -> tuple[float, ...]:
    """A frequency for each class.

    Raises:
        ValueError: It is not a list of as many positive numbers.
    """
    wanted = "class_frequencies must be a list of positive numbers"
    return _of_classes(given, lambda numbers: (numbers > 0) & np.isfinite(numbers), wanted, nb_classes)


def _of_classes(
    given: Any, are_right: Callable[[Any], Any], wanted: str, nb_classes: int | None
) -> tuple[float, ...]:
    try:
        numbers = np.asarray(given, dtype=np.float64)
        is_right = numbers.ndim == 1 and bool(are_right(numbers).all())
    except (TypeError, ValueError, OverflowError):
        is_right = False
    if not is_right:
        raise ValueError(f"{wanted}, got {short(given)}")
    if nb_classes not in (None, len(numbers)):
        name = wanted.split()[0].removeprefix("class_")
        raise ValueError(f"there are {len(numbers)} {name} for a model of {nb_classes or 'no'} classes")
    return tuple(numbers.tolist())
