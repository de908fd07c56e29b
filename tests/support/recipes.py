"""What the recipes of ``examples/`` need to run as their user runs them."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """The process's environment with ``settings``, a free $PORT and, below ``folder``, a program ``shosei``."""
    program = folder / "bin/shosei"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m shosei "$@"\n')
    program.chmod(0o755)
    own = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PORT": str(_free_port()), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, **settings}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
