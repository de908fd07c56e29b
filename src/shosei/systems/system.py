"""An agent system as it is started: under which name, and by which command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from shosei.errors import InputError

_PROCESS = (sys.executable, "-m", "shosei.systems.system_process")


@dataclass(frozen=True)
class System:
    """``arguments`` say to its process what the system is: ``module:function``, or a command."""

    name: str
    arguments: tuple[str, ...]

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
        return [*_PROCESS, "--socket", socket, "--output", output, *self.arguments]
