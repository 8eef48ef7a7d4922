"""Options, each with what it means, its default and its limits in one place: the field of a dataclass."""

import inspect
import math
from collections.abc import Callable
from dataclasses import field, fields
from numbers import Integral, Real
from typing import Any, TypeVar

T = TypeVar("T")
Limit = tuple[str, Callable[[Any], bool]]
"""What a value must do, and whether it does."""

COUNT: Limit = ("be at least 1", lambda value: value >= 1)
POSITIVE: Limit = ("be above 0", lambda value: value > 0)
NOT_NEGATIVE: Limit = ("not be negative", lambda value: value >= 0)
FINITE: Limit = ("be finite", math.isfinite)
SHARE: Limit = ("be a share from 0 to 1", lambda value: 0 <= value <= 1)


def option(default: T, help: str, *limits: Limit, **arguments: Any) -> T:
    """A field of a class of settings.

    Args:
        default: Of the field.
        help: What it means: for the class's docstring, see `documented`, and for the command line.
        *limits: Of its values, see `check_limits`.
        **arguments: Of its option on the command line, as `add_argument` of argparse has them.
    """
    return field(default=default, metadata={"help": help, "limits": limits, "arguments": arguments})


def documented(settings: type[Any]) -> type[Any]:
    """Add to the docstring of a class of settings what its fields mean, and their limits."""
    lines = [inspect.cleandoc(settings.__doc__ or ""), "", "Attributes:"]
    for entry in fields(settings):
        limits = "".join(f" It must {rule}." for rule, _ in entry.metadata["limits"])
        lines.append(f"    {entry.name}: {entry.metadata['help']}.{limits}")
    settings.__doc__ = "\n".join(lines)
    return settings


def check_limits(settings: Any) -> None:
    """Raise `ValueError` for a value that is beyond a limit of its field, or no number where the default is.

    Whole numbers of other types, such as NumPy's, become `int`, others `float`.
    """
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if type(entry.default) in (int, float):
            value = _number(entry.name, value, type(entry.default))
            object.__setattr__(settings, entry.name, value)
        for rule, is_kept in entry.metadata["limits"]:
            if not is_kept(value):
                raise ValueError(f"{entry.name} must {rule}, got {value}")


def _number(name: str, value: Any, kind: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        raise ValueError(f"{name} must be a {'whole ' if kind is int else ''}number, got {value!r}")
    return value if isinstance(value, int | float) else kind(value)


def checked_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number from `least` on; anything else is a `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} on, got {value!r}")
    return int(value)
