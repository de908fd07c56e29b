"""How often the interval of an error rate holds the server's own: ``python bench/error_intervals.py [REPETITIONS]``.

Simulated loads of 15 s to an hour, 100 to 28,800 requests, 0.1 to 20 % of which fail: each by itself, or all during
outages of 0.3 to 60 s. A line for each scenario in which fewer than 93 % of the card's intervals hold the rate, with
those over 40 fixed time batches beside them.

No rule can do everything: if a load without a failure shows a rate below u, then a server with a higher rate is held at
most as often as its load sees a failure. Scenarios in which that alone makes it less than 95 % are counted, not tried.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

from shosei.metrics import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from outages import Load, coverage, of_forty_batches, of_the_card

SIZES = ((120, 15), (240, 30), (100, 60), (720, 90), (600, 3600), (4800, 600), (28_800, 3600))
RATES = (0.001, 0.003, 0.01, 0.03, 0.07, 0.2)
OUTAGES = ((0, False), (0.3, False), (1, False), (2, True), (5, False), (5, True), (20, False), (60, True))
ENOUGH, MOST_REQUESTS = 0.93, 5000  # of more, 40 batches would take minutes


def is_possible(load: Load) -> bool:
    """Whether any interval that is as narrow where nothing fails could hold the rate often enough."""
    chances = min(load.requests, stats.time_batches_of(load.seconds))
    _, highest = stats.wilson(0, chances)
    return highest is not None and (load.rate < highest or load.none_fails < 0.05)


def main() -> None:
    """Print the scenarios that are not held, and how many there are of each kind."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    every = [Load(*size, rate, *outage) for size, rate, outage in product(SIZES, RATES, OUTAGES)]
    possible = [load for load in every if is_possible(load)]
    held: dict[str, list[float]] = {"the card's": [], "over 40 batches": []}
    for load in possible:
        share, width = coverage(load, of_the_card, repetitions)
        held["the card's"].append(share)
        line = f"{load}: {load.bursts:.1f} bursts; card {share:.3f} ({width:.2%} wide)"
        if load.requests < MOST_REQUESTS:
            before, wide = coverage(load, of_forty_batches, repetitions)
            held["over 40 batches"].append(before)
            line += f"; 40 batches {before:.3f} ({wide:.2%})"
        if share < ENOUGH:
            print(line, flush=True)
    print(f"{len(every)} scenarios, {len(possible)} possible, {repetitions} loads of each")
    for name, shares in held.items():
        missed = sum(share < ENOUGH for share in shares)
        print(f"{name}: below {ENOUGH:.0%} in {missed} of {len(shares)}, {min(shares):.3f} at least")


if __name__ == "__main__":
    main()
