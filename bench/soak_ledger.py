"""The ledger of ``bench/soak.py``'s clients, and what it makes of the server's own log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shosei.log import Rating, Request, RunEnd, read_log

BACK_S = 2.0  # after a server answers again, for what was cut off meanwhile
DRAINED_S = 10.0  # the same, for the queue to be as long as before: at 80 % of the capacity it is slow to shrink
WRONG = ("malformed", "oversize", "bomb")  # kinds of clients whose requests cannot be answered


@dataclass
class Exchange:
    """One request as its client saw it; ``kind`` is the name of the key that it showed. Seconds are monotonic.

    ``outcome``: answered | refused | error event | cut (no end came) | left (by the client) | no connection | silent
    (neither answer nor end within the client's patience).
    """

    kind: str
    begin_s: float
    first_s: float = 0.0  # of the body
    end_s: float = 0.0
    status: int | None = None
    outcome: str = "silent"
    answer: str = ""  # its id

    @property
    def took_s(self) -> float:
        return self.end_s - self.begin_s


@dataclass
class Outage:
    """A kill and what followed; for a full disk, how long it was full."""

    name: str
    begin_s: float
    end_s: float = float("inf")

    @property
    def took_s(self) -> float:
        return self.end_s - self.begin_s

    def touches(self, begin_s: float, end_s: float, back_s: float = BACK_S) -> bool:
        return begin_s <= self.end_s + back_s and end_s >= self.begin_s


@dataclass
class Ledger:
    exchanges: list[Exchange] = field(default_factory=list)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)  # ratings: answer, stars
    ratings: Counter[int | None] = field(default_factory=Counter)  # by status
    livez: list[tuple[float, float]] = field(default_factory=list)  # begin, seconds; infinite: no answer
    outages: list[Outage] = field(default_factory=list)  # kills
    full: list[Outage] = field(default_factory=list)  # disks

    def in_outage(self, begin_s: float, end_s: float, back_s: float = BACK_S) -> bool:
        return any(outage.touches(begin_s, end_s, back_s) for outage in self.outages)

    def unexplained(self) -> list[Exchange]:
        """What no client should see while nothing is killed."""
        return [
            exchange
            for exchange in self.exchanges
            if not _as_promised(exchange) and not self.in_outage(exchange.begin_s, exchange.end_s)
        ]

    def longest_probes(self) -> list[tuple[float, float]]:
        """Of /livez and of the small completion, outside kills: when it began, and its seconds."""
        completions = [(each.begin_s, each.took_s) for each in self.exchanges if each.kind == "probe"]
        return [
            max(
                (probe for probe in probes if not self.in_outage(probe[0], sum(probe), DRAINED_S)),
                key=lambda probe: probe[1],
                default=(0.0, 0.0),
            )
            for probes in (self.livez, completions)
        ]

    def overloaded(self) -> int:
        """How many were refused for a full queue that no kill had filled: more was asked than the machine could do."""
        return sum(
            each.status == 429 and not self.in_outage(each.begin_s, each.end_s, DRAINED_S) for each in self.exchanges
        )

    def table(self) -> Iterator[str]:
        kinds = sorted({exchange.kind for exchange in self.exchanges})
        for kind in kinds:
            outcomes = Counter(_outcome(each) for each in self.exchanges if each.kind == kind)
            yield f"  {kind:10} {outcomes.total():7,}  " + ", ".join(f"{n:,} {name}" for name, n in outcomes.items())


@dataclass(frozen=True)
class Account:
    """The clients' ledger against the run's log; all lists are empty where every request is accounted for.

    ``unlogged`` requests have no event though nothing excuses it; ``excused`` ones are no more than those that the
    server says it could not write, while the disk was full.
    """

    unlogged: list[str]
    phantom: list[str]  # events that no client asked for
    differing: list[str]  # the log says another end than the client saw
    excused: int
    dropped: int
    lost_ratings: list[tuple[str, int]]

    @classmethod
    def of(cls, ledger: Ledger, log_folder: Path) -> Account:
        log = read_log(log_folder)
        requests: list[Request] = log.of(Request)
        events = {event.id: event for event in requests}
        rated = {(event.request, event.value) for event in log.of(Rating)}
        dropped = sum(end.dropped for end in log.of(RunEnd) if end.verb == "http")
        named = [each for each in ledger.exchanges if each.answer]
        missing = [each for each in named if each.answer not in events]
        unlogged, phantom, nameless = _compare_nameless(ledger, named, requests)
        full = [each for each in missing if any(disk.touches(each.begin_s, each.end_s) for disk in ledger.full)]
        excused = len(full) + nameless
        return cls(
            [f"{each.kind} {each.answer}" for each in missing if each not in full] + unlogged,
            phantom + ([f"{excused} missing, {dropped} dropped"] if excused > dropped else []),
            [f"{each.answer}: {each.outcome}" for each in named if not _agree(each, events.get(each.answer), ledger)],
            excused,
            dropped,
            [rating for rating in ledger.acknowledged if rating not in rated],
        )

    @property
    def whole(self) -> bool:
        return not (self.unlogged or self.phantom or self.differing)


def _compare_nameless(
    ledger: Ledger, named: list[Exchange], requests: list[Request]
) -> tuple[list[str], list[str], int]:
    """Requests whose clients got no id, by kind and status: without events, events without any, and how many of the
    first fell into a full disk."""
    ids = {each.answer for each in named}
    events = Counter((event.api_key, _seen_status(event)) for event in requests if event.id not in ids)
    # Whoever left or was cut off before a header may be in the log with any status, or, not read yet, not at all.
    open_ended = Counter(each.kind for each in ledger.exchanges if not each.answer and each.status is None)
    refused = [each for each in ledger.exchanges if not each.answer and each.status is not None]
    wanted = Counter((each.kind, each.status) for each in refused)
    in_full = Counter(
        (each.kind, each.status)
        for each in refused
        if any(disk.touches(each.begin_s, each.end_s) for disk in ledger.full)
    )
    unlogged, excused, surplus = [], 0, Counter[str]()
    for key in wanted.keys() | events.keys():
        lacking = wanted[key] - events[key]
        excused += max(0, min(lacking, in_full[key]))
        if lacking > in_full[key]:
            unlogged.append(f"{lacking - in_full[key]} of {key[0]}, status {key[1]}")
        surplus[key[0]] += max(0, -lacking)
    phantom = [f"{n - open_ended[kind]} of {kind or 'no key'}" for kind, n in surplus.items() if n > open_ended[kind]]
    return unlogged, phantom, excused


def _seen_status(event: Request) -> int | None:
    return None if event.error in ("lost", "disconnect") else event.status


def _agree(exchange: Exchange, event: Request | None, ledger: Ledger) -> bool:
    if event is None or exchange.outcome in ("left", "cut", "silent"):
        return True
    if event.error == "lost":  # killed after the last byte, and before it was written down that it was the last
        return any(kill.touches(exchange.begin_s, exchange.end_s) for kill in ledger.outages)
    return (event.error == "") == (exchange.outcome == "answered")


def _as_promised(exchange: Exchange) -> bool:
    """Who asks for what can be done gets it, or is told to come later; others are told that it cannot be done."""
    if exchange.outcome == "left":
        return True
    if exchange.kind in WRONG:
        return exchange.outcome == "refused" and 400 <= (exchange.status or 0) < 500
    return exchange.outcome == "answered" or (exchange.outcome == "refused" and exchange.status == 429)


def _outcome(exchange: Exchange) -> str:
    return f"refused with {exchange.status}" if exchange.outcome == "refused" else exchange.outcome


def shown(things: list[str]) -> str:
    """A few of the things, for a line of the table."""
    return json.dumps(things[:3]) if things else ""
