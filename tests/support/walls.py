"""Which walls stand on this machine: a test that needs one is skipped where none can, and says why."""

from __future__ import annotations

import asyncio

import pytest

from shosei.exam.config import ExamConfig
from shosei.sandbox.config import WALLS, available
from shosei.sandbox.sandbox import Sandbox, SandboxError


def _missing(wall: str) -> str:
    """Why ``wall`` does not stand here; empty if it does."""

    async def start() -> None:
        async with Sandbox(wall, 1, ExamConfig().memory_bytes):
            pass

    if reason := available(wall):
        return reason
    try:
        asyncio.run(start())
    except SandboxError as error:
        return str(error)
    return ""


_REASONS = {wall: _missing(wall) for wall in WALLS}
STANDING = [wall for wall in WALLS if not _REASONS[wall]]
needs_wall = pytest.mark.skipif(not STANDING, reason=f"no wall stands here: {_REASONS}")
needs_sandlock = pytest.mark.skipif("sandlock" not in STANDING, reason=f"sandlock: {_REASONS['sandlock']}")
needs_bubblewrap = pytest.mark.skipif("bubblewrap" not in STANDING, reason=f"bubblewrap: {_REASONS['bubblewrap']}")
