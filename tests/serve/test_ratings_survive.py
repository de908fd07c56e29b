"""A run that is served as the README says: what people do is recorded beside it, and outlives kills of the server."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from serve_process import Browser, kill, make_model, serving
from shosei.log import Rating, Request, attempts, read_log
from shosei.log.run import Run
from verb import Shosei

CLICKS = 3
_STEP_S = 0.004  # later that the kill comes, after each further click


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a model and a log."""
    run = Run(tmp_path_factory.mktemp("runs") / "quickstart")
    with run.recording("train", "training"):
        make_model(run.model)
    return run


def test_no_acknowledged_rating_is_lost_to_kill_9(served: Run, shosei: Shosei) -> None:
    """Tests of the page do it twenty times, and in a browser."""
    beside = served.folder.with_name("quickstart-chat")
    acknowledged: set[str] = set()
    rated = []
    for number in range(CLICKS):
        with serving(served.folder) as (process, url):
            rated.append(Browser(url).ask())
            killer = threading.Timer(number * _STEP_S, kill, [process])
            killer.start()
            with suppress(OSError, HTTPException, ValueError):
                click = Browser(url).post({"request": rated[-1], "thumbs": "up"})
                acknowledged |= {rated[-1]} if click.status == 200 else set()
            killer.join()
    assert {rating.request for rating in read_log(beside / "log").of(Rating)} >= acknowledged
    with serving(served.folder) as (_, url):
        for id in set(rated) - acknowledged:
            assert Browser(url).post({"request": id, "thumbs": "up"}).status == 200
    assert attempts(beside / "log") == [1], "a card is of one attempt"
    assert not read_log(served.log).of(Request), "the run's own card stays as it is"
    code, out, _ = shosei("card", beside, "--json")
    (cell,) = [each for each in json.loads(out)["metrics"] if each["id"] == "satisfaction" and each["n"]]
    assert (code, cell["value"], cell["n"]) == (0, 1.0, CLICKS)


def test_nothing_is_recorded_where_nobody_is_to_rate(served: Run, tmp_path: Path, shosei: Shosei) -> None:
    run = tmp_path / "theirs"
    run.symlink_to(served.folder)
    for option, environment in (("--no-run", {"SHOSEI_RUN": str(tmp_path / "named")}), ("--no-page", {})):
        with serving(run, option, **environment) as (_, url):
            assert Browser(url).ask()
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]
    code, _, error = shosei("serve", run, "--run", tmp_path / "named", "--no-run", "--port", "0")
    assert (code, "--no-run records nothing: leave one out" in error) == (2, True)
