"""Where the programs of a test have their folders."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs' folders are made; whatever a test does, none of them may stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path
