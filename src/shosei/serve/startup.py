"""Before a server starts: whether it goes on in its attempt, and the private folder where front and engine meet."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shosei.files import remove
from shosei.log import Log, RunBegin
from shosei.log.process import is_running

_PREFIX = "shosei-serve-"
_MAX_PARENT_BYTES = 56  # Linux allows a Unix socket's path 107 bytes, macOS 103
_MEASURING = ("load", "exam")
_SERVED_ALIKE = ("name", "slots")


def must_be_new(log: Log, config: dict[str, Any], hashes: dict[str, str]) -> bool:
    """Whether a server must not record into the attempt of ``log``.

    That is so where its last server still runs or had another model, name or number of slots, and where a load or an
    exam has measured it: the next one would begin an attempt, and find no server in it.
    """
    begins = log.of(RunBegin)
    before = [begin for begin in begins if begin.verb == "serve"]
    if not before:
        return False
    last = before[-1]
    return (
        any(begin.verb in _MEASURING for begin in begins)
        or last.hashes != hashes
        or any(last.config.get(key) != config[key] for key in _SERVED_ALIKE)
        or is_running(last.process)
    )


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only this user can open, for the length of the block. Removes those of servers that were killed."""
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > _MAX_PARENT_BYTES:
        parent = Path("/tmp")
    for old in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another server may be removing it too
            if _is_abandoned(old):
                remove(old)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent) as folder:
        yield Path(folder)


def _is_abandoned(folder: Path) -> bool:
    """Whether it is ours and the process in its name is gone."""
    named = re.match(rf"{_PREFIX}(\d+)-", folder.name)
    if not named or folder.lstat().st_uid != os.getuid():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    return False
