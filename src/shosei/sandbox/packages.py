"""Installed packages that programs may import: those that are allowed by name and what they require, nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import machinery, metadata

import msgspec

from shosei.errors import InputError

_SUFFIXES = tuple(machinery.all_suffixes())
_LIBRARIES = ".libs"  # a folder of a wheel's shared libraries, as auditwheel names it
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*;?(?P<marker>.*)")


class Packages(msgspec.Struct, frozen=True):
    """``modules``: of each top-level module its file; ``paths``: all that must be readable. ``named`` modules are
    those that were asked for, and are imported before any program begins.
    """

    versions: Mapping[str, str] = {}
    modules: Mapping[str, str] = {}
    paths: Sequence[str] = ()
    named: Sequence[str] = ()

    def __str__(self) -> str:
        """For the log and the card: ``mpmath 1.3.0, sympy 1.14.0``."""
        return ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))


def allowed(names: Iterable[str]) -> Packages:
    """The distributions called ``names`` and what they require. Raises InputError: one of them cannot be allowed."""
    asked = [canonical(name) for name in names]
    distributions = _with_required(asked)
    modules = {name: _modules(distribution) for name, distribution in distributions.items()}
    for name in asked:
        if not modules[name]:
            raise InputError(
                f"package '{name}' cannot be allowed: it has no folder or file of its own among the modules"
            )
    return Packages(
        {name: distribution.version for name, distribution in distributions.items()},
        {module: file for own in modules.values() for module, file in own.items()},
        [path for distribution in distributions.values() for path in _top_level(distribution)],
        [module for name in asked for module in _main(name, modules[name])],
    )


def _with_required(asked: Sequence[str]) -> dict[str, metadata.Distribution]:
    distributions: dict[str, metadata.Distribution] = {}
    pending = list(asked)
    while pending:
        if (name := pending.pop()) in distributions:
            continue
        try:
            distributions[name] = metadata.distribution(name)
            pending += _required(distributions[name])
        except (metadata.PackageNotFoundError, ValueError):
            if name in asked:  # another's requirement may be meant for another platform
                raise InputError(f"package '{name}' is not installed: install it with pip, or leave it out") from None
    return distributions


def canonical(name: str) -> str:
    """A distribution's name in its one form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_of(module: str) -> str:
    """The installed distribution that has the top-level ``module``; empty if none has."""
    return next(iter(metadata.packages_distributions().get(module, ())), "")


def _top_level(distribution: metadata.Distribution) -> list[str]:
    """Its files and folders beside those of other distributions, without folders that it may share with them."""
    names = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    paths = sorted(str(distribution.locate_file(name)) for name in names)
    return [path for path in paths if not os.path.isdir(path) or path.endswith(_LIBRARIES) or _module_file(path)]


def _modules(distribution: metadata.Distribution) -> dict[str, str]:
    """Of each of its top-level modules the file that is loaded for it."""
    files = ((path, _module_file(path)) for path in _top_level(distribution))
    return {os.path.basename(path).partition(".")[0]: file for path, file in files if file}


def _module_file(path: str) -> str:
    """Empty for what is no module."""
    file = os.path.join(path, "__init__.py") if os.path.isdir(path) else path
    return file if file.endswith(_SUFFIXES) and os.path.exists(file) else ""


def _main(name: str, modules: Iterable[str]) -> list[str]:
    """The module that is called as its distribution, or else all that are public."""
    own = name.replace("-", "_")
    return [own] if own in modules else [module for module in modules if not module.startswith("_")]


def _required(distribution: metadata.Distribution) -> list[str]:
    """Names of what it requires without an extra."""
    found = [match for each in distribution.requires or () if (match := _REQUIREMENT.match(each))]
    return [canonical(match["name"]) for match in found if "extra" not in match["marker"]]
