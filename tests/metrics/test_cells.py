"""The thirty cells on a recorded run: values, statuses, and which event kind feeds which cell."""

from __future__ import annotations

from pathlib import Path

import pytest

import recorded
from shosei.card.scorecard import build
from shosei.card.words import rendered, translated
from shosei.log import EVENTS, read_log
from shosei.metrics import METRIC_IDS, Metric
from shosei.metrics.cells import compute

Cells = dict[tuple[str, str], Metric]

# Written by hand from the definitions: the cells that cannot be told without a kind of event.
FED_BY = {
    "window": {("inference_speed", "inference"), ("response_time", "inference")},
    "proc.start": {("crash_rate", "training"), ("crash_rate", "inference")},
    "proc.exit": {("crash_rate", "training"), ("crash_rate", "inference")},
    "restart": {("restart_count", "training"), ("restart_count", "inference")},
    "epoch": {("training_speed", "training")},
    "step": {
        ("training_speed", "training"),
        ("inference_speed", "training"),
        ("error_rate", "training"),
        ("response_time", "training"),
    },
    "section": set(),
    "request": {
        ("training_speed", "inference"),
        ("inference_speed", "inference"),
        ("error_rate", "inference"),
        ("response_time", "inference"),
        ("network", "inference"),
    },
    "score": {(metric, phase) for metric in METRIC_IDS["accuracy"] for phase in ("training", "inference")},
    "exec": {("pass_at_1", "inference")},
    "verdict": set(),
    "sample": {(metric, phase) for metric in ("memory", "disk_io") for phase in ("training", "inference")},
    "heartbeat": set(),
    "rating": set(),
    "survey": set(),
    "comm": set(),
    "held_out": set(),
    "workflow": set(),
    "fault": set(),
    "run.end": set(),
    "note": set(),
    "passed_on": set(),
    "tune.begin": set(),
    "tune.trial.begin": set(),
    "tune.trial": set(),
    "tune.verdict": set(),
}
NO_READING_HERE = {
    **{("gpu_utilization", phase): "na" for phase in ("training", "inference")},
    **{("network", phase): "na" for phase in ("training", "inference")},
    **{("satisfaction", phase): "not_measured" for phase in ("training", "inference")},
}


def cells_of(folder: Path) -> Cells:
    return {(metric.id, metric.phase): rendered(metric) for metric in compute(read_log(folder / "log"))}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return cells_of(recorded.write_run(tmp_path_factory.mktemp("run")))


def test_every_cell_has_a_status_and_every_value_its_n(cells: Cells) -> None:
    assert len(cells) == 30
    for key, metric in cells.items():
        if key in NO_READING_HERE:
            assert metric.status == NO_READING_HERE[key]
            assert metric.value is None
            assert metric.reason
        else:
            assert metric.status in ("ok", "insufficient"), (key, metric.status, metric.reason)
            assert metric.value is not None
            assert metric.n > 0
            assert metric.clusters > 0
            assert metric.ci_method
            assert bool(metric.reason) == (metric.status == "insufficient")
            assert (metric.status == "insufficient") == (metric.clusters < 30)


@pytest.mark.parametrize("kind", [kind for kind in EVENTS if kind != "run.begin"])
def test_a_missing_kind_unmeasures_exactly_the_cells_that_it_feeds(kind: str, cells: Cells, tmp_path: Path) -> None:
    without = cells_of(recorded.write_run(tmp_path, (EVENTS[kind],)))
    changed = {key for key in cells if without[key].status != cells[key].status}
    assert changed == FED_BY[kind]
    assert all(without[key].status == "not_measured" and without[key].value is None for key in changed)


def test_without_run_begin_what_was_measured_stands(cells: Cells, tmp_path: Path) -> None:
    without = cells_of(recorded.write_run(tmp_path, (EVENTS["run.begin"],)))
    assert {key: metric.value for key, metric in without.items()} == {key: it.value for key, it in cells.items()}


def test_values_follow_from_the_recorded_events_by_hand(cells: Cells) -> None:
    expected = {
        ("training_speed", "training"): 10.0,  # 40 steps of 250 ms
        ("inference_speed", "training"): 32.0,  # 8 samples each 250 ms
        ("response_time", "training"): 250.0,
        ("error_rate", "training"): 0.0,
        ("memory", "training"): 400e6,
        ("memory", "inference"): 600e6,  # engine and http together
        ("disk_io", "training"): 1.0,
        ("disk_io", "inference"): 2.0,
        ("error_rate", "inference"): 3 / 380,
        ("crash_rate", "inference"): 0.0,
        ("restart_count", "inference"): 0.0,
        ("training_speed", "inference"): 79 * 0.020 + 0.015,
    }
    for key, value in expected.items():
        assert cells[key].value == pytest.approx(value, rel=1e-9), key


