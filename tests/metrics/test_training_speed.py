"""Epochs, steps and where the wall time went, on trainings whose numbers are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recorded import MS, S, metric_of, rows
from shosei.log import Event, Log, ProcExit, ProcStart, Section, Step
from shosei.metrics.observed.wall_time import wall_time
from trainings import BEGIN, crash, epoch, section, step

START = ProcStart(child="train", child_pid=1, argv=["train"], start=1, phase="training")


def seconds_of(metric: Any) -> dict[str, float]:
    return {part: row[0] for part, row in rows(metric, "wall time").items()}


def crashed_run() -> list[Event]:
    """Ten steps of a second; a checkpoint after the fourth; killed in the seventh; going on from the fourth."""
    waits = {"data_wait_ns": 100 * MS, "comm_wait_ns": 200 * MS}
    return [
        BEGIN,
        section("load", 0, 2),
        *(step(number, 2 + number, **waits) for number in range(1, 5)),
        section("checkpoint", 6, 7, epoch=1),
        *(step(number, 3 + number, **waits) for number in (5, 6)),
        crash(9.5),
        section("load", 12, 13),
        *(step(number, 9 + number, **waits) for number in range(5, 11)),
        epoch(13, 19, steps=6, fraction=0.6),
        section("evaluation", 19, 21, epoch=1),
    ]


def test_a_crash_in_the_middle_of_an_epoch_is_accounted_for() -> None:
    metric = metric_of(crashed_run(), "training_speed", "training")
    expected = {
        "compute": 7.0,
        "data wait": 1.0,
        "communication": 2.0,
        "checkpoint": 1.0,
        "evaluation": 2.0,
        "compile and warm-up": 2.0,
        "recovery": 3.5,
        "lost work": 2.5,
        "other": 0.0,
        "total": 21.0,
    }
    assert seconds_of(metric) == pytest.approx(expected)
    # The epoch began before the crash, at 2 s, and ended after it, at 19 s; all of its ten steps were seen.
    assert metric.value == 17.0
    assert metric.detail == "time per epoch"
    assert metric.figures["goodput"].value == pytest.approx(7 / 21)
    assert metric.figures["tokens_per_s"].value == pytest.approx(10 * 100 / 17)
    assert rows(metric, "epochs")["1"] == pytest.approx([17.0, 10, 80, 1000, 1000 / 17, 1.0])


def test_steps_that_were_done_again_count_once_in_the_rate() -> None:
    metric = metric_of(crashed_run(), "inference_speed", "training")
    assert (metric.n, metric.value) == (10, 8.0)
    assert metric.figures["tokens_per_s"].value == 100.0


def test_the_crash_of_another_process_is_neither_recovery_nor_lost_work() -> None:
    events = [BEGIN, section("load", 0, 1), step(1, 2), step(2, 3), crash(2.5), epoch(1, 3, 2)]
    parts = seconds_of(metric_of(events, "training_speed", "training"))
    assert (parts["recovery"], parts["lost work"], parts["compute"]) == (0, 0, 2)


def test_a_moment_counts_once_where_sections_and_steps_overlap() -> None:
    events = [
        BEGIN,
        section("load", 0, 2),
        section("compile", 1.5, 4.5),  # overlaps the load by 0.5 s and the first step, 2 to 6 s, by 2.5 s
        step(1, 6, 4.0, data_wait_ns=S),
        section("checkpoint", 6, 9),
        section("evaluation", 8, 10),
        epoch(2, 6, 1),
    ]
    parts = seconds_of(metric_of(events, "training_speed", "training"))
    assert parts["compile and warm-up"] == 4.5
    assert (parts["compute"], parts["data wait"]) == pytest.approx((1.5 * 3 / 4, 1.5 / 4))
    assert (parts["checkpoint"], parts["evaluation"], parts["other"], parts["total"]) == (3, 1, 0, 10)


def test_ranks_are_never_added_the_slowest_counts() -> None:
    events: list[Event] = [BEGIN]
    for rank, pace in ((0, 1.0), (1, 1.5)):
        events += [section("load", 0, 1, rank=rank), epoch(1, 1 + 4 * pace, 4, rank=rank)]
        events += [step(number, 1 + number * pace, pace, rank=rank) for number in range(1, 5)]
    metric = metric_of(events, "training_speed", "training")
    assert (metric.value, seconds_of(metric)["total"]) == (6.0, 7.0)
    assert any("rank 1, the slowest of 2" in str(note) for note in metric.notes)
    assert rows(metric, "epochs")["1"][2] == 2 * 4 * 8  # samples of both
    rate = metric_of(events, "inference_speed", "training")
    assert rate.value == pytest.approx(16 / 1.5)


def test_a_partial_epoch_is_estimated_from_the_share_seen() -> None:
    events = [BEGIN, section("load", 0, 1), *(step(n, 1 + n) for n in range(1, 5)), epoch(1, 5, 4, fraction=0.25)]
    metric = metric_of(events, "training_speed", "training")
    assert metric.value == 16.0
    assert metric.detail == "time per epoch, estimated"
    assert "0.25" in str(metric.notes[0])


def test_steps_after_the_last_word_on_an_epoch_were_seen_too() -> None:
    """Told at the checkpoint after step 4 of 16; killed after step 8, of which two were not yet saved."""
    events = [BEGIN, section("load", 0, 1), *(step(n, 1 + n) for n in range(1, 5)), epoch(1, 5, 4, fraction=0.25)]
    events += [section("checkpoint", 5, 6), *(step(n, 2 + n) for n in range(5, 9))]
    metric = metric_of(events, "training_speed", "training")
    assert metric.value == pytest.approx(9 * 2)
    assert metric.detail == "time per epoch, estimated"


@pytest.mark.parametrize(("total", "before"), [(22, 7), (44, 29)])
def test_an_epoch_that_went_on_after_a_restart_is_whole(total: int, before: int) -> None:
    """Shares such as 15/22 are not floats: their products must not fall short of 1."""
    events = [BEGIN, section("load", 0, 1), *(step(n, 1 + n) for n in range(1, total + 1))]
    events.append(epoch(1 + before, 1 + total, total - before, fraction=(total - before) / total))
    metric = metric_of(events, "training_speed", "training")
    assert (metric.value, metric.detail) == (total, "time per epoch")


def resumed_before_an_epochs_end(step_s: float = 1.0, count: int = 1) -> list[Event]:
    """Epochs of ten steps; checkpoint after the eighth; killed in the thirteenth, which is in the second epoch."""
    numbers = range(count, 13, count), range(8 + count, 21, count)
    ends = [number * step_s for number in numbers[0]], [20 + (number - 8) * step_s for number in numbers[1]]
    steps = [
        step(number, end, step_s * count, epoch=1 + (number > 10), count=count)
        for start in (0, 1)
        for number, end in zip(numbers[start], ends[start], strict=True)
    ]
    # The last is as logs had it whose reader kept an epoch's first beginning.
    told = [epoch(0, 10, 10), epoch(10, 12, 2, 0.2, 2), epoch(0, 22, 10), epoch(10, 32, 10, index=2)]
    return sorted([BEGIN, crash(12.5), *steps, *told], key=lambda event: event.mono_ns)


@pytest.mark.parametrize("count", [1, 2])
def test_epochs_do_not_overlap_though_the_run_went_back_into_the_first(count: int) -> None:
    """The first takes 22 s: two of its steps, and two of the second epoch, were lost, and so was the way back."""
    metric = metric_of(resumed_before_an_epochs_end(count=count), "training_speed", "training")
    epochs = rows(metric, "epochs")
    assert {index: row[:2] for index, row in epochs.items()} == {"1": [22.0, 10], "2": [10.0, 10]}
    parts = seconds_of(metric)
    assert sum(row[0] for row in epochs.values()) == parts.pop("total") == 32
    assert {part: seconds for part, seconds in parts.items() if seconds} == {
        "compute": 20,
        "lost work": 4.5,
        "recovery": 7.5,
    }


def test_an_epoch_that_was_taken_back_and_not_begun_again_is_none() -> None:
    events = [event for event in resumed_before_an_epochs_end() if event.mono_ns <= 22 * S]
    metric = metric_of(events, "training_speed", "training")
    assert {index: row[:2] for index, row in rows(metric, "epochs").items()} == {"1": [22.0, 10]}
    assert metric_of(events, "inference_speed", "training").n == 10


def test_a_machine_that_rebooted_and_went_back_has_the_epoch_of_its_new_clock() -> None:
    """The second epoch was begun before the reboot, and told of; its steps that count are all on the new clock."""
    events = resumed_before_an_epochs_end()
    for event in events:
        event.boot = "old" if event.mono_ns <= 12.5 * S else "new"
    epochs = rows(metric_of(events, "training_speed", "training"), "epochs")
    assert epochs["2"][:2] == [10.0, 10]


def every_tenth(count: int = 30, **last: Any) -> list[Event]:
    """Told of every tenth step: 50 and 70 ms by turns, 80 samples and 1000 tokens each."""
    ends, events = 0.0, [BEGIN]
    for index in range(count):
        took = 0.5 if index % 2 else 0.7
        ends += took
        fields = {"count": 10, "samples": 80, "tokens": 1000, "data_wait_ns": None}
        events.append(step(10 * (index + 1), ends, took, **fields | (last if index == count - 1 else {})))
    return events


def test_a_step_that_stands_for_ten_weighs_ten() -> None:
    time = metric_of(every_tenth(), "response_time", "training")
    assert (time.value, time.n) == (pytest.approx(60), 30)
    assert time.ci == pytest.approx((60, 60), abs=0.01)  # batches of one slow and one fast
    assert {name: figure.value for name, figure in time.figures.items()} == dict.fromkeys(
        ["p50", "p90", "p95", "p99", "first_step_s", "first_checkpoint_s"]
    )
    words = " ".join(map(str, time.notes))
    assert "30 intervals cover 300 steps" in words
    assert "percentiles of single steps are not measured" in words
    assert not time.plots
    rate = metric_of(every_tenth(), "inference_speed", "training")
    assert (rate.n, rate.value) == (30, pytest.approx(8 / 0.06))
    assert rate.figures["tokens_per_s"].value == pytest.approx(100 / 0.06)
    wrong = metric_of(every_tenth(loss=None, finite=False), "error_rate", "training")
    assert (wrong.value, wrong.n) == (pytest.approx(1 / 30), 30)
    assert rows(wrong, "steps") == {"attempted": [300], "loss or gradient not finite": [10], "skipped": [0]}
    alone = metric_of([BEGIN, *(step(n, n, finite=n != 30) for n in range(1, 31))], "error_rate", "training")
    assert wrong.ci == pytest.approx(alone.ci)  # ten steps of which one number is known are one observation


def test_work_that_was_run_again_is_counted_in_steps() -> None:
    """Steps 1 to 17 by a bar that shows every second or third; again from step 10."""
    shown = [(3, 3), (5, 2), (8, 3), (10, 2), (13, 3), (15, 2), (17, 2)]
    events = [BEGIN, *(step(n, n, c, count=c) for n, c in shown), crash(17.5)]
    events += [step(n, 10 + n, c, count=c) for n, c in [(14, 2), (16, 2), (19, 3)]]  # 13 only started the clock
    lost = rows(metric_of([START, *events], "crash_rate", "training"), "Lost work")
    assert lost["run again after a restart"] == [5, pytest.approx(5.0)]


def test_a_clock_that_stands_still_measures_nothing() -> None:
    events = [BEGIN, section("load", 1, 1), step(1, 1, 0), epoch(1, 1, 1)]
    for id in ("training_speed", "inference_speed"):
        assert metric_of(events, id, "training").status == "not_measured"


LENGTHS = st.tuples(st.integers(0, 60), st.integers(1, 12))
PRECEDENCE = ["recovery", "lost_work", "load", "checkpoint", "evaluation", "step"]


@given(
    st.lists(LENGTHS, min_size=1, max_size=8),
    st.lists(st.tuples(LENGTHS, st.sampled_from(["load", "checkpoint", "evaluation"])), max_size=8),
    st.lists(st.tuples(st.integers(1, 7), st.integers(1, 3)), min_size=8, max_size=8),
    st.none() | st.integers(0, 80),
)
def test_the_parts_of_any_wall_time_sum_to_it(
    steps: list[tuple[int, int]],
    sections: list[tuple[tuple[int, int], str]],
    numbers: list[tuple[int, int]],
    crashed: int | None,
) -> None:
    """Against a painter who colours each unit of time by hand. What a later step goes back behind is lost."""
    steps.sort(key=lambda span: sum(span))
    log = Log(1, {Step: [], Section: [], ProcExit: []})
    spans: list[tuple[str, int, int]] = []
    for index, (begin, length) in enumerate(steps):
        number, count = numbers[index]
        taken_back = any(later - covered < number for later, covered in numbers[index + 1 : len(steps)])
        spans.append(("lost_work" if taken_back else "step", begin, begin + length))
        log.events[Step].append(step(number, (begin + length) / S, length / S, count=count))
    for (begin, length), name in sections:
        spans.append((name, begin, begin + length))
        log.events[Section].append(section(name, begin / S, (begin + length) / S))
    if crashed is not None:
        log.events[ProcExit].append(crash(crashed / S))
        if not any(begin < crashed < end for _, begin, end in spans):
            before = [end for _, _, end in spans if end <= crashed]
            after = [begin for name, begin, _ in spans if name in ("step", "lost_work") and begin >= crashed]
            spans += [("lost_work", max(before), crashed)] if before else []
            spans += [("recovery", crashed, min(after))] if after else []
    first, last = min(begin for _, begin, _ in spans), max(end for _, _, end in spans)
    painted = dict.fromkeys([*PRECEDENCE, "other"], 0)
    for moment in range(first, last):
        names = [name for name, begin, end in spans if begin <= moment < end]
        painted[min(names, key=PRECEDENCE.index, default="other")] += 1

    wall = wall_time(log)
    assert sum(wall.parts_ns.values()) == wall.total_ns == last - first
    assert wall.parts_ns["compute"] == painted["step"]
    assert wall.parts_ns["warm_up"] == painted["load"]
    assert {name: wall.parts_ns[name] for name in painted if name in wall.parts_ns} == {
        name: painted[name] for name in painted if name in wall.parts_ns
    }


def test_the_training_rates_interval_is_students_over_batches() -> None:
    """By turns, so that neighbours do not correlate and nothing is skewed: then it is the textbook's."""
    samples = [6, 6, 10, 10] * 20
    events = [BEGIN, *(step(n + 1, n + 1.0, samples=count) for n, count in enumerate(samples))]
    metric = metric_of(events, "inference_speed", "training")
    batches = [6.0, 10.0] * 20
    expected = stats.t.interval(0.95, 39, loc=sum(batches) / 40, scale=stats.sem(batches))
    assert metric.ci == pytest.approx(expected)
    assert (metric.clusters, metric.status) == (40, "ok")


def test_epochs_of_steps_that_a_coarse_clock_cannot_tell_apart_are_no_traceback() -> None:
    events = [BEGIN, step(1, 5, epoch=1), epoch(4, 5, steps=1), step(2, 5, epoch=2), epoch(5, 5, steps=1, index=2)]
    assert metric_of(events, "training_speed", "training").status != "ok"
