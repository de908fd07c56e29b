"""How often the interval of an error rate holds the server's own rate: failures alone, and in outages."""

from __future__ import annotations

import numpy as np
import pytest

from outages import Load, coverage, of_forty_batches, of_the_card
from shosei.metrics import stats
from shosei.profile.profile import read_profile

MINUTES, HOUR = 600, 3600


@pytest.mark.parametrize(
    "load",
    [
        Load(120, 15, 0.01),
        Load(240, 30, 0.2),
        Load(720, 90, 0.001),  # about half of the loads see no failure
        Load(720, 90, 0.03, outage_s=1),
        Load(720, 90, 0.003, outage_s=20),  # nearly all see none
        Load(720, 90, 0.2, outage_s=5, fixed=True),
        Load(4800, MINUTES, 0.01, outage_s=1),
        Load(4800, MINUTES, 0.05, outage_s=5),
        Load(600, HOUR, 0.01),
        Load(600, HOUR, 0.2, outage_s=60),
        Load(600, HOUR, 0.003, outage_s=60, fixed=True),
    ],
    ids=str,
)
def test_the_interval_holds_the_rate(load: Load) -> None:
    assert coverage(load, of_the_card, 400)[0] >= 0.93


def test_no_failure_counts_like_one_chance_a_second() -> None:
    """The plain bound of a load in which two in three seconds see nothing of outages of a second."""
    load = Load(2000, 120, 0.01, outage_s=1)
    assert load.none_fails == pytest.approx(0.294, abs=0.01)
    assert coverage(load, of_the_card, 400)[0] >= 0.93


def test_few_outages_were_held_too_seldom_by_forty_batches() -> None:
    """Four and a half outages of five seconds: one that lasts longer than a batch seems to be several."""
    load = Load(720, 90, 0.2, outage_s=5)
    assert coverage(load, of_forty_batches, 300)[0] < 0.85
    assert coverage(load, of_the_card, 300)[0] >= 0.9


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_failures_that_come_alone_cost_little(rate: float) -> None:
    """Ten minutes of eight a second: hardly wider than if every request were known to be independent."""
    low, high = stats.wilson(4800 * rate, 4800)
    assert low is not None
    assert high is not None
    assert coverage(Load(4800, MINUTES, rate), of_the_card, 100)[1] < 1.8 * (high - low)


def test_a_chatbots_own_load_without_an_error_shows_its_limit() -> None:
    profile = read_profile("chatbot")
    seconds, requests = (profile.load_settings()[name] for name in ("seconds", "rate"))
    moments, failed = Load(round(requests * seconds), seconds, rate=0).drawn(np.random.default_rng(1))
    assert not failed.any()
    _, high = of_the_card(moments, failed, seconds)
    limit = profile.inference["error_rate"].max
    assert high is not None
    assert limit is not None
    assert high < limit
