"""A page of ours before a server that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from page_server import PageServer

if TYPE_CHECKING:
    from page_visit import ChatVisit


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer()
    yield server
    server.stop()


@pytest.fixture
def visit(browser: Any, server: PageServer) -> Iterator[ChatVisit]:
    from playwright.sync_api import expect  # without which the files here are skipped

    from page_visit import ChatVisit

    expect.set_options(timeout=30_000)  # a busy machine is slow at anything

    visit = ChatVisit(browser, server).ready()
    yield visit
    visit.context.close()
    assert visit.trouble == []
    assert all(url.startswith((server.url, "data:", "blob:")) for url in visit.requests), "nobody else is asked"
