"""The scorecard as data: what it says of an attempt, and that equal logs give equal bytes."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

import card_samples
from shosei.card import Scorecard, build, to_json
from shosei.card.facts import command_line, commands, header
from shosei.card.page import band
from shosei.card.words import as_words, translated
from shosei.log import Note, RunBegin, open_run, read_log
from shosei.metrics.cells import compute
from shosei.metrics.metric import METRIC_IDS, Metric
from shosei.quantity import shown


def metric(unit: str, value: float | None, ci: tuple[float | None, float | None] | None = None) -> Metric:
    return Metric(id="memory", phase="training", unit=unit, direction="lower", status="ok", value=value, ci=ci)


def test_the_manifest_is_merged_over_the_attempt() -> None:
    card = build(card_samples.log(), card_samples.metrics())
    assert card.started == "2026-09-21T14:13:20Z"
    assert card.versions == {"shosei": "0.1.0", "python": "3.11.9", "torch": "2.13.0"}
    assert card.seeds == {"data": 1, "train": 7}
    assert (card.profile, card.arrival, card.sandbox) == ("chatbot", "poisson", "rlimits")
    assert [(command.verb, command.exit_code) for command in card.commands] == [
        ("data", 0),
        ("train", 0),
        ("exam", None),
    ]
    assert card.commands[0].argv[0] == "shosei"
    assert card.meter is not None
    assert card.meter.cpu_seconds == pytest.approx(0.36)
    assert card.meter.share == pytest.approx(0.356 / 89)  # without the 4 ms before the first sample
    assert [translated(warning) for warning in card.warnings] == [
        "box-b-12-1.jsonl:9: torn last line, left out",
        "'exam' ended without a record: killed, out of disk, or still running; its last events may be lost",
        "train: 3 events were lost, they could not be written: disk full?",
    ]
    assert {(row.model, row.part) for row in card.audit} >= {
        ("internlm-tiny", "embedding"),
        ("ja-large", "non-embedding"),
    }


def test_verbs_that_disagree_are_named_in_a_warning() -> None:
    log = card_samples.log()
    log.of(RunBegin)[0].hashes["suites"] = "00"
    card = build(log, card_samples.metrics())
    assert card.hashes["suites"] == "00", "the later verb stands"
    assert f"hashes: 'suites' changed within the attempt, from {'ab' * 32} (data) to 00 (exam)" in map(
        translated, card.warnings
    )


def test_a_model_that_is_not_the_trained_one_is_named_in_a_warning(tmp_path: Path) -> None:
    def warnings(served: str) -> list[str]:
        run = open_run(tmp_path / served, must_exist=False)
        with run.recording("train", "training") as record:
            record.hashes["model.safetensors"] = "aa"
        with run.recording("engine", "inference", hashes={"model.safetensors": served}):
            pass
        log = read_log(run.log)
        card = build(log, compute(log))
        assert card.hashes["model.safetensors"] == served
        return [translated(warning) for warning in card.warnings]

    assert warnings("aa") == []
    assert warnings("bb") == ["hashes: 'model.safetensors' changed within the attempt, from aa (train) to bb (engine)"]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["/opt/lib/shosei/__main__.py", "load", "http://box:1"], "shosei load http://box:1"),
        (
            ["/opt/bin/shosei", "supervise", "--run", "r", "--", "/opt/bin/shosei", "train"],
            "shosei supervise --run r -- shosei train",
        ),
        (["shosei", "supervise", "--", "./train.py", "/data/shosei"], "shosei supervise -- ./train.py /data/shosei"),
        (["shosei", "card", "/data/shosei"], "shosei card /data/shosei"),
        ([], ""),
    ],
)
def test_commands_are_shown_as_they_are_typed(argv: list[str], line: str) -> None:
    log = card_samples.log()
    log.of(RunBegin)[0].argv = argv
    assert command_line(build(log, card_samples.metrics()).commands[-1]) == line


def test_processes_that_serve_starts_are_in_the_data_but_not_among_the_commands(tmp_path: Path) -> None:
    run = open_run(tmp_path, must_exist=False)
    for verb in ("serve", "engine", "http"):
        with run.recording(verb, "inference"):
            pass
    log = read_log(run.log)
    card = build(log, compute(log))
    assert [command.verb for command in card.commands] == ["serve", "engine", "http"]
    assert [command.verb for command, _ in commands(card)] == ["serve"]


def test_what_a_verb_warned_of_stands_among_the_warnings() -> None:
    log = card_samples.log()
    log.events[Note] = [Note(level="info", text="well"), Note(level="warning", text="load client is client-bound")]
    card = build(log, card_samples.metrics())
    assert "load client is client-bound" in card.warnings
    assert "well" not in card.warnings


def test_a_machine_is_described_by_what_was_recorded_of_it() -> None:
    log = card_samples.log()

    def machines() -> list[str]:
        facts = header(build(log, card_samples.metrics()))
        return [" · ".join(map(translated, words)) for key, words in facts if key == "machine"]

    assert machines() == ["Example CPU @ 2.50GHz · 2 cores · 8.3 GB · no GPU"]
    for begin in log.of(RunBegin):
        begin.hardware = {"cores": 2}
    log.of(RunBegin)[0].host = "client"
    assert machines() == ["2 cores", "2 cores"]
    for begin in log.of(RunBegin):
        begin.hardware = {}
    assert machines() == ["unknown"]


def test_thirty_cells_or_none() -> None:
    with pytest.raises(ValueError, match="30"):
        build(card_samples.log(), card_samples.metrics()[1:])
    shuffled = build(card_samples.log(), card_samples.metrics()[::-1])
    assert [metric.id for metric in shuffled.metrics[::2]] == [id for ids in METRIC_IDS.values() for id in ids]


def test_json_is_sorted_rounded_and_reads_back() -> None:
    card = build(card_samples.log(), card_samples.metrics(value=1 / 3, ci=(math.nan, 2 / 3)))
    data = to_json(card)
    plain = json.loads(data)
    assert data.endswith("}\n")
    assert list(plain) == sorted(plain)
    found = next(cell for cell in plain["metrics"] if (cell["id"], cell["phase"]) == ("pass_at_1", "inference"))
    assert found["value"] == 0.333333333333
    assert found["ci"] == [None, 0.666666666667]
    again = msgspec.json.decode(data, type=Scorecard)
    assert to_json(again) == data


def test_a_copy_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    first = card_samples.write_run(tmp_path / "here" / "quickstart")
    second = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(first, second)

    def data(folder: Path) -> str:
        log = read_log(folder / "log")
        return to_json(build(log, compute(log)))

    assert data(first) == data(second)
    assert json.loads(data(second))["run"] == "quickstart"


@pytest.mark.parametrize(
    ("unit", "value", "ci", "text", "interval"),
    [
        ("", 0.95426, (0.932, 0.9691), "95.4 %", "[93.2, 96.9]"),
        ("", 0.0, (0.0, 0.0048), "0 %", "[0, 0.480]"),
        ("s", 41.237, None, "41.2 s", ""),
        ("s", 90.0, None, "90.0 s", ""),
        ("s", 182.4, None, "3.04 min", ""),
        ("s", 9000.0, (7200.0, 10800.0), "2.50 h", "[2.00, 3.00]"),
        ("ms", 412.9, (None, 441.0), "413 ms", "≤ 441"),
        ("ms", 2412.9, (2000.0, None), "2.41 s", "≥ 2.00"),
        ("bytes", 1_273_004_032.0, None, "1.27 GB", ""),
        ("MB/s", 0.4113, (0.02, 0.9), "411 kB/s", "[20, 900]"),
        ("MB/s", 0.0, (0.0, 0.0), "0 MB/s", "[0, 0]"),
        ("restarts", 2.0, (0.24, 7.22), "2 restarts", "[0.24, 7.22]"),
        ("requests/s", 7.93, (7.1, 8.8), "7.93 requests/s", "[7.10, 8.80]"),
        ("Gbps", -0.5, None, "−0.500 Gbps", ""),
        ("s", None, None, "", ""),
    ],
)
def test_units_suit_people(unit: str, value: float | None, ci: Any, text: str, interval: str) -> None:
    number = shown(value, unit, ci)
    assert (str(number), number.interval) == (text, interval)


def test_a_band_is_drawn_for_shares_only() -> None:
    assert band(metric("s", 0.5)) is None
    assert band(metric("", None)) is None
    assert band(metric("", 0.5, (0.25, 1.5))) == (25.0, 50.0, 100.0)


def test_what_is_not_known_is_a_dash_and_never_zero() -> None:
    assert [as_words(None), as_words(math.nan), as_words(0), as_words(0.0)] == ["–", "–", "0", "0"]
    said = [translated(as_words(value), "ja") for value in (1234567, True, [], "x", 0.5)]
    assert said == ["1,234,567", "はい", "なし", "x", "0.500"]
