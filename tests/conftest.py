"""Fixtures that several files use."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from shosei.cli import main as cli
from shosei.cli.display import ProgressDisplay
from verb import Shosei

# A shell starts what runs in its background with interrupts ignored, and children inherit that: tests send them some.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test depends on time: a busy machine is slow at any example.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


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
