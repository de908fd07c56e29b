"""``shosei card --openmetrics``, as prometheus_client's readers of both text formats see it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_older_format

import card_samples
import recorded
from shosei.card import build, openmetrics
from shosei.metrics.metric import Figure
from shosei.profile.profile import Profile, Requirement
from verb import Shosei

FACTORS = {
    "seconds": {"ms": 1e-3, "s": 1.0, "h": 3600.0},
    "bytes_per_second": {"MB/s": 1e6},
    "ratio": {"": 1.0, "×": 1},
}
Samples = dict[tuple[str, str, str], tuple[str, float]]  # metric, phase and figure to a name and a value


@pytest.fixture
def page(shosei: Shosei, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A recorded run's file, and its card.json."""
    run, file = recorded.write_changed(tmp_path / "run"), tmp_path / "card.prom"
    assert shosei("card", run, "--openmetrics", file)[0] == 0
    return file.read_text(encoding="utf-8"), json.loads((run / "card.json").read_bytes())


def samples(text: str, part: str) -> Samples:
    """The values by cell and figure: of cells (``""``), or of the ends of their intervals."""
    values = {}
    for family in read_openmetrics(text):
        for sample in family.samples:
            labels = sample.labels
            prefix = f"shosei_card_{labels.get('metric')}{part}"
            is_end = "_ci_" in sample.name
            if f"{sample.name}_".startswith(f"{prefix}_") and is_end == bool(part):
                key = labels["metric"], labels["phase"], labels.get("figure", "")
                values[key] = family.unit, sample.value
    return values


def test_it_holds_every_value_of_the_card_in_base_units(page: tuple[str, dict[str, Any]]) -> None:
    text, card = page
    values, lows = samples(text, ""), samples(text, "_ci_low")
    wanted = {}
    for cell in card["metrics"]:
        if cell["status"] in ("ok", "insufficient"):
            wanted[cell["id"], cell["phase"], ""] = cell
            wanted |= {(cell["id"], cell["phase"], name): figure for name, figure in cell["figures"].items()}
    wanted = {key: figure for key, figure in wanted.items() if figure["value"] is not None}
    assert len(wanted) > 30
    assert set(values) == set(wanted)
    for key, (unit, value) in values.items():
        factor = FACTORS.get(unit, {}).get(wanted[key]["unit"], 1.0)
        assert value == pytest.approx(wanted[key]["value"] * factor)
        if (ci := wanted[key]["ci"]) and ci[0] is not None:
            assert lows[key] == (unit, pytest.approx(ci[0] * factor))
    assert values["memory", "inference", ""][0] == "bytes"
    assert values["response_time", "inference", "p95"][0] == "seconds"
    assert values["inference_speed", "inference", ""][0] == "requests_per_second"


def test_what_is_not_measured_has_a_status_and_no_other_sample(page: tuple[str, dict[str, Any]]) -> None:
    text, card = page
    stated = {}
    for family in read_openmetrics(text):
        for sample in family.samples:
            assert math.isfinite(sample.value)
            assert (sample.labels["run"], sample.labels["attempt"]) == (card["run"], "1")
            if sample.name == "shosei_card_status":
                stated[sample.labels["metric"], sample.labels["phase"]] = sample.labels["status"]
    assert stated == {(cell["id"], cell["phase"]): cell["status"] for cell in card["metrics"]}
    assert {"not_measured", "ok"} <= set(stated.values())
    assert ("satisfaction", "training", "") not in samples(text, "")


def test_an_invalid_cell_gives_a_dashboard_no_number() -> None:
    text = openmetrics(build(card_samples.log(), card_samples.metrics()))
    assert ("error_rate", "inference", "") not in samples(text, "")
    assert 'metric="error_rate",phase="inference",status="invalid"' in text


def test_families_are_gauges_with_unit_and_help_and_the_file_ends(page: tuple[str, dict[str, Any]]) -> None:
    text, _ = page
    families = list(read_openmetrics(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.type == "gauge"
        assert family.documentation
        assert family.name.endswith(family.unit)
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1


def test_readers_of_the_older_format_see_the_same(page: tuple[str, dict[str, Any]]) -> None:
    """node_exporter's textfile collector and the Pushgateway; both refuse a file with timestamps."""
    both = []
    for read in (read_openmetrics, read_older_format):
        families = {family.name: family.samples for family in read(page[0])}
        both.append({name: [(it.name, it.labels, it.value) for it in found] for name, found in families.items()})
        assert all(it.timestamp is None for found in families.values() for it in found)
    assert both[0] == both[1]


def test_the_profile_s_requirements_and_its_verdict() -> None:
    wanted = {"response_time.p95": Requirement(max=500), "satisfaction": Requirement(required=False)}
    card = build(card_samples.log(), card_samples.metrics(), Profile(name="mine", inference=wanted))
    told = {family.name: family.samples for family in read_openmetrics(openmetrics(card))}
    outcomes = {
        it.labels["metric"]: (it.labels["outcome"], it.labels["required"]) for it in told["shosei_card_requirement"]
    }
    assert outcomes == {"response_time": ("missed", "true"), "satisfaction": ("not_measured", "false")}
    [verdict] = told["shosei_card_exit_code"]
    assert (verdict.value, verdict.labels["profile"]) == (3, "mine")
    [started] = told["shosei_card_started_timestamp_seconds"]
    assert datetime.fromtimestamp(started.value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") == card.started


@pytest.mark.parametrize(
    "foreign", ['a"b', "back\\slash", "two\nlines", "tab\there", "書生", card_samples.HOSTILE, "\x00"]
)
def test_foreign_labels_are_escaped(foreign: str) -> None:
    card = msgspec.structs.replace(build(card_samples.log(), card_samples.metrics()), run=foreign)
    names = {it.labels["run"] for family in read_openmetrics(openmetrics(card)) for it in family.samples}
    assert names == {foreign.replace("\t", "�").replace("\x00", "�")}


def test_a_figure_s_unit_that_nobody_foresaw_is_spelt_out() -> None:
    figures = {
        "cost_per_task": Figure(0.02, "USD/task", "lower", (0.01, 0.03)),
        "over_single": Figure(12.5, "points", "higher"),
    }
    text = openmetrics(build(card_samples.log(), card_samples.metrics(figures=figures)))
    values = samples(text, "")
    assert values["pass_at_1", "inference", "cost_per_task"] == ("usd_per_task", 0.02)
    assert values["pass_at_1", "inference", "over_single"] == ("ratio", 0.125)
