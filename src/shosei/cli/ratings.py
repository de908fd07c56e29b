"""``shosei ratings``: what people think of answers, taken in from files, made into data, and forgotten."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from shosei.cli.common import JsonOption, RunOption, result, say
from shosei.cli.options import Verb
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_OK, InputError, MeasurementInvalid, nearest

if TYPE_CHECKING:
    from shosei.log import Rating, Run
    from shosei.wire.rated_data import RatedAnswers

_FORMATS = ("dpo", "dpo-sharegpt", "sft", "csv")
_ANY = "any"


class _Verbs(typer.core.TyperGroup):
    """Takes ``shosei ratings FILE.csv`` as ``shosei ratings import FILE.csv``."""

    default = "import"

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            if not (args[0].endswith(".csv") or Path(args[0]).exists()):
                raise InputError(f"ratings: unknown verb '{args[0]}'{nearest(args[0], self.commands)}")
            args = [self.default, *args]
        return super().resolve_command(ctx, args)


ratings = typer.Typer(cls=_Verbs, help="Take in ratings of answers, make data of them, and forget their texts.")


@ratings.command("import", cls=Verb)
def take_in(
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

    _check("--kind", kind, RATER_KINDS)
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


@ratings.command(cls=Verb)
def export(
    run: RunOption = None,
    format: Annotated[
        str,
        typer.Option(
            help="dpo: pairs for TRL and Unsloth; dpo-sharegpt: for LLaMA-Factory; sft: good answers, for all of them "
            "and 'shosei train --dialogues'; csv: all ratings, as 'ratings import' reads them."
        ),
    ] = "sft",
    out: Annotated[
        Path | None, typer.Option(help="File to write (default: standard output).", show_default=False)
    ] = None,
    kind: Annotated[
        str, typer.Option(help="Whose ratings: person, model (judges), or any, of both together.")
    ] = "person",
    later_turns: Annotated[
        bool,
        typer.Option(
            "--later-turns", help="Also answers within a conversation, although what was said before is not kept."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Make data of a run's ratings, of all its attempts: preference pairs, conversations, or a table.

    Pairs and conversations need texts, which a server keeps under --keep-rated-text only.
    """
    from shosei.files import write_atomic
    from shosei.log import open_run
    from shosei.wire.feedback import RATER_KINDS
    from shosei.wire.rated_data import RatedAnswers
    from shosei.wire.ratings import write_ratings

    _check("--format", format, _FORMATS)
    _check("--kind", kind, (*RATER_KINDS, _ANY))
    if format == "csv" and kind == _ANY:
        raise InputError("--kind any: a CSV file does not say who rated; export persons and models each for itself")
    if as_json and out is None:
        raise InputError("--json: standard output cannot have the data, too; name a file with --out")
    folder = open_run(run)
    last = _last_ratings(folder, kind)
    if format == "csv":
        rated, rows, data = RatedAnswers(), len(last), write_ratings(last)
    else:
        rated = RatedAnswers.of(last, later_turns=later_turns)
        lines = _rows(rated, format)
        rows, data = len(lines), "".join(lines)
    values = {"run": str(folder.folder), "format": format, "ratings": len(last), "rows": rows}
    values["left_out"] = dict(rated.left_out)
    remarks = [f"{_counted(len(last), 'rating')} in {folder.folder}", *_why_left_out(rated.left_out)]
    if not rows:
        result(values, [f"nothing to export: {'; '.join([*remarks, _why_none(format)])}"], as_json=as_json)
        return EXIT_INCONCLUSIVE
    if out:
        write_atomic(out, data)
        result(values | {"out": str(out)}, [f"{_counted(rows, 'row')} in {out}: {'; '.join(remarks)}"], as_json=as_json)
    else:
        print(data, end="")
        say(f"{_counted(rows, 'row')}: {'; '.join(remarks)}")
    return EXIT_OK


