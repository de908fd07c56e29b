"""The requests of a log, who saw them, how long each took, and a load of them within a window, faults cut out."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shosei.log import Columns, Fault, Log, Window
from shosei.metrics import stats
from shosei.metrics.metric import Figure, Text, Words, text
from shosei.metrics.observed.plausible import plausible
from shosei.metrics.observed.series import Bins
from shosei.metrics.value import Unmeasurable
from shosei.quantity import NS_PER_MS, NS_PER_S

VANTAGES = ("client", "gateway", "server")  # from the outside in


def of_purpose(log: Log, *purposes: str) -> Columns:
    """The requests that were made for any of these purposes."""
    requests = plausible(log)
    return requests.at(requests.where("purpose", *purposes))


def outermost(requests: Columns) -> tuple[Text, Columns]:
    """The requests as the outermost vantage saw them, and its name. Vantages are never added."""
    seen = requests.texts("seen_by")
    vantage = next((vantage for vantage in VANTAGES if vantage in seen), "client")
    return text(f"term.{vantage}"), requests.at(requests.where("seen_by", vantage))


def offered_load(log: Log, *purposes: str) -> tuple[Text, Columns]:
    """The requests of a purpose, by default of the load or, where there was none, of agents.

    What the harness cancelled is left out: it says nothing about the server.
    """
    for purpose in purposes or ("load", "agents"):
        requests = of_purpose(log, purpose)
        requests = requests.at(~requests.where("error", "cancelled"))
        if len(requests):
            break
    return outermost(requests)


def response_ms(requests: Columns) -> np.ndarray:
    """To the last byte. NaN where a time is not known, as in all that follow."""
    return _ms(requests, "scheduled_ns", "done_ns")


def first_token_ms(requests: Columns) -> np.ndarray:
    """To the first token, be it of a thought; only a streamed answer has one."""
    return _ms(requests, "scheduled_ns", "first_token_ns")


def first_answer_ms(requests: Columns) -> np.ndarray:
    """To the first token that is no thought; known where any of the answers began with a thought."""
    if not (requests["first_answer_ns"] > requests["first_token_ns"]).any():
        return np.full(len(requests), np.nan)
    return _ms(requests, "scheduled_ns", "first_answer_ns")


def timed_tokens(requests: Columns) -> np.ndarray:
    """The tokens whose times a stream shows: all, or the answer's alone where its thoughts are hidden."""
    return requests["tokens_out"] - np.where(_hides_thoughts(requests), requests["tokens_reasoning"], 0)


def inter_token_ms(requests: Columns) -> np.ndarray:
    """Mean time of a token after the first; also NaN where an answer has a single token.

    Thoughts that were counted but not streamed, or only as a summary, took their time before the first piece of the
    answer: there it is the mean of the answer's own tokens.
    """
    tokens = timed_tokens(requests)
    gaps = np.where(tokens < 2, np.nan, tokens - 1)
    # A server, and an older log, know only when all was sent.
    is_told = requests.has("last_token_ns")
    shown, hidden = (
        np.where(is_told, *(_ms(requests, since, until) for until in ("last_token_ns", "done_ns")))
        for since in ("first_token_ns", "first_answer_ns")
    )
    return np.where(_hides_thoughts(requests), hidden, shown) / gaps


def _hides_thoughts(requests: Columns) -> np.ndarray:
    """Where far fewer thoughts were streamed than counted. In doubt the answer alone is timed, which is never wrong."""
    thoughts = np.where(requests.has("tokens_reasoning"), requests["tokens_reasoning"], 0)
    hides: np.ndarray = (2 * requests["thought_pieces"] < thoughts) & requests.has("tokens_out")
    return hides


def longest_gap_ms(requests: Columns) -> np.ndarray:
    """The longest wait between two pieces of a streamed answer."""
    return np.where(requests.has("longest_gap_ns"), requests["longest_gap_ns"], np.nan) / NS_PER_MS


def _ms(requests: Columns, since: str, until: str) -> np.ndarray:
    times: np.ndarray = (requests[until] - requests[since]) / NS_PER_MS
    times[~(requests.has(since) & requests.has(until))] = np.nan
    return times


def steady_window(log: Log) -> Window:
    """The load's steady window. Raises Unmeasurable where there is none."""
    steady = [window for window in log.of(Window) if window.name == "steady" and window.end_ns > window.begin_ns]
    if not steady:
        raise Unmeasurable("not_measured", "performance.no_steady_window", "shosei load URL --seconds 30")
    return steady[-1]


def why_invalid(window: Window) -> Words:
    """Why what was measured in a window does not count, and what to do; empty where it does."""
    if window.client is None:
        return window.invalid
    if window.client.lacked == "connections":
        return text("performance.client_lacked_connections")
    lag, cpu = f"{window.client.lag_ms:.0f}", f"{window.client.cpu:.0%}"
    return text("performance.client_lacked_time", lag=lag, cpu=cpu)


