"""``shosei ratings forget``: texts leave the disk for good, numbers stay, and nothing else is lost on the way."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import recorded
from serve_process import SHOSEI
from shosei.log import Rating, Survey, Writer, read_log
from shosei.log.raters import Raters
from shosei.log.removal import remove_texts
from shosei.log.secret import AnswerIds, RunSecret
from shosei.metrics.cells import cells
from shosei.metrics.metric import Metric
from shosei.metrics.service_level import ServiceLevel
from shosei.wire.api_keys import ApiKeys
from shosei.wire.feedback import Feedback
from shosei.wire.rating_desk import RatingDesk, RatingRules
from shosei.wire.recent_answers import RecentAnswers

DAY_NS = 86_400 * 10**9
KEY = "a-key-of-the-shop"

# Writes ratings with text as fast as the disk takes them, and says so of each, until it is told to stop.
WRITER = """
import sys
from pathlib import Path
from shosei.log import Rating, Writer
writer = Writer(Path(sys.argv[1]), "run", 1, "inference")
for number in range(100_000):
    who = {"rater": "r", "rater_kind": "person", "request": "a", "turn": number}
    assert writer.record([Rating(**who, scale="thumbs", value=1, comment="秘密" * 50)])
    print(number, flush=True)
"""
REMOVER = """
import os, sys
from pathlib import Path
from shosei.log.removal import remove_texts
{change}
remove_texts(Path(sys.argv[1]), lambda *_: True, 1)
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return recorded.write_run(tmp_path / "run")


def rate(run: Path, *ratings: dict[str, Any], surveys: int = 0) -> None:
    """Write ratings, and surveys with words, into a segment of a process that has ended."""
    script = "import json, sys\nfrom pathlib import Path\nfrom shosei.log import Rating, Survey, Writer\n"
    script += "writer = Writer(Path(sys.argv[1]), 'run', 1, 'inference')\n"
    script += "plain = dict(rater_kind='person', scale='thumbs', value=1)\n"
    script += "writer.record(Rating(**plain | each) for each in json.loads(sys.argv[2]))\n"
    script += "survey = dict(rater='S' * 32, csat=4, stars={'useful': 5}, words={'missing': '話の秘密'})\n"
    script += "writer.record(Survey(request=f'chatcmpl-{n}', **survey) for n in range(int(sys.argv[3])))\n"
    subprocess.run([sys.executable, "-c", script, run / "log", json.dumps(ratings), str(surveys)], check=True)


def everybody(_rater: str, _rated_ns: int) -> bool:
    return True


def rating(rater: str, request: str, **more: Any) -> dict[str, Any]:
    words = {"comment": f"コメント-{rater}", "question": f"質問-{rater}", "answer": f"応答-{rater}"}
    return {"rater": rater, "request": request, "context": "0123456789abcdef"} | words | more


