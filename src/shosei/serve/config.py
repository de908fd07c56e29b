"""What a server can be told; and where its processes meet."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from shosei.files import remove
from shosei.spec.generation import WeightFormat
from shosei.wire.access import AccessConfig
from shosei.wire.rating_config import RatingConfig

_PREFIX = "shosei-serve-"
_MAX_PARENT_BYTES = 56  # Linux allows a Unix socket's path 107 bytes, macOS 103


class AccessLog(StrEnum):
    """The form of the access log."""

    NONE = "none"
    JSON = "json"


class ServeConfig(RatingConfig, AccessConfig):
    """Table ``[serve]`` of the configuration: everything but the model, the run, and a key in plain text."""

    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    name: str = Field("", description="Name that clients call the model by; empty: its own.")

    slots: int = Field(16, ge=1, le=1024, description="Requests that are answered at the same time.")
    weights: WeightFormat = Field(
        WeightFormat.STORED,
        description="stored: in the type of the model's files; int8, int4: matrices in 8 or 4 bits, the rest bf16; "
        "int4-head8: 8 for the head, 4 for all others.",
    )
    context: int = Field(0, ge=0, description="Most tokens of a prompt with its answer; 0: the model's context.")

    prefix_reuse: bool = Field(True, description="Compute what a prompt shares with another one's beginning only once.")
    speculate: bool = Field(
        True, description="Guess tokens from what was said before, and check several at once; answers stay the same."
    )

    native: bool = Field(True, description="Compute in C where this processor and the model allow it, else by torch.")

    body_limit: int = Field(1 << 20, ge=1024, description="The largest body that a request may have, in bytes.")
    waiting: int = Field(64, ge=0, description="Requests that may wait beyond those that are answered; more get 429.")
    drain_s: float = Field(
        20.0, ge=0, description="Seconds that requests under way have to end when the server is to stop."
    )
    strict: bool = Field(
        False, description="Refuse a field that changes nothing here, instead of naming it in a header."
    )

    spare: bool = Field(
        True, description="Keep a second engine process that waits with torch loaded (200 MB) for a crash."
    )
    log: AccessLog = Field(
        AccessLog.NONE, description="json: a line for each request on standard error, without its words."
    )

    page: bool = Field(True, description="Serve the chat page at /.")


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
