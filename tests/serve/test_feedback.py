"""``POST /v1/feedback`` of a real server: what is acknowledged is on the disk, and nothing is kept that need not be."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_process import Browser, child, make_model, serving, status
from shosei.log import Rating, Survey, Writer, read_log
from shosei.log.secret import AnswerIds, RunSecret
from shosei.metrics.cells import cells
from shosei.metrics.service_level import ServiceLevel
from shosei.wire.api_error import ApiError
from shosei.wire.feedback import Feedback
from shosei.wire.rating_desk import DEFAULT_RULES, RatingDesk
from shosei.wire.recent_answers import AskedQuestion, RecentAnswers

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes die with their parent on Linux")

KEY = "k" * 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("serve") / "model")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback") / "run"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """Of a server that takes many ratings, from an application's back end."""
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"# the shop's\n{KEY}\n")
    return ["--feedback-keys", keys, "--ratings-per-minute", "100000"]


@pytest.fixture(scope="module")
def url(model: Path, run: Path, options: list[str | Path]) -> Iterator[str]:
    with serving(model, "--run", run, *options) as (_, url):
        yield url


@pytest.fixture(scope="module")
def id(url: str) -> str:
    """Of an answer that can be rated."""
    return Browser(url).ask()


def post(url: str, body: Any, path: str = "/v1/feedback") -> tuple[int, dict[str, Any]]:
    """As the holder of the key."""
    return Browser(url, Authorization=f"Bearer {KEY}").post(body, path)[:2]


def ratings(run: Path) -> list[Rating]:
    return read_log(run / "log").of(Rating)


def test_a_click_becomes_an_event_without_names_or_words(url: str, run: Path, id: str) -> None:
    body = {"request": id, "turn": 2, "stars": 4, "tags": ["快"], "comment": "secret words", "user": "王小明"}
    code, receipt = post(url, body)
    assert (code, receipt) == (200, {"request": id, "turn": 2, "recorded": True, "text_kept": False})
    (found,) = [rating for rating in ratings(run) if rating.turn == 2]
    assert (found.value, found.scale, found.rater_kind, found.phase) == (4, "stars", "person", "inference")
    assert found.tags == ["快"]
    kept = b"".join(segment.read_bytes() for segment in (run / "log").iterdir())
    assert b"secret" not in kept
    assert "王小明".encode() not in kept


def test_a_survey_becomes_an_event_without_names_or_words(url: str, run: Path, id: str) -> None:
    body = {"request": id, "csat": 4, "answers": {"useful": 5, "missing": "geheime Worte"}, "user": "王小明"}
    code, receipt = post(url, body, "/v1/survey")
    assert (code, receipt) == (200, {"request": id, "recorded": True, "text_kept": False})
    (survey,) = read_log(run / "log").of(Survey)
    assert (survey.csat, survey.stars, survey.words, survey.phase) == (4, {"useful": 5}, {}, "inference")
    assert b"geheim" not in b"".join(segment.read_bytes() for segment in (run / "log").iterdir())
    code, error = post(url, {"request": id, "csat": 4, "answer": {}}, "/v1/survey")
    assert (code, error["message"]) == (400, "Unknown field 'answer'; known: request, csat, answers, user")
    assert post(url, {"request": "chatcmpl-" + "0" * 40, "csat": 4}, "/v1/survey")[0] == 404


def test_the_last_click_of_a_rater_counts(url: str, run: Path, id: str) -> None:
    for user, thumbs in (("a", "up"), ("a", "down"), ("b", "up"), (None, "up"), (None, "up")):
        body = {"request": id, "turn": 7, "thumbs": thumbs} | ({"user": user} if user else {})
        assert post(url, body)[0] == 200
    log = read_log(run / "log")
    log.events[Rating] = [rating for rating in log.of(Rating) if rating.turn == 7]
    assert len({rating.rater for rating in log.of(Rating)}) == 3  # a, b, and the holder of the key
    cell = next(cell for cell in cells(ServiceLevel()) if (cell.id, cell.phase) == ("satisfaction", "inference"))
    found = cell.compute(log)
    assert (found.n, found.clusters, found.value) == (3, 3, pytest.approx(2 / 3))


