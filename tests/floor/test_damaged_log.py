"""A log that something else has written into: every line that can be read is read, every other one is told of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recorded
from shosei.errors import InputError
from shosei.log import EVENTS, Event, Note, Writer, attempts, read_log
from shosei.metrics.cells import compute
from shosei.supervise.aftermath import find_lost
from verb import Shosei

# A sound line that each of these damages stands before and after.
DAMAGED = {
    "no UTF-8": b'{"kind":"note","v":1,"attempt":1,"level":"info","text":"\xff"}',
    "nested without end": b'{"kind":"note","v":1,"attempt":1,"level":"info","text":' + b"[" * 200_000,
    "nested in what nobody reads": b'{"kind":"note","v":1,"attempt":1,"of_the_future":' + b'{"a":' * 200_000,
    "of another type": b'{"kind":"note","v":1,"attempt":1,"level":7,"text":[]}',
    "too large a number": b'{"kind":"note","v":1,"attempt":1,"level":"info","text":"","wall_ns":%d}' % 2**70,
    "too large an attempt": b'{"kind":"note","v":1,"attempt":%d,"level":"info","text":""}' % 2**70,
    "too large a float": b'{"kind":"step","v":1,"attempt":1,"loss":1e999}',
    "no number": b'{"kind":"note","v":1,"attempt":1,"level":"info","text":"","mono_ns":NaN}',
    "nulls": b"\0" * 4096,
    "a very long line": b"x" * 50_000_000,
    "no step": b'{"kind":"step","v":1,"attempt":1,"step":1,"epoch":1,"samples":1,"tokens":1,"duration_ns":1,'
    b'"data_wait_ns":null,"loss":1.0,"finite":true,"count":0}',
    "no object": b"[]",
}


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    return next((recorded.write_run(tmp_path) / "log").glob("*.jsonl"))


def events(segment: Path) -> dict[str, list[Event]]:
    log = read_log(segment.parent)
    return {name: log.of(kind) for name, kind in EVENTS.items()}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_line_that_cannot_be_read_is_left_out_counted_and_warned_of(segment: Path, damaged: str) -> None:
    whole, lines = events(segment), segment.read_bytes().splitlines()
    segment.write_bytes(b"\n".join([*lines[:3], DAMAGED[damaged], *lines[3:], b""]))
    log = read_log(segment.parent)
    assert events(segment) == whole
    (warning,) = log.warnings
    assert warning.startswith(f"{segment.name}:4: ")
    assert attempts(segment.parent) == [1]
    assert any(metric.status == "ok" for metric in compute(log))
    assert find_lost(segment.parent) == []


def test_card_and_log_are_shown_in_spite_of_them(segment: Path, shosei: Shosei) -> None:
    with segment.open("ab") as file:
        for line in DAMAGED.values():
            file.write(line + b"\n")
        file.write(b"?\n" * 1000)
    run = segment.parent.parent
    code, out, err = shosei("log", run, "--json")
    assert (code, err) == (0, "")
    warnings = json.loads(out)["warnings"]
    assert len(warnings) == 11, "ten in words, and how many more"
    assert warnings[-1] == f"{segment.name}: {len(DAMAGED) + 1000 - 10} more such lines, left out"
    code, out, err = shosei("card", run, "--json")
    assert code == 0
    assert "Traceback" not in err
    assert segment.name in out


def test_what_is_no_file_is_no_segment(segment: Path, shosei: Shosei) -> None:
    whole, folder = read_log(segment.parent), segment.parent
    (folder / "empty.jsonl").touch()
    (folder / "folder.jsonl").mkdir()
    (folder / "nowhere.jsonl").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.jsonl")
    log = read_log(folder)
    assert log.digest == whole.digest
    assert log.warnings == [f"{name}.jsonl is no file, left out" for name in ("folder", "nowhere", "pipe")]
    assert find_lost(folder) == []
    code, out, _ = shosei("log", folder.parent, "--json")
    assert (code, json.loads(out)["segments"]) == (0, ["empty.jsonl", segment.name])


def test_a_segment_that_may_not_be_read_is_said_in_one_line(segment: Path, shosei: Shosei) -> None:
    """Not left out: nobody would see what the card lacks."""
    assert shosei("log", segment.parent.parent)[0] == 0  # all modules are loaded now
    with unprivileged(segment):
        code, _, err = shosei("log", segment.parent.parent)
    assert (code, err) == (2, f"shosei: Permission denied: {segment}\n")


@contextmanager
def unprivileged(segment: Path) -> Iterator[None]:
    """As a user who may look at the folder, but not into the segment."""
    segment.chmod(0)
    user = os.geteuid()
    if user == 0:
        for folder in [folder for folder in segment.parents if "pytest" in str(folder)]:
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@settings(max_examples=100)
@given(data=st.data())
def test_any_changed_bytes_leave_the_other_lines_readable(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    segment = next((recorded.write_run(tmp_path_factory.mktemp("log")) / "log").glob("*.jsonl"))
    lines = segment.read_bytes().splitlines()
    touched = data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=4))
    for place in touched:
        line = bytearray(lines[place])
        for _ in range(data.draw(st.integers(1, 3))):
            byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != ord("\n")))
            line[data.draw(st.integers(0, len(line) - 1))] = byte
        lines[place] = bytes(line)
    segment.write_bytes(b"\n".join(lines) + b"\n")
    untouched = recorded_by_seq()
    for place in touched:
        del untouched[place]
    try:
        log = read_log(segment.parent, 1)
    except InputError:
        raise AssertionError("attempt 1 is there") from None
    seen = [event for kind in EVENTS.values() for event in log.of(kind)]
    assert untouched.keys() <= {event.seq for event in seen}
    attempts(segment.parent)
    find_lost(segment.parent)


def recorded_by_seq() -> dict[int, object]:
    return dict(enumerate(recorded.events()))


def test_a_writer_that_opens_a_torn_segment_begins_a_line_of_its_own(tmp_path: Path) -> None:
    first = Writer(tmp_path, "r", 1)
    first.emit(Note(level="info", text="before"))
    first.close()
    first.path.write_bytes(first.path.read_bytes() + b'{"kind":"no')
    second = Writer(tmp_path, "r", 1)
    second.emit(Note(level="info", text="after"))
    second.close()
    assert second.path == first.path
    log = read_log(tmp_path)
    assert [note.text for note in log.of(Note)] == ["before", "after"]
    assert len(log.warnings) == 1


def test_what_an_editor_writes_before_the_first_line_costs_nothing(segment: Path) -> None:
    whole = events(segment)
    segment.write_bytes(b"\xef\xbb\xbf" + segment.read_bytes())
    assert events(segment) == whole
    assert not read_log(segment.parent).warnings


def test_a_log_whose_first_lines_are_lost_is_measured_all_the_same(segment: Path, shosei: Shosei) -> None:
    whole = [metric.value for metric in compute(read_log(segment.parent))]
    segment.write_bytes(segment.read_bytes().replace(b'"kind":"run.begin"', b'"kind:"run.begin"'))
    assert [metric.value for metric in compute(read_log(segment.parent))] == whole
    code, _, err = shosei("card", segment.parent.parent)
    assert code == 0
    assert "has no run.begin event" in err


def test_a_line_of_an_attempt_that_nobody_began_makes_no_attempt(segment: Path) -> None:
    whole = events(segment)
    with segment.open("ab") as file:
        for number in (99999999998, 99999999999):
            file.write(b'{"kind":"note","v":1,"attempt":%d,"level":"info","text":""}\n' % number)
    assert attempts(segment.parent) == [1]
    assert events(segment) == whole
    assert [warning.split()[4] for warning in read_log(segment.parent).warnings] == ["99999999998,", "99999999999,"]