def time_batches(when_ns: np.ndarray, begin_ns: int, end_ns: int, count: int = stats.BATCHES) -> np.ndarray:
    """Which of ``count`` equal stretches from ``begin_ns`` to ``end_ns`` each moment lies in or nearest to."""
    within = np.clip(when_ns, begin_ns, max(begin_ns, end_ns)) - begin_ns
    batches: np.ndarray = np.minimum(count - 1, within * count // max(1, end_ns - begin_ns))
    return batches


def by_time(
    when_ns: np.ndarray, values: np.ndarray, begin_ns: int, end_ns: int, count: int = stats.BATCHES
) -> list[np.ndarray]:
    """The values at those moments, by which of ``count`` time batches they lie in."""
    place = time_batches(when_ns, begin_ns, end_ns, count)
    order = np.argsort(place, kind="stable")
    return np.split(values[order], np.searchsorted(place[order], range(1, count)))


def injected(log: Log) -> list[Fault]:
    """The faults that were injected on purpose."""
    return [fault for fault in log.of(Fault) if fault.injected]


@dataclass(frozen=True, slots=True)
class Drill:
    """The injected faults of one boot's clock, as stretches ``(begin_ns, end_ns)`` that do not overlap."""

    stretches: list[tuple[int, float]]

    @classmethod
    def of(cls, log: Log, boot: str) -> Drill:
        """Faults that overlap become one; one that never ended has no end."""
        stretches: list[tuple[int, float]] = []
        faults = [fault for fault in injected(log) if fault.boot == boot]
        for fault in sorted(faults, key=lambda fault: fault.begin_ns):
            end = float("inf") if fault.end_ns is None else fault.end_ns
            if stretches and fault.begin_ns <= stretches[-1][1]:
                stretches[-1] = stretches[-1][0], max(end, stretches[-1][1])
            else:
                stretches.append((fault.begin_ns, end))
        return cls(stretches)

    def covers(self, when_ns: np.ndarray) -> np.ndarray:
        """Whether a fault lasted at each of these moments."""
        covered = np.zeros(len(when_ns), dtype=bool)
        for begin, end in self.stretches:
            covered |= (begin <= when_ns) & (when_ns < end)
        return covered

    def seconds(self, begin_ns: float, end_ns: float) -> float:
        """How long faults lasted between the two."""
        lasted = [min(end, end_ns) - max(begin, begin_ns) for begin, end in self.stretches]
        return sum(part for part in lasted if part > 0) / NS_PER_S


@dataclass(frozen=True)
class Offered:
    """The requests of a load, and the window that is looked at, from which injected faults are cut out."""

    window: Window
    drill: Drill
    vantage: Text
    requests: Columns

    @cached_property
    def seconds(self) -> float:
        return math.fsum(self.stretches)

    @cached_property
    def stretches(self) -> list[float]:
        """Seconds of each time batch, without faults."""
        begin, width = self.window.begin_ns, (self.window.end_ns - self.window.begin_ns) / stats.BATCHES
        edges = [begin + index * width for index in range(stats.BATCHES + 1)]
        return [(end - begin) / NS_PER_S - self.drill.seconds(begin, end) for begin, end in itertools.pairwise(edges)]

    @cached_property
    def scheduled(self) -> Columns:
        """What should have been sent within the window."""
        return self.requests.at(self.counts(self.requests["scheduled_ns"]))

    @cached_property
    def drilled(self) -> int:
        """How many should have been sent within the window while a fault lasted."""
        when_ns = self.requests["scheduled_ns"]
        return int((self._is_within(when_ns) & self.drill.covers(when_ns)).sum())

    @cached_property
    def good(self) -> Columns:
        """What succeeded and finished within the window."""
        return self.requests.at(self.counts(self.requests["done_ns"]) & ~self.requests.has("error"))

    def counts(self, when_ns: np.ndarray) -> np.ndarray:
        """Whether each of these moments lies within the window, and in no fault."""
        counting: np.ndarray = self._is_within(when_ns) & ~self.drill.covers(when_ns)
        return counting

    def _is_within(self, when_ns: np.ndarray) -> np.ndarray:
        within: np.ndarray = (self.window.begin_ns <= when_ns) & (when_ns < self.window.end_ns)
        return within

    def rate(self, finished: Columns, unit: str, counted: str = "") -> Figure:
        """What finishes a second, with an interval from time batches; ``n`` is how many of them hold any.

        Requests are counted, or a field of theirs that all know.
        """
        place = time_batches(finished["done_ns"], self.window.begin_ns, self.window.end_ns)
        counts = np.bincount(place, finished[counted] if counted else None, minlength=stats.BATCHES)
        batches: list[float] = counts.astype(float).tolist()
        lasting = [(top, seconds) for top, seconds in zip(batches, self.stretches, strict=True) if seconds > 0]
        interval = stats.ratio_interval([top for top, _ in lasting], [seconds for _, seconds in lasting])
        return Figure(sum(batches) / self.seconds, unit, "higher", interval, sum(batch > 0 for batch in batches))


def mean_in_flight(requests: Columns, bins: Bins) -> list[float]:
    """The mean number of requests under way in each bin: scheduled, and neither answered nor failed yet."""
    under_way = requests.at(requests["done_ns"] > requests["scheduled_ns"])
    begin, end = under_way["scheduled_ns"], under_way["done_ns"]
    return [total / bins.width_ns for total in bins.totals((begin, end, (end - begin).astype(float)))]
