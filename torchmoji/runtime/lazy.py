"""Names of a package that are loaded when they are first used: importing the package stays quick."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give a package its `__getattr__` and `__dir__`; `homes`: name -> module of the package."""

    def get(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        raise AttributeError(
            f"module {package!r} has no attribute {name!r}; it has {', '.join(sorted(homes))}"
        )

    return get, lambda: sorted(homes)


class MovedModules(MetaPathFinder, Loader):
    """Finds modules under the names from before they moved; `homes`: old name -> new, both in full."""

    def __init__(self, homes: Mapping[str, str]) -> None:
        self.homes = homes

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of a module that has moved."""
        return spec_from_loader(fullname, self) if fullname in self.homes else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in the place of the one that Python has made."""
        sys.modules[module.__name__] = import_module(self.homes[module.__name__])
