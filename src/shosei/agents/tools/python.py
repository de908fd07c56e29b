"""Python, in the exam's sandbox: a process of its own, so that this package knows no room."""

from __future__ import annotations

import subprocess
import sys

from shosei.agents.tools.fault import as_text

_SECONDS = 60.0
_CHARACTERS = 2000


@as_text
def python(code: str) -> str:
    """Runs a program; returns what it prints."""
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "shosei.sandbox.python"], input=code.encode(), capture_output=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ValueError("it takes too long") from None
    if ran.returncode:
        lines = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(lines[-1] if lines else f"exit code {ran.returncode}")
    return ran.stdout.decode("utf-8", "replace")[:_CHARACTERS].strip()
