"""Ratings through a gateway that is killed again and again: what was acknowledged is on the card."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from gateway_process import gateway
from load_server import served
from serve_process import Browser
from shosei.log import Rating, attempts, read_log
from verb import Shosei

CLICKS = 20
_STEP_S = 0.001  # later that the kill comes, after each further click


@pytest.mark.long
def test_no_acknowledged_rating_is_lost_to_kill_9(tmp_path: Path, shosei: Shosei) -> None:
    """Twenty clicks, each with a kill before its answer or soon after; what was not acknowledged is sent again."""
    run = tmp_path / "run"
    acknowledged: set[str] = set()
    with served() as server:
        started = ("--upstream", server.url, "--run", run)
        with gateway(*started) as (_, base):
            reader = Browser(base.removesuffix("/v1"))
            rated = [reader.ask(model="mock") for _ in range(CLICKS)]
        for number, id in enumerate(rated):
            with gateway(*started) as (process, base):
                killer = threading.Timer(number * _STEP_S, process.kill)
                killer.start()
                with suppress(OSError, HTTPException, ValueError):
                    click = Browser(base.removesuffix("/v1")).post({"request": id, "thumbs": "up"})
                    acknowledged |= {id} if click.status == 200 else set()
                killer.join()
        assert {rating.request for rating in read_log(run / "log").of(Rating)} >= acknowledged
        with gateway(*started) as (_, base):
            again = Browser(base.removesuffix("/v1"))
            for id in set(rated) - acknowledged:
                assert again.post({"request": id, "thumbs": "up"}).status == 200
    assert attempts(run / "log") == [1], "a card is of one attempt"
    log = read_log(run / "log")
    assert {rating.request for rating in log.of(Rating)} == set(rated)
    code, out, _ = shosei("card", run, "--json")
    (cell,) = [each for each in json.loads(out)["metrics"] if each["id"] == "satisfaction" and each["n"]]
    assert (code, cell["value"]) == (0, 1.0)
    assert cell["n"] == len({(rating.rater, rating.request) for rating in log.of(Rating)}) >= CLICKS