def test_the_secret_is_the_owners_alone(url: str, run: Path, id: str) -> None:
    assert post(url, {"request": id, "thumbs": "up"})[0] == 200
    assert stat.S_IMODE((run / "rater.salt").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"star": 4}, "star"),
        ({"stars": 6}, "stars"),
        ({"stars": True}, "stars"),
        ({"stars": "4"}, "stars"),
        ({"stars": None}, "thumbs"),
        ({"thumbs": "up"}, "thumbs"),
        ({"request": "x"}, "request"),
        ({"turn": -1}, "turn"),
        ({"tags": ["t"] * 17}, "tags"),
        ({"tags": ["x" * 65]}, "tags[0]"),
        ({"comment": "字" * 4001}, "comment"),
        ({"user": ""}, "user"),
        ({"user": "\ud800"}, "user"),
        ({"rater_kind": "cat"}, "rater_kind"),
    ],
)
def test_a_wrong_field_is_named(url: str, id: str, change: dict[str, Any], param: str) -> None:
    code, error = post(url, {"request": id, "stars": 4} | change)
    assert (code, error["param"]) == (400, param)
    assert error["message"]


def test_an_unknown_field_is_answered_with_those_that_there_are(url: str, id: str) -> None:
    _, error = post(url, {"request": id, "stars": 4, "rater": "王小明"})
    assert error["message"].startswith("Unknown field 'rater'")
    assert "user, rater_kind" in error["message"]


