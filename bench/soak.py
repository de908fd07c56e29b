"""A server that is left alone, with bad company: ``python bench/soak.py [--minutes 20] [--json FILE] [--no-waits]``.

``shosei serve --run`` on a small model of random weights. Its capacity is measured first; then requests come at 80 %
of it, streamed and whole, and some answers are rated. Beside them come clients that leave, malformed bodies, prompts
that are too long, readers that are slow, schemas that no compiler finishes. In the first third the engine is killed
three times and the front once; later the disk is full for a while (where a small file system can be mounted: as root).
The clients keep a ledger of their own. Prints what they saw and each promise; ends with 1 where one is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from soak_clients import Clients
from soak_ledger import Account, Exchange, Ledger, Outage, shown
from soak_server import SLOTS, Server, make_keys, make_model, serving, small_disk

SHARE = 0.8  # of the capacity
NUISANCES_S = {"leaver": 1.0, "malformed": 0.5, "oversize": 2.0, "slow": 4.0, "bomb": 15.0}  # seconds between two
KILLS = ((0.03, "engine"), (0.09, "engine"), (0.15, "engine"), (0.21, "front"))  # when, as shares of the time
FULL = (0.5, 0.55)
STEADY = 1 / 3  # from here on memory is looked at
LONGEST_PROBE_S = 2.0
MOST_GROWN_BYTES = 4e6  # for certain
_VERDICTS = {True: "kept", False: "BROKEN", None: "not judged"}
KEYS = ["whole", "stream", *NUISANCES_S, "probe", "round", "rating"]


@dataclass(frozen=True)
class Promise:
    name: str
    kept: bool | None  # None: this soak cannot tell
    seen: str

    def __str__(self) -> str:
        return f"{_VERDICTS[self.kept]:10}  {self.name}: {self.seen}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument(
        "--no-waits",
        action="store_true",
        help="tell how long probes waited, but do not judge it: for machines that others use as well",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, small_disk(Path(scratch, "disk")) as own_disk:
        root, run = Path(scratch), Path(scratch, "disk", "run")
        keys = make_keys(root / "keys.toml", KEYS)
        errors = root / "errors.txt"
        with serving(make_model(root), run, root / "keys.toml", errors) as server:
            soak = Soak(server, keys, options.minutes * 60, own_disk, judges_waits=not options.no_waits)
            asyncio.run(soak.run())
        promises = list(soak.promises(Account.of(soak.ledger, run / "log")))
        show(soak, promises, own_disk)
        broken = any(promise.kept is False for promise in promises)
        if broken:
            print("the server's last words:", *errors.read_text().splitlines()[-20:], sep="\n  ")
    if options.json:
        options.json.write_text(json.dumps(soak.figures(promises)))
    return int(broken)


class Soak:
    """One soak of ``seconds``."""

    def __init__(
        self, server: Server, keys: dict[str, str], seconds: float, own_disk: bool, judges_waits: bool = True
    ) -> None:
        self._server, self._seconds, self._own_disk, self._judges_waits = server, seconds, own_disk, judges_waits
        self.ledger = Ledger()
        self._clients = Clients(server.port, keys, self.ledger)
        self._random = random.Random(1)
        self._tasks: set[asyncio.Task[object]] = set()
        self._begin = self._end = 0.0
        self.capacity = 0.0  # requests a second
        self.round: list[Exchange] = []  # of all slots, at the end

    async def run(self) -> None:
        self.capacity = await self._measure_capacity(min(20.0, self._seconds / 12))
        self._begin = time.monotonic()
        self._end = self._begin + self._seconds
        loops = [self._traffic(), self._each_second(), self._kill()]
        loops += [self._nuisance(kind, every_s) for kind, every_s in NUISANCES_S.items()]
        await asyncio.gather(*loops, *([self._full_disk()] if self._own_disk else []))
        await asyncio.gather(*self._tasks)
        self.round = await asyncio.gather(*(self._clients.long() for _ in range(SLOTS)))

    async def _measure_capacity(self, seconds: float) -> float:
        """Answers a second with twice as many clients as slots, each of which asks again once it has its answer."""
        end = time.monotonic() + seconds

        async def client(number: int) -> int:
            answers = 0
            while time.monotonic() < end:
                exchange = await (self._clients.stream() if number % 2 else self._clients.whole())
                answers += exchange.outcome == "answered" and exchange.end_s <= end
            return answers

        return sum(await asyncio.gather(*(client(number) for number in range(2 * SLOTS)))) / seconds

    async def _traffic(self) -> None:
        """Requests at random times, whatever becomes of those before."""
        at = time.monotonic()
        while (at := at + self._random.expovariate(SHARE * self.capacity)) < self._end:
            await asyncio.sleep(at - time.monotonic())
            self._start(self._random.choice((self._clients.whole, self._clients.stream)))

    async def _nuisance(self, kind: str, every_s: float) -> None:
        while (wait_s := self._random.expovariate(1 / every_s)) < self._end - time.monotonic():
            await asyncio.sleep(wait_s)
            self._start(self._clients.kinds[kind])

    async def _each_second(self) -> None:
        while time.monotonic() < self._end:
            self._start(self._clients.alive)
            self._start(self._clients.probe)
            self._server.sample()
            await asyncio.sleep(1)

    def _start(self, ask: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.ensure_future(ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kill(self) -> None:
        for share, name in KILLS:
            await asyncio.sleep(self._begin + share * self._seconds - time.monotonic())
            outage = Outage(name, time.monotonic())
            self.ledger.outages.append(outage)
            self._server.child(name).kill()
            while (await self._clients.probe()).outcome != "answered":
                await asyncio.sleep(0.1)
            outage.end_s = time.monotonic()

    async def _full_disk(self) -> None:
        begin, end = (self._begin + share * self._seconds for share in FULL)
        await asyncio.sleep(begin - time.monotonic())
        full = Outage("full disk", time.monotonic())
        self.ledger.full.append(full)
        filler = await asyncio.to_thread(self._server.fill_disk)
        await asyncio.sleep(end - time.monotonic())
        filler.unlink()
        full.end_s = time.monotonic()

    def figures(self, promises: list[Promise]) -> dict[str, object]:
        """For a file: what was promised and seen; the memory of each process's own, by second."""
        own = {
            name: [(pid, round(at - self._begin, 1), size) for pid, at, size in samples]
            for name, samples in self._server.own.items()
        }
        return {"promises": [asdict(promise) for promise in promises], "capacity": self.capacity, "own": own}

    def promises(self, account: Account) -> Iterator[Promise]:
        unexplained = self.ledger.unexplained()
        ends = [f"{each.kind}: {each.outcome} {each.status or ''}" for each in unexplained]
        yield Promise(
            "outside kills each request has a whole answer, or is refused",
            not ends,
            f"{len(ends)} have none {shown(ends)}",
        )
        faults = account.unlogged + account.phantom + account.differing
        seen = f"{len(faults)} differ {shown(faults)}; {account.excused} not written while the disk was full"
        yield Promise("the log has each request as its client saw it", account.whole, seen)
        lost = len(account.lost_ratings)
        seen = f"{lost} of {len(self.ledger.acknowledged)} lost; all, by status: {dict(self.ledger.ratings)}"
        yield Promise("no acknowledged rating is lost", not lost, seen)
        yield from self._probes()
        yield from self._memory()
        together = max(each.first_s or float("inf") for each in self.round) < min(each.end_s for each in self.round)
        whole = all(each.outcome == "answered" for each in self.round)
        seen = f"{SLOTS} answers {'side by side' if together else 'one after another'}"
        yield Promise("no slot is stuck", together and whole, seen)

    def _probes(self) -> Iterator[Promise]:
        (livez_at, livez), (small_at, small) = self.ledger.longest_probes()
        seen = f"{livez:.2f} s (second {livez_at - self._begin:.0f})"
        yield Promise(f"/livez waits at most {LONGEST_PROBE_S:g} s", self._judged_wait(livez), seen)
        seen, kept = f"{small:.2f} s (second {small_at - self._begin:.0f})", self._judged_wait(small)
        if kept is False and (refused := self.ledger.overloaded()):
            kept, seen = None, f"{seen}; {refused} were refused for a full queue: more was asked than could be done"
        yield Promise(f"one token waits at most {LONGEST_PROBE_S:g} s", kept, seen)

    def _judged_wait(self, wait_s: float) -> bool | None:
        return wait_s <= LONGEST_PROBE_S if self._judges_waits else None

    def _memory(self) -> Iterator[Promise]:
        for name in ("front", "engine"):
            steady_s = self._begin + STEADY * self._seconds
            warm_s = self._server.warm_s(name)
            if slope := self._server.memory(name, max(steady_s, warm_s)):
                yield Promise(f"the {name} does not grow", slope.surely_grown <= MOST_GROWN_BYTES, str(slope))
            else:
                slope = self._server.memory(name, steady_s)
                yield Promise(f"the {name} does not grow", None, f"its start is too near; {slope or 'few samples'}")


def show(soak: Soak, promises: list[Promise], own_disk: bool) -> None:
    busy = f"load average {os.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
    print(f"capacity {soak.capacity:.1f} requests/s of which {SHARE:.0%} were asked for; {busy}")
    print("requests by kind of client:", *soak.ledger.table(), sep="\n")
    for outage in soak.ledger.outages:
        print(f"  {outage.name} killed: answers again after {outage.took_s:.1f} s")
    for disk in soak.ledger.full:
        print(f"  disk full for {disk.took_s:.1f} s")
    if not own_disk:
        print("  skipped: a full disk, for which a small file system must be mounted, and that takes root")
    for promise in promises:
        print(promise)


if __name__ == "__main__":
    sys.exit(main())
