"""``shosei gateway`` as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "shosei", "gateway", "--port", "0", "--json"]


@contextmanager
def gateway(*arguments: str | Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the base URL that it printed."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    try:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())["base_url"]
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
