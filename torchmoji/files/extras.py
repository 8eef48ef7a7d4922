"""Packages that only an extra of torchmoji installs, imported where they are used."""

from importlib import import_module
from typing import Any


def require(package: str, extra: str, purpose: str) -> Any:
    """Import a package of an extra.

    Args:
        package: Its name, or that of a module in it.
        extra: The extra that installs it.
        purpose: What needs it, a noun in the singular: "the ONNX engine".

    Raises:
        ModuleNotFoundError: It is missing; the message names the command that installs it.
    """
    name = package.partition(".")[0]
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name not in (name, package):
            raise  # the package is there, and lacks another one
        raise ModuleNotFoundError(
            f'{purpose} needs {name}, which is not installed: pip install "torchmoji[{extra}]"', name=name
        ) from error
