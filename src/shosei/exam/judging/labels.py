"""People's labels of a run's answers, from a file of JSON Lines or CSV, such as the list that a judging leaves."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from shosei.errors import InputError
from shosei.log import Score, Verdict
from shosei.metrics.grading.verdict import digest_of
from shosei.text_files import json_lines, read_text

_FIELDS = "'item' and 'label' (pass or fail) and, where several answers have that item, 'suite' and 'sample'"


class _Label(msgspec.Struct):
    item: str
    label: str = ""  # empty in a list that nobody has filled in yet
    suite: str = ""
    sample: int | None = None


def read_labels(path: Path, answers: Sequence[Score]) -> list[Verdict]:
    """Each label as a person's verdict on its answer.

    Raises InputError: a line that is no label, or whose answer the run does not have, or could be one of several; two
    labels that contradict each other; none.
    """
    verdicts: dict[tuple[str, str, int], Verdict] = {}
    for where, label in _rows(path):
        if not label.label:
            continue
        if label.label not in ("pass", "fail"):
            raise InputError(f"{where}: the label '{label.label}' is neither 'pass' nor 'fail'")
        verdict = _verdict(_labelled(where, label, answers), label.label)
        earlier = verdicts.setdefault((verdict.suite, verdict.item, verdict.sample), verdict)
        if earlier.said != verdict.said:
            raise InputError(
                f"{where}: item '{label.item}' is labelled '{earlier.said}' above and '{verdict.said}' here"
            )
    if not verdicts:
        raise InputError(f"{path} holds no labels: give each line {_FIELDS}")
    return list(verdicts.values())


def _rows(path: Path) -> Iterator[tuple[str, _Label]]:
    if path.suffix != ".csv":
        yield from json_lines(path, _Label, f"a label, which has {_FIELDS}")
        return
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    for row in rows:
        where = f"{path}:{rows.line_num}"
        given = {
            name: value.strip() for name, value in row.items() if name and isinstance(value, str) and value.strip()
        }
        try:
            yield where, msgspec.convert(given, _Label, strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: not a label, which has {_FIELDS}: {error}") from None


def _labelled(where: str, label: _Label, answers: Sequence[Score]) -> Score:
    """The answer that a label is of."""
    matching = [
        score
        for score in answers
        if score.item == label.item
        and label.suite in ("", score.suite)
        and (label.sample is None or label.sample == score.sample)
    ]
    if not matching:
        raise InputError(f"{where}: the run has no answer to item '{label.item}' that is labelled so")
    if len(matching) > 1:
        raise InputError(f"{where}: {len(matching)} answers have the item '{label.item}': add its 'suite' and 'sample'")
    return matching[0]


def _verdict(score: Score, label: str) -> Verdict:
    return Verdict(
        suite=score.suite, item=score.item, sample=score.sample, by="person", answer=digest_of(score), said=label
    )
