"""The type of the fixture that runs a verb."""

from __future__ import annotations

from collections.abc import Callable

Shosei = Callable[..., tuple[int, str, str]]  # arguments to exit code, standard output and standard error
