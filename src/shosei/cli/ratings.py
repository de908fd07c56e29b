"""``shosei ratings``: take ratings from a CSV file into a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shosei.cli.common import JsonOption, RunOption, result
from shosei.errors import InputError, MeasurementInvalid, nearest


def ratings(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="Its columns: rater, and value (1 to 5, up or down), stars or thumbs; also request, turn, tags, "
            "comment, time.",
        ),
    ],
    run: RunOption = None,
    kind: Annotated[str, typer.Option(help="Who rated: person, or model for judges.")] = "person",
    keep_text: Annotated[
        bool, typer.Option("--keep-text", help="Write the comments into the run's log, in plain text.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add the ratings of a CSV file to a run's newest attempt.

    An empty rating was asked for and not given. Of a rater's ratings of an answer the last counts: take a file as often
    as you like.
    """
    from shosei.files import sha256
    from shosei.log import Rating, open_run
    from shosei.log.raters import Raters
    from shosei.log.secret import RunSecret
    from shosei.wire.feedback import RATER_KINDS
    from shosei.wire.ratings import read_ratings

    if kind not in RATER_KINDS:
        raise InputError(f"--kind {kind}{nearest(kind, RATER_KINDS)}")
    folder = open_run(run)
    rows = read_ratings(file)
    raters = Raters(RunSecret.of(folder.folder))
    events = [
        Rating(
            rater=raters.user(row.rater),
            rater_kind=kind,
            scale=row.scale,
            value=row.value,
            request=row.request,
            turn=row.turn,
            rated_wall_ns=row.wall_ns,
            tags=row.tags,
            comment=row.comment if keep_text else "",
        )
        for row in rows
    ]
    manifest: dict[str, Any] = {
        "config": {"kind": kind, "keep_text": keep_text},
        "hashes": {f"ratings/{file.name}": sha256(file)},
    }
    # A later file must not begin an attempt of its own: that would hide the one that it rates.
    with folder.recording("ratings", "inference", new_attempt=False, **manifest) as record:
        if not record.writer.record(events):
            raise MeasurementInvalid(f"not all ratings could be written to {record.writer.path}")
        attempt = record.writer.attempt
    given = sum(row.value is not None for row in rows)
    names = len({row.rater for row in rows})
    values = {"run": str(folder.folder), "attempt": attempt, "asked": len(rows), "given": given, "raters": names}
    counts = f"{_counted(given, 'rating')} by {_counted(names, 'rater')}"
    line = f"{counts}, {len(rows)} asked for: attempt {attempt} of {folder.folder}"
    result(values, [line], as_json=as_json)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
