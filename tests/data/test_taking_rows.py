"""What a training makes of a file of rows: it goes on without those at fault, and replaces nothing for none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from row_samples import ANSWERED, ASKED, GOOD, write_rows
from shosei.data.door import read_dialogues
from shosei.log import Run
from shosei.spec import PRESETS
from train_samples import TINY, make_run
from verb import Shosei


@pytest.fixture
def small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(PRESETS, "nano", TINY)
    run = make_run(tmp_path / "run")
    (run.data / "validation.jsonl").write_bytes(b"")
    run.log.mkdir()
    return run


def test_training_goes_on_without_the_rows_at_fault(tmp_path: Path, shosei: Shosei, small_run: Run) -> None:
    file = write_rows(tmp_path / "mine.jsonl", GOOD, {"messages": []}, GOOD, {"messages": [ASKED]}, *[GOOD] * 5)
    options = ("--run", small_run.folder, "--dialogues", file, "--set", "train.max_steps=1")
    before = (small_run.data / "train.jsonl").read_bytes()
    code, _, err = shosei("train", *options, "--strict")
    assert code == 2
    assert "mine.jsonl:2: it has no messages" in err
    assert (small_run.data / "train.jsonl").read_bytes() == before
    code, _, err = shosei("train", *options)
    assert code == 0, err
    assert "8 of 9 rows can be used" in err
    assert "mine.jsonl:2: it has no messages" in err
    assert "1 of 8 rows teach nothing" in err
    assert "6 of 8 rows are exact duplicates" in err
    assert len(read_dialogues(small_run)) == 8


@pytest.mark.parametrize(
    ("row", "options", "words"),
    [
        ({"messages": []}, [], "none of 1 rows can be used"),
        ({"messages": [ASKED]}, [], "1 of 1 rows teach nothing"),
        (GOOD | {"weight": 0}, [], "1 of 1 rows teach nothing"),
        (
            {"messages": [ASKED, {"role": "assistant", "content": "長" * 3000}]},
            ["--too-long", "drop"],
            "longer than the 512 tokens",
        ),
        ({"messages": [{"role": "user", "content": "長" * 3000}, ANSWERED]}, [], "1 of 1 rows teach nothing"),
        ({"messages": [{"role": "environment", "content": "a"}]}, [], "1 of 1 rows teach nothing"),
    ],
)
def test_a_file_that_teaches_nothing_replaces_nothing(
    tmp_path: Path, shosei: Shosei, small_run: Run, row: Any, options: list[str], words: str
) -> None:
    before = (small_run.data / "train.jsonl").read_bytes()
    file = write_rows(tmp_path / "mine.jsonl", row)
    code, _, err = shosei("train", "--run", small_run.folder, "--dialogues", file, *options)
    assert (code, err.count("\n")) == (2, 1), err
    assert words in err
    assert (small_run.data / "train.jsonl").read_bytes() == before
