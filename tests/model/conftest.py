"""An import that tries what it takes in this process."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import runpy
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from shosei.cli import limited


@pytest.fixture
def in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """``shosei import`` does what its children would, without their limits: each of them would import torch first.

    For tests of what an import makes. What a child refuses, dies of, or may take at most needs children.
    """
    monkeypatch.setattr(limited, "begin_step", lambda name, seconds, size: None)
    here = SimpleNamespace(run=_run_module, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(limited, "subprocess", here)


def _run_module(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
    """``python -P -m MODULE ARGUMENT …`` here."""
    module, arguments = command[3], command[4:]
    specification = importlib.util.find_spec(module)
    assert specification is not None
    assert specification.origin is not None
    with contextlib.redirect_stdout(io.StringIO()) as told, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(specification.origin, run_name="__main__")
    return subprocess.CompletedProcess(command, int(end.value.code or 0), told.getvalue().encode(), b"")
