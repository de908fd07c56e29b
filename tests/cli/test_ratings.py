"""``shosei ratings``: a CSV file into a run, whole or not at all, and as often as one likes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recorded
from serve_process import SHOSEI
from shosei.errors import InputError
from shosei.log import Rating, attempts, read_log
from shosei.log.raters import Raters
from shosei.log.secret import RunSecret
from shosei.metrics.cells import cells
from shosei.metrics.metric import Metric
from shosei.metrics.service_level import ServiceLevel
from shosei.wire.ratings import read_ratings

FILE = """rater,value,request,turn,tags,comment,time
王,5,chatcmpl-1,0,快;对 ,谢谢,2026-11-23T09:30:00+09:00
李,up,chatcmpl-2,,,"长
的话",
佐藤,,chatcmpl-3,1,,,
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return recorded.write_run(tmp_path / "run")


def shosei(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SHOSEI, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def take(file: Path, run: Path, *options: str) -> dict[str, Any]:
    done = shosei("ratings", file, "--run", run, "--json", *options)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def satisfaction(run: Path) -> Metric:
    cell = next(cell for cell in cells(ServiceLevel()) if (cell.id, cell.phase) == ("satisfaction", "inference"))
    return cell.compute(read_log(run / "log"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_feeds_satisfaction_without_names_or_words(run: Path, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(FILE, encoding=encoding)
    assert take(file, run) == {"run": str(run), "attempt": 1, "asked": 3, "given": 2, "raters": 3}
    first, second, third = read_log(run / "log").of(Rating)
    assert (first.scale, first.value, first.tags, first.rated_wall_ns) == (
        "stars",
        5,
        ["快", "对"],
        1_795_393_800 * 10**9,
    )
    assert (second.scale, second.value) == ("thumbs", 1)
    assert (third.value, third.turn, third.request) == (None, 1, "chatcmpl-3")
    assert first.rater == Raters(RunSecret.of(run)).user("王")
    assert not any("王" in segment.read_text() or "谢谢" in segment.read_text() for segment in (run / "log").iterdir())
    assert (satisfaction(run).value, satisfaction(run).n) == (1.0, 2)


def test_taking_a_file_twice_counts_it_once_and_hides_nothing(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(FILE)
    take(file, run)
    once = satisfaction(run)
    take(file, run)
    twice = satisfaction(run)
    assert (twice.value, twice.n, twice.figures) == (once.value, once.n, once.figures)
    assert attempts(run / "log") == [1]


def test_what_an_east_asian_keyboard_types_is_read(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("rater,value,turn\n王,２,１\n李,ＵＰ,\n")
    assert [(row.scale, row.value, row.turn) for row in read_ratings(file)] == [("stars", 2, 1), ("thumbs", 1, 0)]


def test_one_is_not_said_as_many(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("rater,value\na,5\n")
    assert shosei("ratings", file, "--run", run).stdout.startswith("1 rating by 1 rater, 1 asked for")


def test_comments_are_kept_where_asked_for_and_judges_apart(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "judge.csv"
    file.write_text(FILE)
    take(file, run, "--kind", "model", "--keep-text")
    assert [rating.comment for rating in read_log(run / "log").of(Rating)] == ["谢谢", "长\n的话", ""]
    assert satisfaction(run).status == "not_measured"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rator,stars\na,5\n", ":1: unknown column 'rator'; did you mean 'rater'?"),
        ("stars\n5\n", ":1: the header needs a column 'rater'"),
        ("rater,request\na,x\n", ":1: the header needs a column 'rater' and one of 'value', 'stars' and 'thumbs'"),
        ("rater,stars,stars\na,5,5\n", ":1: column 'stars' stands twice"),
        ("rater;stars\na;5\n", ":1: one column, 'rater;stars': separate the columns with commas"),
        ("", ":1: the header needs"),
        ("rater,stars\n", "holds no ratings"),
        ("rater,stars\na,5\n\nb,6\n", ":4: stars: '6' is not 1 to 5"),
        ("rater,stars\na,4.5\n", ":2: stars: '4.5' is not 1 to 5"),
        ("rater,thumbs\na,1\n", ":2: thumbs: '1' is not up or down"),
        ("rater,stars,thumbs\na,5,up\n", ":2: a rating in 'stars' and in 'thumbs'"),
        ("rater,stars\n,5\n", ":2: rater:"),
        ("rater,stars\na,5,6\n", ":2: 3 cells, but the header names 2 columns"),
        ("rater,stars,turn\na,5,first\n", ":2: turn: 'first'"),
        ("rater,stars,time\na,5,gestern\n", ":2: time: 'gestern' is not an ISO 8601 time"),
        ('rater,stars\na,5\n"b,5\n', ':3: a quote (") opens here and is never closed'),
        ('rater,comment,stars\na,"x\ny",5\nb,"z,4\nc,,3\nd,,2\n', ':4: a quote (") opens here and is never closed'),
        ("rater,stars\na,5\nb,4\na,1\n", ":4: this rater's second rating of nothing named"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_ratings(file)
    assert str(error.value).startswith(str(file))
    assert words in str(error.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_bytes(FILE.encode("gb18030"))
    with pytest.raises(InputError, match="save the file as UTF-8"):
        read_ratings(file)


def test_one_bad_row_and_nothing_is_written(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("rater,stars\na,5\nb,9\n")
    before = sorted(path.name for path in run.rglob("*"))
    done = shosei("ratings", file, "--run", run)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{file}:3:" in done.stderr
    assert sorted(path.name for path in run.rglob("*")) == before


def test_an_unknown_kind_and_a_folder_that_is_no_run(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(FILE)
    assert "did you mean 'person'?" in shosei("ratings", file, "--run", run, "--kind", "persn").stderr
    assert "is not a run folder" in shosei("ratings", file, "--run", tmp_path / "nothing").stderr


@given(st.text(max_size=80), st.sampled_from(["rater,value\n", "rater,stars,turn,tags,time\n", ""]))
def test_any_text_is_rows_or_one_line_of_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, head: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes((head + text).encode("utf-8", "surrogatepass"))
    try:
        rows = read_ratings(file)
    except InputError:
        return
    assert rows
    assert all(row.rater and row.value in (None, 0, 1, 2, 3, 4, 5) for row in rows)
