"""Two network namespaces that stand for two hosts. Needs root and iproute2."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

ADDRESSES = "10.77.0.1", "10.77.0.2"
LINKS = "veth-a", "veth-b"


@contextmanager
def two_namespaces() -> Iterator[tuple[str, str]]:
    """Their names. A veth pair joins them: link and address of each are those of ``LINKS`` and ``ADDRESSES``."""
    names = f"anything-{os.getpid()}-a", f"anything-{os.getpid()}-b"
    try:
        for name in names:
            _ip("netns", "add", name)
        here, there = LINKS
        _ip("link", "add", here, "netns", names[0], "type", "veth", "peer", "name", there, "netns", names[1])
        for name, link, address in zip(names, LINKS, ADDRESSES, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            _ip("-n", name, "link", "set", link, "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
