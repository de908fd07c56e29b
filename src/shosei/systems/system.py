"""An agent system as it is started: under which name, and by which command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shosei.errors import InputError, installing

_MODULE = "shosei.systems.system_process"
_PROCESS = (sys.executable, "-m", _MODULE)
_LOOKS_FOR = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"


@dataclass(frozen=True)
class System:
    """``arguments`` say to its process what the system is: ``module:function``, or a command.

    One that is ``ours`` runs in our environment: what the user's PYTHONPATH and folder hold for another is not its own.
    """

    name: str
    arguments: tuple[str, ...]
    ours: bool = False

    @classmethod
    def of_ours(cls, name: str, location: str, package: str) -> System:
        """One that comes along, at ``module:function``. Raises InputError if ``package``, of ours, is not installed."""
        system = cls(name, (location,), ours=True)
        argv = [sys.executable, "-P", "-c", _LOOKS_FOR, package]
        if subprocess.run(argv, env={**os.environ, **system.environment}, stdin=subprocess.DEVNULL).returncode:
            raise InputError(f"the system '{name}' needs {package}: {installing('agents')}")
        return system

    @classmethod
    def of_function(cls, name: str, location: str) -> System:
        """The function at ``module:function``. Raises InputError if it cannot be loaded."""
        loaded = subprocess.run([*_PROCESS, location], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if loaded.returncode:
            words = loaded.stderr.strip().splitlines() or [f"cannot load {location}"]
            raise InputError(words[-1].removeprefix("shosei: "))
        return cls(name, (location,))

    @classmethod
    def of_command(cls, name: str, command: Sequence[str]) -> System:
        """Raises InputError if there is no such program."""
        if shutil.which(command[0]) is None:
            raise InputError(f"cannot run '{command[0]}': no such program; give its path, or correct PATH")
        return cls(name, ("--command", "--", *command))

    def command_line(self, socket: str, output: str) -> list[str]:
        """The command that starts its process."""
        process = (sys.executable, "-P", "-m", _MODULE) if self.ours else _PROCESS
        return [*process, "--socket", socket, "--output", output, *self.arguments]

    @property
    def environment(self) -> dict[str, str]:
        """What its process has otherwise than we."""
        return {"PYTHONPATH": _own_python_path()} if self.ours else {}


def _own_python_path() -> str:
    """Of PYTHONPATH, the folder that this program itself is loaded from; empty if that is installed."""
    source = str(Path(__file__).parents[2])
    return source if source in os.environ.get("PYTHONPATH", "").split(os.pathsep) else ""