def test_a_body_too_large_to_keep_is_refused(url: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("POST", "/v1/feedback", b" " * ((1 << 20) + 1), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 413
    connection.close()


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3))
bodies = st.fixed_dictionaries(
    {},
    optional={
        "stars": st.integers(0, 6),
        "thumbs": st.sampled_from(["up", "down", ""]),
        "turn": st.integers(-1, 2**70),
        "tags": st.lists(st.text(max_size=70), max_size=18) | anything,
        "comment": anything,
        "user": anything,
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies)
def test_every_body_is_recorded_or_refused(url: str, run: Path, id: str, body: dict[str, Any]) -> None:
    before = len(ratings(run))
    code, answer = post(url, body | {"request": id})
    assert code in (200, 400)
    assert answer.get("recorded", False) == (code == 200)
    assert len(ratings(run)) == before + (code == 200)


def test_the_schema_says_what_a_rating_is(url: str) -> None:
    with urllib.request.urlopen(f"{url}/openapi.json") as response:
        schema = json.load(response)
    assert "200" in schema["paths"]["/v1/feedback"]["post"]["responses"]
    feedback = schema["components"]["schemas"]["Feedback"]
    assert feedback["additionalProperties"] is False
    assert feedback["required"] == ["request"]


def test_no_acknowledged_rating_is_lost_to_kill_9(model: Path, options: list[str | Path], tmp_path: Path) -> None:
    """Clicks rain in while the server is killed: between a click and its answer, and right after one."""
    run = tmp_path / "run"
    acknowledged: list[tuple[str, int]] = []
    with serving(model, "--run", run, *options) as (server, url):
        answers = [Browser(url).ask() for _ in range(8)]

        def click(client: int) -> None:
            for number in range(10_000):
                body = {"request": answers[client], "turn": number, "stars": 5, "user": f"u{client}"}
                try:
                    code, _ = post(url, body)
                except (OSError, http.client.HTTPException, ValueError):
                    return
                assert code == 200
                acknowledged.append((answers[client], number))

        clients = [threading.Thread(target=click, args=(client,)) for client in range(8)]
        for client in clients:
            client.start()
        while len(acknowledged) < 100:
            time.sleep(0.01)
        front = child(server, "http")
        front.kill()
        for client in clients:
            client.join()

        log = read_log(run / "log")
        assert {(rating.request, rating.turn) for rating in log.of(Rating)} >= set(acknowledged)
        assert all("torn last line" in warning for warning in log.warnings)

        while status(f"{url}/readyz") != 200:
            time.sleep(0.05)
        known = {rating.rater for rating in log.of(Rating)}
        assert post(url, {"request": answers[0], "stars": 1, "user": "u0"})[0] == 200
        child(server, "http").kill()
    last = ratings(run)[-1]
    assert (last.request, last.value) == (answers[0], 1)
    assert last.rater in known  # the secret outlives the process


def test_text_is_kept_where_the_operator_says_so(model: Path, options: list[str | Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with serving(model, "--run", run, *options) as (_, url):
        forgotten = Browser(url).ask()
    with serving(model, "--run", run, *options, "--keep-rated-text") as (_, url):
        ask = {"messages": [{"role": "system", "content": "短く"}, {"role": "user", "content": "東京は？"}], "seed": 1}
        _, whole = post(url, ask | {"max_tokens": 8}, "/v1/chat/completions")
        rated, unrated = whole["id"], post(url, ask | {"max_tokens": 8}, "/v1/chat/completions")[1]["id"]
        code, receipt = post(url, {"request": rated, "thumbs": "down", "comment": "違います"})
        assert (code, receipt["text_kept"]) == (200, True)
        code, receipt = post(url, {"request": forgotten, "thumbs": "up"})
        assert (code, receipt["text_kept"]) == (200, False), "there is no text of an answer before the restart"
    found, _ = ratings(run)
    assert (found.question, found.comment) == ("東京は？", "違います")
    assert found.answer == whole["choices"][0]["message"]["content"]
    assert found.request != unrated
    log = b"".join(segment.read_bytes() for segment in (run / "log").iterdir())
    assert log.count("東京は？".encode()) == 1


def test_only_the_last_thousand_answers_are_remembered() -> None:
    recent = RecentAnswers()
    for number in range(1500):
        recent.add(f"cmpl-{number}", AskedQuestion("問" * 20_000), ["答"])
    assert recent.text("cmpl-499") == (AskedQuestion(""), "")
    assert recent.text("cmpl-500") == (AskedQuestion("問" * 10_000), "答")


SECRET = RunSecret.of_process()
RATED = AnswerIds(SECRET).new("cmpl-")


def take(desk: RatingDesk) -> bool:
    rated = desk.take(Feedback(request=RATED, thumbs="up", comment="x"), {}, "127.0.0.1")
    return asyncio.run(rated)[0].recorded


def test_a_server_that_records_nothing_says_how_to_switch_it_on() -> None:
    with pytest.raises(ApiError, match="--run RUN") as refused:
        take(RatingDesk(None, SECRET, DEFAULT_RULES))
    assert refused.value.status == 503


def test_a_full_disk_is_never_a_yes(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run" / "log", "run", 1, "inference")
    good = RatingDesk(writer, SECRET, DEFAULT_RULES)
    assert take(good)
    disk = os.dup(writer._file)
    os.dup2(os.open("/dev/full", os.O_WRONLY), writer._file)
    with pytest.raises(ApiError, match="could not be written") as refused:
        take(good)
    assert refused.value.status == 503
    os.dup2(disk, writer._file)
    assert take(good)
    writer.close()
    assert len(read_log(tmp_path / "run" / "log").of(Rating)) == 2
    with pytest.raises(ApiError):
        take(good)


def test_processes_that_race_for_the_secret_agree(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from shosei.log.secret import RunSecret\n"
    script += "print(flush=True); sys.stdin.readline(); print(RunSecret.of(Path(sys.argv[1])).sign('a', 'b', 64))"
    racers = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout
        racer.stdout.readline()
    for racer in racers:
        assert racer.stdin
        racer.stdin.write(b"\n")
        racer.stdin.flush()
    assert len({racer.communicate()[0] for racer in racers}) == 1


def test_keeping_text_without_a_run_is_refused(model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shosei", "serve", model, "--keep-rated-text", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        env={k: v for k, v in os.environ.items() if k != "SHOSEI_RUN"},
    )
    assert done.returncode == 2
    assert "name one with --run" in done.stderr
