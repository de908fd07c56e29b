"""A whole search over a training's settings, from proxies to full size on fresh seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from shosei.log import Run, RunBegin, read_log
from shosei.spec.shape import write_shape
from shosei.tune.budget import Budget
from shosei.tune.record import Record
from shosei.tune.study import Study
from shosei.tune.train import TrainSubject
from text_samples import sentences, text_run
from train_samples import TINY
from tune_targets import target


@pytest.mark.long
def test_a_rate_that_learns_is_found_on_a_proxy_and_confirmed_at_full_size_on_seeds_of_its_own(tmp_path: Path) -> None:
    text_run(tmp_path / "run", sentences(60)).log.mkdir()
    write_shape(TINY, tmp_path / "tiny.toml")
    settings = {"batch_tokens": 192, "sequence": 48, "dtype": "float32", "threads": 1, "preset": "tiny.toml"}
    given = target(
        tmp_path,
        "train",
        objective={
            "figure": "training_speed.bits_per_character",
            "phase": "training",
            "direction": "lower",
            "gain": 0.05,
        },
        space={"table_lr": {"type": "choice", "default": 0.0001, "choices": [0.0001, 0.02]}},
        train={"run": "run", "steps": 18, "rungs": 1, "settings": settings},
    )
    record = Record(tmp_path / "out", lambda _event: None)
    verdict = Study(given, TrainSubject(given, None), record, Budget.parse("14trials"), 1).run()
    assert (verdict.verdict, verdict.best) == ("gain", {"table_lr": 0.02})
    [finalist] = verdict.finalists
    assert finalist.gain is not None
    assert (finalist.interval[0] or 0) > 0.05
    begins = [(each, read_log(Run(tmp_path / "out" / each.folder).log).of(RunBegin)[0]) for each in record.tried]
    seeds: dict[str, list[int]] = {"search": [], "confirm": []}
    for tried, begin in begins:
        seeds[tried.stage].append(begin.seeds["train"])
        assert begin.config["max_steps"] == {"search": 6, "confirm": 18}[tried.stage]
    assert not set(seeds["search"]) & set(seeds["confirm"])
    assert len(set(seeds["confirm"])) == len(seeds["confirm"]) // 2 >= 3, "default and finalist share each round's"
