"""Systems of agents in frameworks that nobody built for us, at a model server whose every answer is known.

``python bench/agents.py --environments DIR [--install] [--only NAME …] [--ways WAY …]``

Each framework (``frameworks/``) has the same manager, researcher and writer do nine tasks: with two 429 and three 500,
a tool that raises, two agents at once, a handoff, a structured output. Once by ``shosei agents run``; then, by one
process for all tasks, through ``shosei gateway`` alone, which is told the agent by path, header or key, or not at all.
Prints each cell of the card that has one right value and is wrong, beside what the server knows. Exits 3 if one is.

``--install`` makes the environments, one a framework, with pip and npm; what is absent is not measured.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from scripted import on_card
from scripted.framework import FRAMEWORKS
from scripted.measuring import WAYS, measured

EXIT_WRONG = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, help="the folder that has one a framework")
    parser.add_argument("--install", action="store_true", help="make those that are missing, then measure")
    parser.add_argument("--only", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS), metavar="NAME")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--keep", type=Path, help="a folder for the runs and what the server was asked")
    parser.add_argument("--all", action="store_true", help="print cells that are right, too")
    options = parser.parse_args()
    wrong, absent = 0, []
    print("| framework | measured by | cell | truth | ours | |\n|---|---|---|---|---|---|")
    for name in options.only:
        framework = FRAMEWORKS[name]
        if options.install and not framework.is_installed(options.environments):
            framework.install(options.environments)
        if framework.is_installed(options.environments):
            for way in options.ways:
                wrong += report(name, way, options.environments, options.keep, options.all)
        else:
            absent.append(name)
    print(f"\n{wrong} wrong")
    for name in absent:
        print(
            f"{name}: not measured: not installed; python bench/agents.py --environments DIR --install --only '{name}'"
        )
    return EXIT_WRONG if wrong else 0


def report(name: str, way: str, environments: Path, keep: Path | None, every: bool) -> int:
    """Print the cells of one measurement; how many are wrong."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (keep or Path(temporary)).absolute() / f"{name}-{way}".replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        right, ours = measured(FRAMEWORKS[name], way, environments, folder)
    wrong = [cell for cell, value in right.items() if not on_card.agrees(cell, value, ours.get(cell))]
    for cell in right if every else wrong:
        if every or cell in ours:
            shown = [on_card.shown(number) for number in (right[cell], ours.get(cell))]
            print(f"| {name} | {way} | {cell} | {' | '.join(shown)} | {'WRONG' if cell in wrong else 'ok'} |")
    if not every and (missing := [cell for cell in wrong if cell not in ours]):
        print(f"| {name} | {way} | {len(missing)} from {missing[0]} on | known | not on the card | WRONG |")
    verdict = f"{len(wrong)} wrong" if wrong else "all ok"
    print(f"| {name} | {way} | {len(right)} cells | | | {verdict} |", flush=True)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
