"""What agent systems cost in money, compared by a profile's prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scipy.stats import ttest_rel

import agent_samples
import recorded
from shosei.log import Event, Request, Score
from verb import Shosei

PRICES = '[prices]\ncurrency = "CNY"\nin = 2.0\nout = 8.0\n'


def system(folder: Path, more_tokens: dict[str, int] | None = None, solves: bool = True, shift_ns: int = 1) -> Path:
    """A run of the sample's system whose calls of some tasks take ``more_tokens`` out, told by the task's name."""

    def changed(event: Event) -> Event:
        if isinstance(event, Request) and event.tokens_out is not None:
            more = (more_tokens or {}).get(event.task, 0)
            event = msgspec.structs.replace(event, tokens_out=event.tokens_out + more)
        if isinstance(event, Score) and not solves:
            event = msgspec.structs.replace(event, answer="?")
        return msgspec.structs.replace(event, mono_ns=event.mono_ns + shift_ns)  # a log of its own

    return recorded.write_events(folder, [*map(changed, agent_samples.events())])


def profile(folder: Path, more: str = "") -> Path:
    file = folder / "prices.toml"
    file.write_text(f'name = "prices"\n{PRICES}{more}', encoding="utf-8")
    return file


def compared(shosei: Shosei, *arguments: str | Path, code: int) -> dict[str, dict[str, Any]]:
    ended, out, said = shosei("compare", *arguments, "--json")
    assert ended == code, said
    return {cell["id"]: cell for cell in json.loads(out)["cells"] if cell["phase"] == "inference"}


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return system(tmp_path / "a", shift_ns=0)


def test_a_dearer_system_is_worse_in_money(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    """Three or four calls a task, of which one may have failed: 20 tokens in and 5 out cost 80 millionths each."""
    more = {f"t{number}#0": 5 + number % 3 for number in range(agent_samples.TASKS)}
    b = system(tmp_path / "b", more)
    asked = ("--profile", profile(tmp_path), "--metric", "pass_at_1.cost_per_task")
    cell = compared(shosei, a, b, *asked, code=3)["pass_at_1.cost_per_task"]
    before = [3 * 80e-6] * agent_samples.TASKS
    after = [3 * (80e-6 + 8e-6 * more[f"t{number}#0"]) for number in range(agent_samples.TASKS)]
    test = ttest_rel(after, before)
    low, high = test.confidence_interval()
    assert (cell["verdict"], cell["unit"], cell["n"]) == ("worse", "CNY", 40)
    assert cell["a"] == pytest.approx(sum(before) / 40)
    assert cell["difference"] == pytest.approx(sum(after) / 40 - sum(before) / 40)
    assert cell["ci"] == pytest.approx([low, high])
    assert cell["p"] == pytest.approx(test.pvalue)


def test_a_solved_task_pays_for_the_others_too(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    """Where more is spent on tasks that fail, each solved one is dearer."""
    failed = {f"t{n}#0": 30 for n in range(agent_samples.TASKS) if not agent_samples.solved(n)}
    b = system(tmp_path / "b", failed)
    asked = ("--profile", profile(tmp_path), "--metric", "pass_at_1.cost_per_solved")
    cells = compared(shosei, a, b, *asked, code=3)
    solved = agent_samples.TASKS - len(failed)
    dearer = cells["pass_at_1.cost_per_solved"]
    assert dearer["verdict"] == "worse"
    assert dearer["difference"] == pytest.approx(3 * 30 * 8e-6 * len(failed) / solved)
    assert cells["pass_at_1"]["difference"] == 0


def test_what_costs_the_same_is_equivalent_and_named_in_every_language(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b, file = system(tmp_path / "b"), profile(tmp_path)
    asked = ("compare", a, b, "--profile", file, "--metric", "pass_at_1.cost_per_solved")
    names = {"en": "cost of a solved task", "zh-CN": "解出一个任务的费用", "ja": "解けたタスク 1 件の費用"}
    for language, name in names.items():
        code, out, _ = shosei(*asked, "--lang", language, "--markdown", "-")
        assert (code, name in out) == (0, True), out


def test_where_nothing_is_solved_there_is_no_cost_of_a_solved_task(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = system(tmp_path / "b", solves=False)
    cells = compared(shosei, a, b, "--profile", profile(tmp_path), code=3)
    assert cells["pass_at_1.cost_per_solved"]["verdict"] == "not_compared"
    assert "no task was solved" in cells["pass_at_1.cost_per_solved"]["reason"]
    assert cells["pass_at_1.cost_per_task"]["verdict"] == "equivalent"


def test_a_profile_that_limits_a_cost_lets_it_decide(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    limited = profile(tmp_path, '[inference]\n"pass_at_1.cost_per_task" = { max = 0.01, margin = 0.5 }\n')
    b = system(tmp_path / "b", dict.fromkeys((f"t{n}#0" for n in range(agent_samples.TASKS)), 4))
    cell = compared(shosei, a, b, "--profile", limited, code=0)["pass_at_1.cost_per_task"]
    assert (cell["verdict"], cell["p_adjusted"]) == ("equivalent", cell["p"])


def test_without_prices_nothing_is_said_of_money(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = system(tmp_path / "b")
    assert not [id for id in compared(shosei, a, b, code=4) if "cost" in id]
    code, _, said = shosei("compare", a, b, "--metric", "pass_at_1.cost_per_task")
    assert (code, "needs prices" in said) == (2, True)


def test_a_cost_that_was_required_and_is_not_there_is_undecided(shosei: Shosei, tmp_path: Path) -> None:
    sides = [recorded.write_changed(tmp_path / name, ('"host":"', f'"host":"{name}-')) for name in "ab"]
    required = profile(tmp_path, '[inference]\n"pass_at_1.cost_per_task" = {}\n')
    cell = compared(shosei, *sides, "--profile", required, code=4)["pass_at_1.cost_per_task"]
    assert cell["verdict"] == "not_compared"
