"""The door for training rows: what comes in, what is left out and why; a run's rows are replaced only behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from shosei.data.dialogues import Dialogue, RowFault, dialogue_of
from shosei.data.records import Record, read_records
from shosei.errors import InputError
from shosei.log import Run
from shosei.progress import progress

_SHOWN_FAULTS = 5
_SHOWN_CHARACTERS = 300  # of each


@dataclass(slots=True)
class Faults:
    """Rows that cannot be used: how many, and the first few, each with its place."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str, fault: object) -> None:
        self.count += 1
        if len(self.first) < _SHOWN_FAULTS:
            self.first.append(f"{where}: {_one_line(str(fault))}")

    @property
    def summary(self) -> str:
        """For an error's one line."""
        more = self.count - len(self.first)
        return "; ".join([*self.first, *([f"and {more:,} more"] if more else [])])


@dataclass(slots=True)
class Intake:
    """What was taken from a file: its rows, those at fault, and the keys, with counts, that nothing was made of."""

    file: Path
    rows: int = 0
    faults: Faults = field(default_factory=Faults)
    ignored: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """For a person: what is used and what is not."""
        told = [f"{self.file}: {self.rows - self.faults.count:,} of {self.rows:,} rows can be used"]
        told += [f"  {fault}" for fault in self.faults.first]
        if more := self.faults.count - len(self.faults.first):
            told.append(f"  and {more:,} more; --strict stops at the first")
        if self.ignored:
            fields = ", ".join(f"{key} ({count:,} rows)" for key, count in sorted(self.ignored.items()))
            told.append(f"  not used: {fields}")
        return told


def read_file(file: Path, strict: bool = False) -> tuple[list[Dialogue], Intake]:
    """The dialogues of a user's file, and what was left out.

    Raises InputError: the file cannot be read, has no row that can be used, or, where ``strict``, one that cannot.
    """
    dialogues: list[Dialogue] = []
    intake = Intake(file)
    with progress("reading dialogues", unit="rows") as work:
        for record in work.over(read_records(file)):
            _take(record, dialogues, intake, strict)
    if not intake.rows:
        raise InputError(f'{file} has no rows: write a JSON object a line, such as {{"messages": […]}}')
    if not dialogues:
        raise InputError(f"{file}: none of {intake.rows:,} rows can be used: {intake.faults.summary}")
    return dialogues, intake


def _take(record: Record, dialogues: list[Dialogue], intake: Intake, strict: bool) -> None:
    intake.rows += 1
    try:
        if record.fault:
            raise RowFault(record.fault)
        dialogue, ignored = dialogue_of(record.value)
    except RowFault as fault:
        intake.faults.add(record.where, fault)
        if strict:
            raise InputError(f"{intake.faults.first[0]}; mend the row, or leave --strict out") from None
    else:
        dialogues.append(dialogue)
        intake.ignored.update(ignored)


def take_dialogues(
    run: Run,
    file: Path,
    strict: bool = False,
    check: Callable[[Sequence[Dialogue]], None] = lambda dialogues: None,
) -> Intake:
    """Make the dialogues in ``file`` the run's training rows; where it has no validation tasks, it gets none.

    Raises InputError as ``read_file`` and ``check`` do, before anything is written.
    """
    dialogues, intake = read_file(file, strict)
    check(dialogues)
    encode = msgspec.json.Encoder().encode
    run.write("data/train.jsonl", b"".join(encode(dialogue) + b"\n" for dialogue in dialogues))
    if not (run.data / "validation.jsonl").exists():
        run.write("data/validation.jsonl", b"")
    return intake


def how_to_get_rows(run: Run) -> str:
    """What to do where the run has no training rows; an imported model is given the user's, not generated questions."""
    folder = run.folder
    return f"'shosei train --run {folder} --dialogues FILE' takes yours, 'shosei data --run {folder}' generates some"


def read_dialogues(run: Run) -> list[Dialogue]:
    """The run's training rows. Raises InputError that names the file, the line and what is wrong with it."""
    file = run.data / "train.jsonl"
    if not file.is_file():
        raise InputError(f"{file} is missing; {how_to_get_rows(run)}")
    with progress("reading dialogues", unit="rows") as work:
        return [_own(record.where, record.fault, record.value) for record in work.over(read_records(file))]


def _own(where: str, fault: str, value: object) -> Dialogue:
    try:
        if fault:
            raise RowFault(fault)
        return dialogue_of(value)[0]
    except RowFault as error:
        raise InputError(f"{where}: not a training row: {error}") from None


def _one_line(text: str) -> str:
    """What is shown of a fault that quotes a row: no escape of a terminal's, and not the whole row."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