def test_wall_time_parts_sum_to_the_whole(cells: Cells) -> None:
    table = next(t for t in cells["training_speed", "training"].breakdown if t.title == "wall time")
    parts = {str(row[0]): float(row[1] or 0) for row in table.rows}
    total = parts.pop("total")
    assert sum(parts.values()) == pytest.approx(total, rel=0.01)
    assert parts["evaluation"] == pytest.approx(4.0)
    assert parts["checkpoint"] == pytest.approx(2.0)
    assert parts["other"] == pytest.approx(0.0, abs=1e-9)


def test_evaluation_inside_an_epoch_is_not_epoch_time(tmp_path: Path) -> None:
    folder = recorded.write_run(tmp_path)
    segment = next((folder / "log").glob("*.jsonl"))
    text = segment.read_text()
    # Move the first evaluation (2 s) into the first epoch, which begins at 1 s and lasts 10 s.
    moved = text.replace('"begin_ns":11000000000,"end_ns":13000000000', '"begin_ns":5000000000,"end_ns":7000000000')
    assert moved != text
    segment.write_text(moved)
    assert cells_of(folder)["training_speed", "training"].value == pytest.approx((8 + 10) / 2)


def test_pass_at_1_reads_the_last_checkpoint_and_shows_every_epoch(cells: Cells) -> None:
    training = cells["pass_at_1", "training"]
    assert training.value == pytest.approx(sum(index % 3 > 0 for index in range(80)) / 80)
    assert training.plots[0].x == [1.0, 2.0]
    assert {curve.label: curve.y for curve in training.plots[0].curves}["sums"][0] == pytest.approx(
        1.0
    )  # odd items, right when index % 2 > 0


def test_unanswered_tasks_are_excluded_and_too_many_make_the_exam_invalid(tmp_path: Path) -> None:
    folder = recorded.write_run(tmp_path)
    segment = next((folder / "log").glob("*.jsonl"))
    text = segment.read_text().replace(
        '"item":"s1","cluster":"operand-1",', '"item":"s1","cluster":"operand-1","error":"5xx",'
    )
    segment.write_text(text)
    one = cells_of(folder)["pass_at_1", "inference"]
    assert (one.status, one.n) == ("ok", 89)
    for index in (3, 5, 7):
        text = text.replace(f'"item":"s{index}",', f'"item":"s{index}","error":"5xx",')
    segment.write_text(text)
    four = cells_of(folder)["pass_at_1", "inference"]
    assert four.status == "invalid"
    assert "4 of 90" in four.reason


def test_failures_make_high_percentiles_unbounded(cells: Cells) -> None:
    metric = cells["response_time", "inference"]
    rows = {str(row[0]): row for row in metric.breakdown[0].rows}
    unbounded = rows["response, failures unbounded"]
    assert unbounded[2] is not None  # p50 is bounded: 1 % failed
    assert unbounded[1] is None  # the mean is not
    assert any("unbounded" in note for note in metric.notes)


def changed(folder: Path, *replacements: tuple[str, str]) -> Cells:
    """The cells after changes to the recorded text."""
    return cells_of(recorded.write_changed(folder, *replacements))


def test_a_client_that_was_too_busy_invalidates_what_it_timed(tmp_path: Path) -> None:
    cells = changed(tmp_path, ('"name":"steady",', '"name":"steady","invalid":"client-bound: CPU 99 %",'))
    for name in ("inference_speed", "response_time"):
        assert (cells[name, "inference"].status, cells[name, "inference"].reason) == (
            "invalid",
            "client-bound: CPU 99 %",
        )


@pytest.mark.parametrize(
    ("lang", "remedy"), [("en", "fewer requests"), ("zh-CN", "降低每秒请求数"), ("ja", "リクエスト数を減ら")]
)
@pytest.mark.parametrize("lacked", ["time", "connections"])
def test_why_a_window_does_not_count_is_said_in_every_language(
    tmp_path: Path, lacked: str, lang: str, remedy: str
) -> None:
    limit = f'"name":"steady","invalid":"client-bound","client":{{"lacked":"{lacked}","lag_ms":80.4,"cpu":0.97}},'
    log = read_log(recorded.write_changed(tmp_path, ('"name":"steady",', limit)) / "log")
    card = build(log, compute(log))
    (cell,) = [metric for metric in card.metrics if (metric.id, metric.phase) == ("response_time", "inference")]
    said = translated(cell.reason, lang)
    assert cell.status == "invalid"
    assert remedy in said
    assert ("80 ms" in said, "97%" in said) == (lacked == "time", lacked == "time")
    assert cell.reason in card.warnings


