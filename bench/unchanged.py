"""What did not become slower: ``python bench/unchanged.py CHECKOUT [--turns 3] [--only NAME …]``.

Runs the benches of the load generator, the gateway and the HTTP front of this code and of that in CHECKOUT (an earlier
one, with ``src/`` and ``bench/``), by turns, each with its own bench. Prints for every figure of their last lines the
medians, their ratio and how far each side's own turns lie apart. A difference within that is noise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

BENCHES = {"load": ("2", "1"), "gateway": ("1", "1"), "front": ("1",)}
NOW = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(BENCHES), default=list(BENCHES))
    given = parser.parse_args()
    for name in given.only:
        found: dict[str, dict[Path, list[float]]] = defaultdict(lambda: defaultdict(list))
        for turn in range(given.turns):
            for checkout in (NOW, given.checkout.absolute())[:: -1 if turn % 2 else 1]:
                for figure, value in figures(checkout, name):
                    found[figure][checkout].append(value)
        for figure, sides in found.items():
            now, before = sides[NOW], sides[given.checkout.absolute()]
            print(
                f"{name}, {figure}: {median(now):,.3f} ({spread(now)}), before {median(before):,.3f} "
                f"({spread(before)}): {median(now) / median(before):.2f} times",
                flush=True,
            )


def figures(checkout: Path, name: str) -> Iterator[tuple[str, float]]:
    """Of the JSON in the last line that a bench prints."""
    words = [sys.executable, str(checkout / "bench" / f"{name}.py"), *BENCHES[name]]
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    yield from flat(json.loads(done.stdout.splitlines()[-1]))


def flat(values: dict[str, float | dict[str, float]], before: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(dict(value), f"{before}{name}, ")
        else:
            yield f"{before}{name}", value


def spread(values: list[float]) -> str:
    return f"{min(values):,.3f} to {max(values):,.3f}"


if __name__ == "__main__":
    main()
