"""A chat and its ratings through a server that is killed again and again, started as the README says."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_visit import ChatVisit
from serve_process import SHOSEI, kill, make_model
from shosei.log import Rating, attempts, read_log
from shosei.log.run import Run
from shosei.wire.endpoint import listen
from verb import Shosei
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
CLICKS = 20
_STEP_S = 0.0003  # later that the kill comes, after each further click; a rating is on the disk after some milliseconds
_BACK_MS = 120_000  # for a server to start and for the page to try again
_EACH_S = 60  # until a server that did not start, or a page that did not answer, counts as hung
SAVED = "保存しました"

# The answers of the page's one conversation, in order: their ids as the browser keeps them.
IDS = """async () => {
  const [{ name }] = await indexedDB.databases();
  const asked = indexedDB.open(name);
  await new Promise((done) => (asked.onsuccess = done));
  const rows = asked.result.transaction("conversations").objectStore("conversations").getAll();
  await new Promise((done) => (rows.onsuccess = done));
  asked.result.close();
  return Object.values(rows.result[0].nodes).filter((node) => node.role === "assistant").map((node) => node.answer);
}"""


@pytest.fixture
def port() -> int:
    with listen("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def server(run: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """``shosei serve`` as the README has it; at the end of the block none of its processes is left."""
    command = [*SHOSEI, "serve", str(run), "--no-spare", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        try:
            assert process.stdout
            assert b"ready" in process.stdout.readline()
            yield process
        finally:
            kill(process)


@pytest.mark.timeout(_EACH_S * (CLICKS + 1))
def test_no_rating_that_the_page_calls_saved_is_lost_to_kill_9(
    browser: Any, tmp_path: Path, port: int, shosei: Shosei
) -> None:
    served, run = Run(tmp_path / "quickstart"), tmp_path / "quickstart-chat"
    with served.recording("data", hashes={"suite:sums": ""}):  # of single questions
        make_model(served.model)
    visit: ChatVisit | None = None
    for number in range(CLICKS):
        with server(served.folder, port) as process:
            visit = visit or ChatVisit(browser, f"http://127.0.0.1:{port}").ready()
            visit.ask(f"{number}番目")
            answer = visit.answers.nth(number)
            rate = answer.get_by_role("button", name="良い回答" if number % 3 else "良くない回答")
            expect(rate).to_be_visible(timeout=_BACK_MS)
            rate.evaluate("button => button.click()")
            time.sleep(number * _STEP_S)
            kill(process)
        stored = {rating.request for rating in read_log(run / "log").of(Rating)}
        visit.page.wait_for_timeout(50)  # for what the server said before it died
        shown = zip(visit.page.evaluate(IDS), visit.page.locator(".rating-status").all(), strict=True)
        assert stored >= {id for id, status in shown if status.text_content() == SAVED}
    assert visit
    with server(served.folder, port):
        expect(visit.page.locator(".rating-status", has_text=SAVED)).to_have_count(CLICKS, timeout=_BACK_MS)
    assert visit.trouble == []
    visit.context.close()

    assert attempts(run / "log") == [1], "a card is of one attempt"
    assert attempts(served.log) == [1]
    assert not read_log(served.log).of(Rating)
    code, out, _ = shosei("card", run, "--json")
    (cell,) = [each for each in json.loads(out)["metrics"] if each["id"] == "satisfaction" and each["n"]]
    good = sum(number % 3 > 0 for number in range(CLICKS))
    assert (code, cell["n"], cell["value"]) == (0, CLICKS, pytest.approx(good / CLICKS, abs=1e-4))