def test_a_load_without_a_success_has_no_speed(tmp_path: Path) -> None:
    cells = changed(tmp_path, ('"status":200,', '"status":503,"error":"5xx",'))
    assert cells["inference_speed", "inference"].status == "not_measured"
    assert cells["response_time", "inference"].status == "not_measured"
    assert cells["error_rate", "inference"].value == 1
    assert cells["training_speed", "inference"].status == "invalid"


def test_programs_that_could_not_run_are_judged_against_the_programs(tmp_path: Path) -> None:
    lost = [f'"item":"f{index}","sample":0,"backend":"rlimits"' for index in range(2)]
    cells = changed(
        tmp_path, *((old, old.replace('"sample"', '"x"')) for old in lost), ('"outcome":"pass"', '"outcome":"infra"')
    )
    metric = cells["pass_at_1", "inference"]
    assert metric.status == "invalid"
    assert "of 10 programs" in metric.reason


def test_an_outage_is_fewer_independent_failures_than_its_requests(tmp_path: Path) -> None:
    """Twenty failed requests in a row say less of the error rate than twenty scattered ones."""
    burst = [
        (f'"id":"load-{index}",', f'"id":"load-{index}","error":"5xx",')
        for index in range(100, 120)
        if index % 100 != 99
    ]
    spread = [
        (f'"id":"load-{index}",', f'"id":"load-{index}","error":"5xx",')
        for index in range(0, 300, 15)
        if index % 100 != 99
    ]
    widths = []
    for name, replacements in (("burst", burst), ("spread", spread)):
        metric = changed(tmp_path / name, *replacements)["error_rate", "inference"]
        assert metric.value == pytest.approx((len(replacements) + 3) / 380)
        assert metric.ci
        widths.append(float(metric.ci[1] or 0) - float(metric.ci[0] or 0))
    assert widths[0] > 1.5 * widths[1]


def test_memory_of_trees_read_at_different_moments_adds_up(tmp_path: Path) -> None:
    """Every second reading of http holds no PSS: its last one stands."""
    folder = recorded.write_run(tmp_path)
    segment = next((folder / "log").glob("*.jsonl"))
    lines = segment.read_text().splitlines()
    thinned, seen = [], 0
    for line in lines:
        if '"kind":"sample"' in line and '"name":"http"' in line:
            seen += 1
            line = line.replace('"pss_bytes":300000000,', "") if seen % 2 == 0 else line
        thinned.append(line)
    segment.write_text("\n".join(thinned) + "\n")
    metric = cells_of(folder)["memory", "inference"]
    assert metric.value == 600e6
    assert metric.breakdown[0].rows[1][1] == pytest.approx(600e6)


def test_the_disk_interval_holds_a_constant_rate(cells: Cells) -> None:
    metric = cells["disk_io", "training"]
    assert metric.ci == (1.0, 1.0)


def test_facts_of_this_machine_are_not_those_of_a_foreign_server(tmp_path: Path) -> None:
    cells = changed(tmp_path, ('"verb":"serve"', '"verb":"load"'))
    for name in ("gpu_utilization", "network"):
        assert cells[name, "inference"].status == "not_measured"
        assert cells[name, "training"].status == "na"


def test_a_class_that_is_never_predicted_is_flagged(tmp_path: Path) -> None:
    cells = changed(tmp_path, ('"answer":"ja-kana"', '"answer":"?"'))
    assert cells["precision", "inference"].notes == [
        "never predicted in suite 'intent', precision 0 by definition: ja-kana, zh-sums"
    ]
    assert cells["precision", "inference"].detail == "macro over 4 classes"


def test_a_clients_own_samples_are_no_memory_of_the_server(tmp_path: Path) -> None:
    cells = changed(tmp_path, ('"scope":"tree"', '"scope":"self"'))
    for name in ("memory", "disk_io"):
        metric = cells[name, "inference"]
        assert (metric.status, metric.reason) == ("not_measured", "no process of this phase ran under a supervisor")


def test_an_exam_that_lost_answers_scores_nothing(tmp_path: Path) -> None:
    """A full disk or an interruption leaves a part of the suite, and not a random one."""
    cells = changed(tmp_path, ('"verb":"serve"', '"verb":"exam","config":{"answers":1396}'))
    for name in ("pass_at_1", "f1"):
        assert cells[name, "inference"].status == "invalid"
        assert "of 1,396 answers are recorded" in cells[name, "inference"].reason
    assert cells["pass_at_1", "training"].status == "ok"
