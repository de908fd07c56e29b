"""The server that is examined."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exam_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()
