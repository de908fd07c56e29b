"""Fixtures that several files use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from shosei.cli import main as cli
from shosei.cli.display import ProgressDisplay
from verb import Shosei
from visits import launched

# A shell starts what runs in its background with interrupts ignored, nohup with hang-ups, and children inherit that:
# tests send them some.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests share the cores with each other and with processes that they start, which inherit this. Where threads are more
# than cores, torch's wait for each other in busy loops: ten times the CPU time. It is set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test depends on time: a busy machine is slow at any example.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; for files that are marked ``NEEDS_BROWSER``."""
    with launched() as browser:
        yield browser


@pytest.fixture
def shosei(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shosei:
    """Run a verb; return its exit code and what it wrote to the two streams, but not of progress: that needs time."""
    monkeypatch.setattr(cli, "ProgressDisplay", lambda: ProgressDisplay(clock=lambda: 0.0))
    for name in ("SHOSEI_RUN", "SHOSEI_ATTEMPT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            cli.main([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return int(exit.value.code or 0), streams.out, streams.err

    return call
