"""Ratings as a CSV file: from elsewhere, such as a survey's export or a judge's, and out of a run."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shosei.errors import InputError, nearest
from shosei.log import Rating
from shosei.wire.feedback import (
    MAX_COMMENT_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    MAX_TURN,
)
from shosei.wrong_path import unreadable

COLUMNS = ("rater", "value", "stars", "thumbs", "request", "turn", "tags", "comment", "time")
_VALUES = ("value", "stars", "thumbs")
_STARS = {str(stars): stars for stars in range(1, 6)}
_THUMBS = {"up": 1, "down": 0}
_THUMB_NAMES = {value: name for name, value in _THUMBS.items()}
_OPEN_QUOTE = "unexpected end of data"  # as the csv module says it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RatingRow:
    """One line of the file. ``value`` as a ``rating`` event has it: None is asked and not answered."""

    rater: str
    scale: str  # stars | thumbs
    value: int | None
    request: str
    turn: int
    tags: list[str]
    comment: str
    wall_ns: int | None


def read_ratings(path: Path) -> list[RatingRow]:
    """Read a UTF-8 file with a header of ``COLUMNS``: ``rater`` and at least one of value, stars and thumbs are needed.

    ``stars`` are 1 to 5, ``thumbs`` up or down, ``value`` either; ``tags`` are separated by ``;`` and ``time`` is ISO
    8601, in UTC where it names no zone. Raises InputError that names the file, the line and what is wrong with it.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _rows(path, file)
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {error.reason} at byte {error.start}: save the file as UTF-8") from None


def write_ratings(ratings: Iterable[Rating]) -> str:
    """Ratings as such a file, which ``read_ratings`` reads again; raters are their hashes."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(name for name in COLUMNS if name != "value")
    for rating in ratings:
        values = dict.fromkeys(_VALUES, "")
        if rating.value is not None:
            values[rating.scale] = str(rating.value) if rating.scale == "stars" else _THUMB_NAMES[rating.value]
        moment = _EPOCH + timedelta(microseconds=(rating.rated_wall_ns or rating.wall_ns) // 1_000)
        tags = ";".join(tag.replace(";", ",") for tag in rating.tags)
        place = [rating.request, rating.turn, tags, rating.comment, moment.isoformat()]
        writer.writerow([rating.rater, values["stars"], values["thumbs"], *place])
    return text.getvalue()


def _rows(path: Path, file: Iterable[str]) -> list[RatingRow]:
    reader = csv.reader(file, strict=True)
    rows: list[RatingRow] = []
    unnamed: set[tuple[str, int]] = set()
    begin = 1  # line at which the next record begins
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        begin = reader.line_num + 1
        for cells in reader:
            begin = reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputError(f"{len(cells)} cells, but the header names {len(header)} columns")
            row = _row(dict(zip(header, (cell.strip() for cell in cells), strict=True)))
            if not row.request:
                if (row.rater, row.turn) in unnamed:
                    raise InputError("this rater's second rating of nothing named: say in 'request' what is rated")
                unnamed.add((row.rater, row.turn))
            rows.append(row)
    except InputError as error:
        raise InputError(f"{path}:{max(1, reader.line_num)}: {error}") from None
    except csv.Error as error:
        # An open quote swallows the lines after it: what is wrong stands where the record begins.
        wrong = 'a quote (") opens here and is never closed' if str(error) == _OPEN_QUOTE else error
        raise InputError(f"{path}:{begin}: {wrong}") from None
    if not rows:
        raise InputError(f"{path} holds no ratings below its header")
    return rows


def _check_header(header: list[str]) -> None:
    if len(header) == 1 and header[0] not in COLUMNS:
        raise InputError(f"one column, '{header[0]}': separate the columns with commas")
    for name in header:
        if name not in COLUMNS:
            raise InputError(f"unknown column '{name}'{nearest(name, COLUMNS)}")
        if header.count(name) > 1:
            raise InputError(f"column '{name}' stands twice in the header")
    if "rater" not in header or not any(name in header for name in _VALUES):
        raise InputError("the header needs a column 'rater' and one of 'value', 'stars' and 'thumbs'")


def _row(cells: dict[str, str]) -> RatingRow:
    rater, comment = cells["rater"], cells.get("comment", "")
    if not 0 < len(rater) <= MAX_NAME_CHARACTERS:
        raise InputError(f"rater: give a name of 1 to {MAX_NAME_CHARACTERS} characters")
    if len(comment) > MAX_COMMENT_CHARACTERS:
        raise InputError(f"comment: longer than {MAX_COMMENT_CHARACTERS} characters")
    scale, value = _value(cells)
    return RatingRow(
        rater=rater,
        scale=scale,
        value=value,
        request=cells.get("request", ""),
        turn=_turn(cells.get("turn", "")),
        tags=_tags(cells.get("tags", "")),
        comment=comment,
        wall_ns=_wall_ns(cells.get("time", "")),
    )


def _value(cells: dict[str, str]) -> tuple[str, int | None]:
    """Scale and value of the one cell that has a rating."""
    given = {name: _plain(cells[name]).lower() for name in _VALUES if cells.get(name)}
    if not given:
        return ("stars" if "stars" in cells or "value" in cells else "thumbs"), None
    (name, text), *more = given.items()
    if more:
        raise InputError(f"a rating in '{name}' and in '{more[0][0]}': leave one of them empty")
    if name != "thumbs" and text in _STARS:
        return "stars", _STARS[text]
    if name != "stars" and text in _THUMBS:
        return "thumbs", _THUMBS[text]
    allowed = {"stars": "1 to 5", "thumbs": "up or down", "value": "1 to 5, up or down"}[name]
    raise InputError(f"{name}: '{text}' is not {allowed}; leave it empty where nobody answered")


def _plain(text: str) -> str:
    """What an East Asian keyboard types full-width, such as ２, as ASCII."""
    return unicodedata.normalize("NFKC", text)


def _turn(text: str) -> int:
    text = _plain(text)
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_TURN)) and int(text) <= MAX_TURN):
        raise InputError(f"turn: '{text}' is not a number from 0 to {MAX_TURN}")
    return int(text)


def _tags(text: str) -> list[str]:
    tags = [tag.strip() for tag in text.split(";") if tag.strip()]
    if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG_CHARACTERS for tag in tags):
        raise InputError(f"tags: at most {MAX_TAGS} of {MAX_TAG_CHARACTERS} characters, separated by ';'")
    return tags


def _wall_ns(text: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        raise InputError(f"time: '{text}' is not an ISO 8601 time such as 2026-11-23T09:30:00+09:00") from None
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000
