"""How programs are run: behind which wall, of those that this machine has, and within which limits."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import Annotated

from pydantic import Field, field_validator

from shosei.config import Config
from shosei.errors import InputError
from shosei.sandbox.inside import syscalls
from shosei.sandbox.packages import allowed, canonical

WALLS = ("bubblewrap", "sandlock")  # strongest first
SANDBOXES = ("auto", *WALLS, "rlimits", "none")


class SandboxConfig(Config):
    """Isolation and limits of a program. They stand in section ``[exam]``."""

    sandbox: str = Field(
        "auto",
        description="Isolation of programs: 'auto' (bubblewrap, else sandlock, whichever holds against the attacks of "
        "the self-test), either by name, 'rlimits' (limits on CPU, memory and system calls, but no wall: a hostile "
        "program can read and write this user's files), or 'none' (programs are asked for, but not run).",
    )
    cpu_s: Annotated[int, Field(ge=1)] = Field(5, description="CPU time of one program, in seconds.")
    wall_s: Annotated[float, Field(gt=0)] = Field(60.0, description="Wall time of one program, in seconds.")
    memory_bytes: Annotated[int, Field(ge=64 << 20)] = Field(512 << 20, description="Address space of one program.")
    packages: list[str] = Field(
        [],
        description="An installed package, such as numpy, that programs and tests may import, with what it requires.",
    )

    @property
    def executes(self) -> bool:
        """Whether programs are run at all."""
        return self.sandbox != "none"

    @field_validator("sandbox")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SANDBOXES:
            raise InputError(f"sandbox '{value}' is not known: choose one of {', '.join(SANDBOXES)}", param="sandbox")
        return value

    @field_validator("packages")
    @classmethod
    def _installed(cls, names: list[str]) -> list[str]:
        allowed(names)
        return sorted({canonical(name) for name in names})


def available(backend: str) -> str:
    """Why ``backend`` cannot be tried on this machine; empty if it can."""
    if sys.platform != "linux" or not syscalls.supported():
        return "it needs Linux on x86-64 or arm64"
    if backend == "bubblewrap" and not shutil.which("bwrap"):
        return "bwrap is not installed (package bubblewrap)"
    if backend == "sandlock" and not importlib.util.find_spec("sandlock"):
        return "it is not installed (pip install '.[sandbox]')"
    return ""