def forget(run: Path, *options: str | Path) -> dict[str, Any]:
    done = tried(run, *options)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def tried(run: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*SHOSEI, "ratings", "forget", "--run", str(run), "--json", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def on_disk(run: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file())


def satisfaction(run: Path) -> Metric:
    cell = next(cell for cell in cells(ServiceLevel()) if (cell.id, cell.phase) == ("satisfaction", "inference"))
    return cell.compute(read_log(run / "log"))


def test_the_texts_of_a_rater_are_gone_and_the_numbers_stay(run: Path) -> None:
    rate(run, rating("A" * 32, "c-1"), rating("B" * 32, "c-2", value=0), rating("A" * 32, "c-3", comment=""), surveys=1)
    before, events = satisfaction(run), read_log(run / "log").events
    assert forget(run, "--rater", "A" * 32, "--dry-run")["removed"] == 2
    assert on_disk(run).count("コメント-A".encode()) == 1
    told = forget(run, "--rater", "A" * 32)
    assert (told["chosen"], told["removed"], told["raters"], told["broken"]) == (2, 2, 1, 0)
    left = on_disk(run)
    assert not any(f"{word}-A".encode() in left for word in ("コメント", "質問", "応答"))
    assert all(f"{word}-B".encode() in left for word in ("コメント", "質問", "応答"))
    after, log = satisfaction(run), read_log(run / "log")
    assert (after.value, after.n, after.ci, after.figures) == (before.value, before.n, before.ci, before.figures)
    assert after.inputs_digest != before.inputs_digest, "what the card is of has changed"
    assert {kind: len(each) for kind, each in log.events.items()} == {kind: len(each) for kind, each in events.items()}
    assert log.warnings == []
    (note,) = [note for note in after.notes if getattr(note, "key", "") == "experience.texts_removed"]
    assert note.values == {"count": 2, "date": time.strftime("%Y-%m-%d", time.gmtime())}  # type: ignore[union-attr]
    assert forget(run, "--rater", "A" * 32)["removed"] == 0


def test_old_texts_go_by_when_they_were_given(run: Path) -> None:
    old = time.time_ns() - 100 * DAY_NS
    rate(
        run,
        rating("A" * 32, "c-1", rated_wall_ns=old),
        rating("A" * 32, "c-2"),
        rating("B" * 32, "c-3", rated_wall_ns=old),
    )
    assert forget(run, "--older-than", "90d", "--rater", "B" * 32)["removed"] == 1
    assert forget(run, "--older-than", "90d")["removed"] == 1
    assert [bool(each.comment) for each in read_log(run / "log").of(Rating)] == [False, True, False]


def test_words_of_surveys_go_and_their_stars_stay(run: Path) -> None:
    rate(run, surveys=2)
    assert forget(run, "--rater", "S" * 32)["removed"] == 2
    assert "話の秘密".encode() not in on_disk(run)
    assert [(each.csat, each.stars, each.words) for each in read_log(run / "log").of(Survey)] == [
        (4, {"useful": 5}, {})
    ] * 2


def test_a_rater_is_named_by_what_an_operator_can_know(run: Path, tmp_path: Path) -> None:
    """By a cookie, by a user and the key of who named it, by a name in a file, by an address."""
    keys = tmp_path / "keys.txt"
    keys.write_text(KEY + "\n")
    secret, writer = RunSecret.of(run), Writer(run / "log", "run", 1, "inference")
    ids = AnswerIds(secret)

    def click(desk: RatingDesk, headers: dict[str, str], address: str = "192.0.2.7", **more: str) -> str:
        feedback = Feedback(request=ids.new("chatcmpl-"), thumbs="up", comment="秘密", **more)
        return asyncio.run(desk.take(feedback, headers, address))[1].cookie

    keyed = RatingDesk(writer, secret, RatingRules(ApiKeys(file=keys, hashed=False)), RecentAnswers())
    by_address = RatingDesk(writer, secret, RatingRules(by_address=True), RecentAnswers())
    cookie = click(keyed, {})
    click(keyed, {"authorization": f"Bearer {KEY}"}, user="王小明")
    click(by_address, {})
    writer.close()
    named = tmp_path / "named.csv"
    named.write_text("rater,value,comment\n李,5,秘密\n")
    subprocess.run([*SHOSEI, "ratings", "import", named, "--run", run, "--keep-text"], check=True, capture_output=True)
    assert on_disk(run).count("秘密".encode()) == 4
    assert tried(run, "--rater", cookie[:-1] + ("0" if cookie[-1] != "0" else "1")).returncode == 2, "a forged cookie"
    assert tried(run, "--rater", "王小明").returncode == 2, "whose key it was is not known"
    for left, who in enumerate((["王小明", "--key-file", keys], [cookie], ["李"], ["192.0.2.7"])):
        assert forget(run, "--rater", *who)["removed"] == 1, who
        assert on_disk(run).count("秘密".encode()) == 3 - left


def test_what_cannot_be_is_said_in_a_line(run: Path) -> None:
    for options, words in (
        ([], "--older-than 90d"),
        (["--older-than", "gestern"], "--older-than gestern"),
        (["--rater", "nobody"], "has no rating by that rater"),
        (["--rater", os.fsdecode(b"\x97\x9b")], "has no rating by that rater"),
        (["--older-than", "1d", "--key-file", run / "run.toml"], "--rater USER"),
    ):
        done = tried(run, *options)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert words in done.stderr


def test_a_process_that_writes_meanwhile_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "log"
    with subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        acknowledged = [writer.stdout.readline()]
        for _ in range(20):
            acknowledged += [writer.stdout.readline() for _ in range(20)]
            remove_texts(folder, everybody, now_ns=1)
        acknowledged += [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        acknowledged += writer.stdout.readlines()
    turns = [each.turn for each in read_log(folder).of(Rating)]
    assert turns[: len(acknowledged)] == list(map(int, acknowledged))
    assert len(turns) == len(set(turns))
    remove_texts(folder, everybody, now_ns=1)
    assert "秘密".encode() not in on_disk(folder)
    assert len(read_log(folder).of(Rating)) == len(turns)


@pytest.mark.parametrize("moment", ["os.replace", "os.fsync", "os.fchown"])
def test_a_kill_leaves_the_old_log_or_the_new_one(run: Path, moment: str) -> None:
    rate(run, rating("A" * 32, "c-1"), rating("B" * 32, "c-2", value=0))
    before, events = satisfaction(run), read_log(run / "log")
    script = REMOVER.format(change=f"{moment} = lambda *_: os._exit(9)")
    assert subprocess.run([sys.executable, "-c", script, run / "log"]).returncode == 9
    assert read_log(run / "log").digest == events.digest
    assert forget(run, "--rater", "A" * 32)["removed"] == 1
    assert not any(path.name.endswith(".tmp") for path in run.rglob("*"))
    assert "コメント-A".encode() not in on_disk(run)
    assert satisfaction(run).value == before.value


def test_a_full_disk_leaves_the_log_as_it_was(run: Path) -> None:
    rate(run, rating("A" * 32, "c-1"))
    before = on_disk(run / "log")
    change = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    done = subprocess.run([sys.executable, "-c", REMOVER.format(change=change), run / "log"], capture_output=True)
    assert done.returncode == 1
    assert b"OSError" in done.stderr
    assert on_disk(run / "log") == before


def test_what_a_full_disk_left_of_a_rating_goes_as_well(run: Path) -> None:
    rate(run, rating("A" * 32, "c-1"))
    (segment,) = [path for path in (run / "log").glob("*.jsonl") if "コメント-A".encode() in path.read_bytes()]
    whole = segment.read_bytes().splitlines(keepends=True)[-1]
    with segment.open("ab") as file:
        file.write(whole[: len(whole) // 2].decode(errors="ignore").encode() + b"\n" + whole[:-20])
    told = forget(run, "--rater", "A" * 32)
    assert (told["removed"], told["broken"]) == (1, 2)
    assert "コメント-A".encode() not in on_disk(run)
    assert len(read_log(run / "log").of(Rating)) == 1


def test_lines_of_others_are_no_reason_to_stop(run: Path) -> None:
    rate(run, rating("A" * 32, "c-1"))
    lines = [
        b'{"kind":"rating","comment":"\xe5\x8c\xbf\xe5\x90\x8d","wall_ns":5}',  # of nobody
        b'{"kind":"rating","comment":"\xe5\x8c\xbf\xe5\x90\x8d","wall_ns":"5"}',
        b'{"kind":"rating","comment":["\xe5\x8c\xbf\xe5\x90\x8d"],"rater":7}',
        b'{"kind":"run.begin","config":{"kind":"rating"},"comment":"stays"}',
    ]
    (run / "log" / "foreign.jsonl").write_bytes(b"\n".join([*lines, b""]))
    told = forget(run, "--older-than", "1d")
    assert (told["chosen"], told["removed"], told["broken"]) == (1, 1, 2)
    left = on_disk(run).decode(errors="replace")
    assert "匿名" not in left
    assert "stays" in left
    assert "コメント-A" in left


def test_owner_and_mode_of_the_log_stay(run: Path) -> None:
    rate(run, rating("A" * 32, "c-1"))
    for segment in (run / "log").glob("*.jsonl"):
        segment.chmod(0o640)
    forget(run, "--rater", "A" * 32)
    assert {oct(path.stat().st_mode & 0o777) for path in (run / "log").glob("*.jsonl")} == {oct(0o640)}
    assert {path.stat().st_uid for path in (run / "log").iterdir()} == {os.getuid()}


def test_the_hash_in_a_log_is_that_of_its_rater(run: Path) -> None:
    hash = Raters(RunSecret.of(run)).user("李")
    rate(run, rating(hash, "c-1"))
    assert forget(run, "--rater", "李")["removed"] == 1