@ratings.command(cls=Verb)
def forget(
    run: RunOption = None,
    rater: Annotated[
        str,
        typer.Option(
            metavar="WHO",
            help="Whose texts: the value of a cookie, a user (with --key-file), a name in a file of ratings, an "
            "address, or a hash as the log and 'ratings export' have it.",
        ),
    ] = "",
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Texts of ratings that were given longer ago, such as 90d or 12h.")
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(help="File of the plain keys whose holders named the user, one a line.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Remove comments, questions, answers and words of surveys from a run's log for good; their numbers stay.

    Given both a rater and an age, it removes the texts of that rater which are older. The server may go on running.
    """
    from shosei.log import open_run
    from shosei.log.removal import remove_texts
    from shosei.log.secret import RunSecret
    from shosei.quantity import parse_seconds
    from shosei.text_files import read_text
    from shosei.wire.rater import hashes_of

    if not (rater or older_than):
        raise InputError("say whose texts to forget, with --rater WHO, or how old they are, with --older-than 90d")
    if key_file and not rater:
        raise InputError("--key-file: name the user whom the keys' holders named, with --rater USER")
    now_ns = time.time_ns()
    before_ns = now_ns - parse_seconds(older_than, "--older-than") * 10**9 if older_than else now_ns
    keys = [line.strip() for line in read_text(key_file).splitlines()] if key_file else []
    folder = open_run(run)
    raters = hashes_of(RunSecret.of(folder.folder), rater, [key for key in keys if key]) if rater else None

    def chosen(who: str, rated_ns: int) -> bool:
        return (raters is None or who in raters) and rated_ns <= before_ns

    removal = remove_texts(folder.log, chosen, now_ns, dry_run=dry_run)
    if rater and not removal.chosen and not older_than:
        raise InputError(
            f"{folder.folder} has no rating by that rater: give a cookie's value, a user with --key-file, a name in a "
            "file, an address, or a hash as 'shosei ratings export --format csv' shows it"
        )
    values = {
        "run": str(folder.folder),
        "chosen": removal.chosen,
        "removed": removal.with_text,
        "raters": len(removal.raters),
        "broken": removal.broken,
        "dry_run": dry_run,
    }
    would = "would be " if dry_run else ""
    line = f"texts of {removal.with_text} of {removal.chosen} ratings and surveys {would}removed for good"
    lines = [f"{line}, by {_counted(len(removal.raters), 'rater')}; the numbers stay"]
    if removal.broken:
        lines.append(f"{_counted(removal.broken, 'broken line')} of ratings {would}removed as well")
    result(values, lines, as_json=as_json)
    if (folder.folder / "bodies").is_dir():
        say(
            f"{folder.folder / 'bodies'} has questions and answers of all calls, and is not touched: remove it yourself"
        )
    return EXIT_OK


def _check(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{option} {value}{nearest(value, known)}")


def _last_ratings(folder: Run, kind: str) -> list[Rating]:
    """Of all attempts each rater's last word on each turn of each answer."""
    from shosei.log import Rating, attempts, read_log
    from shosei.metrics.experience.population import Population

    if not folder.log.is_dir():
        return []
    every = [rating for attempt in attempts(folder.log) for rating in read_log(folder.log, attempt).of(Rating)]
    kinds = [rating for rating in every if kind in (rating.rater_kind, _ANY)]
    return Population.of(kinds).asked


def _rows(rated: RatedAnswers, format: str) -> list[str]:
    """The lines of a JSON Lines file."""
    import msgspec

    forms = {"sft": rated.conversations, "dpo": rated.preferences, "dpo-sharegpt": rated.sharegpt_preferences}
    return [msgspec.json.encode(row).decode() + "\n" for row in forms[format]()]


def _why_left_out(left_out: Counter[str]) -> list[str]:
    words = {
        "without text": "without text (a server keeps it under --keep-rated-text)",
        "later turn": "within a conversation, of which the beginning is not kept (--later-turns)",
        "cut off": "of a text that was too long to be kept whole",
    }
    return [f"{count} {words[reason]}" for reason, count in left_out.items()]


def _why_none(format: str) -> str:
    reasons = {
        "sft": "no answer with its text was rated well",
        "csv": "nobody rated an answer",
    }
    return reasons.get(format, "no question has two answers, of which one was rated better")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
