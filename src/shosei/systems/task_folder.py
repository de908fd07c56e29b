"""The folder that each task has for itself: what it makes there is what a grader can look at."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

_LONGEST_NAME = 200  # file systems take 255 bytes


@dataclass(frozen=True)
class TaskFolder:
    """``files`` is the task's to fill. Its answer's file stands beside it, so that the two are not mixed up."""

    files: Path
    answer_file: Path


@asynccontextmanager
async def task_folder(task: str, kept_in: Path | None) -> AsyncIterator[TaskFolder]:
    """An empty folder for ``task``. It is removed at the end of the block, unless it is to be ``kept_in`` another."""
    if kept_in:
        folder = kept_in / _folder_name(task)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)  # left by a measurement that goes on
        folder.mkdir(parents=True)
    else:
        folder = Path(tempfile.mkdtemp(prefix="shosei-task-"))
    files = folder / "files"
    files.mkdir()
    try:
        yield TaskFolder(files, folder / "answer")
    finally:
        if not kept_in:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _folder_name(task: str) -> str:
    """A file's name for ``task``, of which no two are alike and none is too long for a file system."""
    name = quote(task, safe=" #")
    return name if len(name) <= _LONGEST_NAME else f"{name[:180]}-{sha256(task.encode()).hexdigest()[:12]}"
