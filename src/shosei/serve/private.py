"""The private folder of one server, where the front and the engine meet on a socket."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shosei.files import remove

_PREFIX = "shosei-serve-"
_MAX_PARENT_BYTES = 56  # Linux allows a Unix socket's path 107 bytes, macOS 103


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
