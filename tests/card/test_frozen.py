"""Logs of earlier versions give the cards that they gave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from verb import Shosei

FROZEN = Path(__file__).parents[1] / "frozen"
RUNS = sorted(folder.name for folder in FROZEN.iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", RUNS)
def test_a_frozen_run_gives_its_card(name: str, shosei: Shosei, tmp_path: Path) -> None:
    run = tmp_path / name
    shutil.copytree(FROZEN / name, run)
    (run / "card.json").unlink()
    code, _, _ = shosei("card", run)
    assert code == 0
    assert (run / "card.json").read_bytes() == (FROZEN / name / "card.json").read_bytes()


def test_frozen_turns_give_their_comparison(shosei: Shosei) -> None:
    code, out, _ = shosei("compare", FROZEN / "alternate", "--json")
    assert code == 4
    assert out == (FROZEN / "alternate" / "compare.json").read_text(encoding="utf-8")
