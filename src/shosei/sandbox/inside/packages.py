"""The packages that programs may import beside the standard library, found one by one: no folder of them is searched.

A folder would give all that is in it, where no wall hides the rest, and nothing where a wall forbids to list it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location


class Finder:
    """An entry of ``sys.meta_path``. ``modules``: of each top-level module its file."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """None where the module is not one of them."""
        file = self._modules.get(name)
        return spec_from_file_location(name, file) if file else None


def allow(modules: Mapping[str, str], named: Sequence[str]) -> None:
    """Make ``modules`` importable, after those of Python itself, and import those ``named``."""
    if modules:
        sys.meta_path.append(Finder(modules))
    for name in named:
        importlib.import_module(name)
