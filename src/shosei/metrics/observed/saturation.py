"""Whether a server keeps up with what it is offered. Saturation is about waiting, not about errors."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass

import numpy as np

from shosei.log import Columns
from shosei.metrics.observed.requests import Offered, mean_in_flight
from shosei.metrics.observed.series import Bins

KEEPING_UP = 0.95  # of what is offered
_FULL = ("429", "timeout")  # errors that say: more came than could be taken
_UNAVAILABLE = 503
_EARLY = 0.1  # of the window: so long a request takes while it has not yet been seen to wait longer and longer
_TREND_BATCHES = 20
_Z = 3.09  # one-sided 0.1 %


@dataclass(frozen=True, slots=True)
class Saturation:
    """Three signs that more came than a server could take; one is enough."""

    scheduled: int  # within the window
    turned_away: int  # of these: refused because the server was full (429, 503), or never answered (timeout)
    due: int  # what should have ended within the window, had every request taken as long as the early ones
    ended: int  # what did, answered or failed, but not turned away
    grows: bool  # whether the number in flight grew

    @property
    def turns_away(self) -> bool:
        return self.turned_away > (1 - KEEPING_UP) * self.scheduled

    @property
    def falls_behind(self) -> bool:
        """Whether it ended too few, and not by a straggler or two of a small number: half of a Poisson deviation."""
        return self.ended < KEEPING_UP * self.due and self.due - self.ended > math.sqrt(self.due) / 2

    def __bool__(self) -> bool:
        return self.turns_away or self.falls_behind or self.grows


def saturation(load: Offered) -> Saturation:
    """The signs within the load's window.

    A request that fails at once has ended: it makes nobody wait. What is in flight at the window's edges is allowed
    for: with requests of 5 s, those that were scheduled in the last 5 s are not due yet, and those from the 5 s before
    the window are. In flight there are more and more until the first ones end: growth is looked for after that.
    """
    requests, window = load.requests, load.window
    finished = requests.at(requests.has("done_ns"))
    taken_ns = finished["done_ns"] - finished["scheduled_ns"]
    early_end = window.begin_ns + int(_EARLY * (window.end_ns - window.begin_ns))
    is_early = (window.begin_ns <= finished["scheduled_ns"]) & (finished["scheduled_ns"] < early_end)
    early_ns = int(taken_ns[is_early].mean()) if is_early.any() else 0
    return Saturation(
        scheduled=len(load.scheduled),
        turned_away=int(_turned_away(load.scheduled).sum()),
        due=int(load.counts(requests["scheduled_ns"] + early_ns).sum()),
        ended=int((load.counts(finished["done_ns"]) & ~_turned_away(finished)).sum()),
        # Not told of a window with faults: what they held up is still in flight after them.
        grows=not load.drill.stretches and growing(requests, window.begin_ns + early_ns, window.end_ns),
    )


def _turned_away(requests: Columns) -> np.ndarray:
    turned: np.ndarray = requests.where("error", *_FULL) | (
        requests.has("error") & (requests["status"] == _UNAVAILABLE)
    )
    return turned


def growing(requests: Columns, begin_ns: int, end_ns: int) -> bool:
    """Whether the number under way grew through the window as it does where more comes in than is answered.

    A stable queue wanders too, so two things are asked of the means of 20 time batches: a monotone trend (Mann 1945,
    Kendall's S against its normal limit, one-sided 0.1 %) and a rise, by the median slope (Theil 1950, Sen 1968), of
    more than the square root of the arrivals, which is what their own Poisson noise can bring. In simulated stable
    queues of 1 and 8 places at up to 80 % load it fires in at most 1 % of windows.
    """
    width_ns = (end_ns - begin_ns) // _TREND_BATCHES
    if width_ns <= 0:
        return False
    means = mean_in_flight(requests, Bins(begin_ns, width_ns, _TREND_BATCHES))
    slopes = [(means[b] - means[a]) / (b - a) for a, b in itertools.combinations(range(_TREND_BATCHES), 2)]
    trend = sum((slope > 0) - (slope < 0) for slope in slopes)
    limit = _Z * math.sqrt(_TREND_BATCHES * (_TREND_BATCHES - 1) * (2 * _TREND_BATCHES + 5) / 18)
    arrivals = int(((begin_ns <= requests["scheduled_ns"]) & (requests["scheduled_ns"] < end_ns)).sum())
    return trend > limit and statistics.median(slopes) * _TREND_BATCHES > math.sqrt(arrivals)
