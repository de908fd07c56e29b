"""Who may rate what, and how often: over HTTP, with cookie jars, keys and several networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_process import SHOSEI, Browser, Reply, child, make_model, serving, status
from shosei.errors import InputError
from shosei.log import Rating, read_log
from shosei.log.secret import AnswerIds, RunSecret
from shosei.wire import api_keys
from shosei.wire.api_keys import ApiKeys, RateLimit
from shosei.wire.rater import COOKIE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes die with their parent on Linux")

KEY, OTHER_KEY = "a-key-of-the-shop", "a-key-of-the-school"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("serve") / "model")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("raters") / "run"


@pytest.fixture(scope="module")
def url(model: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"{KEY}\n\n# of another application\n{OTHER_KEY}\n")
    with serving(model, "--run", run, "--feedback-keys", keys) as (_, url):
        yield url


def browser(url: str, network: str, **headers: str) -> Browser:
    """One that comes from ``network``, as a proxy on this machine tells it; each test has networks of its own."""
    return Browser(url, **{"X-Forwarded-For": network}, **headers)


def holder(url: str, key: str = KEY) -> Browser:
    return Browser(url, Authorization=f"Bearer {key}")


def raters(run: Path, *answers: str) -> list[str]:
    """Who rated these, in the order of their ratings."""
    return [rating.rater for rating in read_log(run / "log").of(Rating) if rating.request in answers]


def refusal(reply: Reply) -> tuple[int, Any, Any]:
    return reply.status, reply.body["param"], reply.body["code"]


@pytest.mark.parametrize("id", ["chatcmpl-none", "cmpl-" + "0" * 32, "chatcmpl-" + "0" * 40])
def test_an_answer_that_nobody_gave_cannot_be_rated(url: str, run: Path, id: str) -> None:
    refused = browser(url, "192.0.2.1").post({"request": id, "thumbs": "up"})
    assert refusal(refused) == (404, "request", "unknown_answer")
    assert COOKIE not in str(refused.headers)
    assert raters(run, id) == []


def test_an_id_cannot_be_changed_or_moved(url: str) -> None:
    client = browser(url, "192.0.2.2")
    id = client.ask()
    flipped = id[:-1] + ("0" if id[-1] != "0" else "1")
    for wrong in (flipped, id[:-1], id.removeprefix("chat"), id + "0", "chatcmpl-1" + id.removeprefix("chatcmpl-")):
        assert client.post({"request": wrong, "thumbs": "up"}).status == 404, wrong
    assert client.post({"request": id, "thumbs": "up"}).status == 200


def test_a_request_that_failed_shows_no_id(url: str) -> None:
    failed = browser(url, "192.0.2.3").post({"messages": [], "max_tokens": 10**6}, "/v1/chat/completions")
    assert failed.status == 400
    assert "cmpl-" not in json.dumps(failed.body)


def test_the_id_of_a_stream_can_be_rated(url: str) -> None:
    client = HTTPConnection(url.removeprefix("http://"), timeout=30)
    body = {"messages": [{"role": "user", "content": "你好"}], "max_tokens": 2, "stream": True}
    client.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    lines = [line for line in client.getresponse().read().decode().split("\n") if line.startswith("data: {")]
    [id] = {json.loads(line.removeprefix("data: "))["id"] for line in lines}
    client.close()
    assert browser(url, "192.0.2.4").post({"request": id, "stars": 5}).status == 200


def test_answers_are_known_after_restarts_in_new_attempts_and_by_another_front(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with serving(model, "--run", run) as (server, url):
        first = Browser(url)
        id = first.ask()
        child(server, "http").kill()
        while status(f"{url}/readyz") != 200:
            time.sleep(0.05)
        assert first.post({"request": id, "thumbs": "up"}).status == 200
        with serving(model, "--run", run, SHOSEI_ATTEMPT="2") as (_, beside):
            assert Browser(beside).post({"request": id, "thumbs": "up"}).status == 200
    with serving(model, "--run", tmp_path / "other run") as (_, url):
        assert Browser(url).post({"request": id, "thumbs": "up"}).status == 404


def test_one_browser_is_one_rater_and_two_are_two(url: str, run: Path) -> None:
    one, two = browser(url, "192.0.2.5"), browser(url, "192.0.2.5")
    answers = [one.ask(), one.ask(), two.ask()]
    for client, id in zip((one, one, two), answers, strict=True):
        assert client.post({"request": id, "thumbs": "up"}).status == 200
    a, b, c = raters(run, *answers)
    assert a == b != c
    assert one.post({"request": answers[2], "thumbs": "up"}).status == 200
    assert raters(run, answers[2]) == [c, a], "a cookie is one rater, whose answer it may be"


def test_the_cookie_says_nothing_and_no_script_or_site_has_it(url: str, run: Path) -> None:
    client = browser(url, "192.0.2.6")
    id = client.ask()
    said = client.post({"request": id, "thumbs": "up"}).headers["Set-Cookie"]
    assert "HttpOnly" in said
    assert "SameSite=lax" in said
    assert "Path=/" in said
    [cookie] = client.cookies
    assert cookie.value
    assert len(cookie.value) == 64
    assert set(cookie.value) <= set("0123456789abcdef")
    assert client.post({"request": id, "thumbs": "down"}).headers["Set-Cookie"] is None
    log = b"".join(segment.read_bytes() for segment in (run / "log").iterdir())
    assert cookie.value[:32].encode() not in log


def test_a_forged_cookie_is_replaced(url: str, run: Path) -> None:
    victim, forger = browser(url, "192.0.2.7"), browser(url, "192.0.2.7")
    answers = [victim.ask(), forger.ask()]
    assert victim.post({"request": answers[0], "thumbs": "up"}).status == 200
    [cookie] = victim.cookies
    assert cookie.value
    for forged in (cookie.value[:-1] + "g", cookie.value[:32] + "0" * 32, "1", "", '"', "é"):
        given = forger.post({"request": answers[1], "thumbs": "up"}, Cookie=f"{COOKIE}={forged}")
        assert given.status == 200
        assert COOKIE in given.headers["Set-Cookie"]
        forger.cookies.clear()
    assert len(set(raters(run, answers[1]))) == 1
    assert set(raters(run, answers[0])).isdisjoint(raters(run, answers[1]))


def test_other_cookies_beside_it_do_no_harm(url: str, run: Path) -> None:
    client = browser(url, "192.0.2.13")
    answers = [client.ask(), client.ask()]
    assert client.post({"request": answers[0], "thumbs": "up"}).status == 200
    [cookie] = client.cookies
    others = f'theme[dark]=1; a="b;c; {COOKIE}={cookie.value}; 名=1'.encode().decode("latin-1")
    given = browser(url, "192.0.2.13", Cookie=others).post({"request": answers[1], "thumbs": "up"})
    assert (given.status, given.headers["Set-Cookie"]) == (200, None)
    assert len(set(raters(run, *answers))) == 1


def test_throwing_cookies_away_makes_no_new_raters_of_one_answer(url: str, run: Path) -> None:
    id = browser(url, "192.0.2.8").ask()
    for _ in range(5):
        assert browser(url, "192.0.2.8").post({"request": id, "thumbs": "up"}).status == 200
    assert len(set(raters(run, id))) == 1


def test_a_user_is_the_raters_name_only_with_a_key(url: str, run: Path) -> None:
    alone = browser(url, "192.0.2.9")
    id = alone.ask()
    rating = {"request": id, "thumbs": "up", "user": "u-17"}
    assert refusal(alone.post(rating)) == (401, "user", "key_required")
    assert refusal(holder(url, "no such key at all").post(rating)) == (401, None, "invalid_api_key")
    assert refusal(holder(url, "no such key at all").post({"request": id, "thumbs": "up"}))[0] == 401
    assert raters(run, id) == []
    for client, user in ((holder(url), "a"), (holder(url), "b"), (holder(url, OTHER_KEY), "a"), (holder(url), "a")):
        given = client.post(rating | {"user": user})
        assert given.status == 200
        assert given.headers["Set-Cookie"] is None
    a, b, of_another, again = raters(run, id)
    assert len({a, b, of_another}) == 3
    assert again == a


def test_one_rater_cannot_rate_all_day_in_a_minute(url: str, run: Path) -> None:
    client = browser(url, "192.0.2.10")
    id = client.ask()
    replies = [client.post({"request": id, "turn": turn, "thumbs": "up"}) for turn in range(40)]
    taken = [reply for reply in replies if reply.status == 200]
    refused = next(reply for reply in replies if reply.status == 429)
    assert 30 <= len(taken) < 40
    assert len(raters(run, id)) == len(taken)
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert refused.body["type"] == "rate_limit_error"
    assert browser(url, "192.0.2.11").post({"request": client.ask(), "thumbs": "up"}).status == 200


def test_many_fresh_cookies_from_one_network_are_limited(url: str, run: Path) -> None:
    """The addresses of one IPv6 network are one network; those of guesses count as well."""
    id = browser(url, "2001:db8::1").ask()
    codes = []
    for number in range(150):
        client = browser(url, f"2001:db8::{number + 1:x}")
        codes.append(client.post({"request": id if number % 2 else "chatcmpl-guess", "thumbs": "up"}).status)
    assert codes[:20] == [404, 200] * 10
    assert codes.count(429) >= 20
    neighbour = browser(url, "2001:db8:0:1::1")
    assert neighbour.post({"request": neighbour.ask(), "thumbs": "up"}).status == 200


def test_2480_made_up_ratings_are_refused(url: str, run: Path) -> None:
    """They made a satisfaction of .994 out of nothing."""
    client = browser(url, "192.0.2.12")
    codes = {client.post({"request": f"chatcmpl-{n}", "thumbs": "up"}).status for n in range(248)}
    assert codes == {404, 429}
    named = {holder(url).post({"request": f"chatcmpl-{n}", "thumbs": "up", "user": f"u{n}"}).status for n in range(50)}
    assert named == {404}
    assert not any(len(rating.request) < 20 for rating in read_log(run / "log").of(Rating))


@pytest.mark.long  # tests/metrics/test_doubts.py has the note
def test_2480_made_up_ratings_of_a_file_are_named_on_the_card(model: Path, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "made-up.csv"
    with serving(model, "--run", run) as (_, url):
        for number in range(15):
            client = browser(url, f"192.0.2.{number}")
            assert client.post({"request": client.ask(), "thumbs": "down"}).status == 200
    file.write_text("rater,thumbs,request\n" + "".join(f"u{n},up,chatcmpl-{n}\n" for n in range(2480)))
    for verb in (["ratings", file, "--run", run], ["card", run]):
        done = subprocess.run([*SHOSEI, *map(str, verb)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    card = json.loads((run / "card.json").read_text())
    [satisfaction] = [
        metric for metric in card["metrics"] if (metric["id"], metric["phase"]) == ("satisfaction", "inference")
    ]
    assert satisfaction["value"] == pytest.approx(0.994, abs=1e-3)
    notes = " ".join(satisfaction["notes"])
    assert "2,480 of 2,495 ratings (99%) are from files and of no answer in this attempt's log" in notes
    assert "of the others, 0.0% are satisfied" in notes


def test_an_address_is_a_rater_where_the_operator_says_so(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with serving(model, "--run", run, "--raters-by-address") as (_, url):
        answers = []
        for network in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
            client = browser(url, network)
            answers.append(client.ask())
            given = client.post({"request": answers[-1], "thumbs": "up"})
            assert (given.status, given.headers["Set-Cookie"]) == (200, None)
    a, b, c = raters(run, *answers)
    assert a == b != c
    assert b"192.0.2" not in b"".join(segment.read_bytes() for segment in (run / "log").iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "holds no keys"),
        (b"short\n", ":1: a key has at least 16 ASCII characters"),
        (b"# one\n0123456789 abcdefgh\n", ":2: a key has at least 16"),
        ("鍵".encode() * 16, ":1: a key has"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_of_keys_that_is_none_is_named(tmp_path: Path, text: bytes, words: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_bytes(text)
    with pytest.raises(InputError) as error:
        ApiKeys(file=file, hashed=False)
    assert str(file) in str(error.value)
    assert words in str(error.value)


def test_a_server_that_cannot_take_ratings_as_asked_does_not_start(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "rater.salt").write_text("short")
    form = tmp_path / "form.toml"
    form.write_text('scale = "stars"')
    for options, words in (
        (["--run", run, "--feedback-keys", tmp_path / "none.txt"], "none.txt: No such file"),
        (["--raters-by-address"], "name one with --run"),
        (["--rating-form", form], "name one with --run"),
        (["--run", run], "rater.salt is not a secret of 32 bytes: remove it"),
    ):
        command = [*SHOSEI, "serve", str(model), *map(str, options), "--port", "0"]
        without_run = {name: value for name, value in os.environ.items() if name != "SHOSEI_RUN"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=without_run)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert words in done.stderr


@given(st.text(max_size=200))
def test_no_text_is_an_id_by_chance(text: str) -> None:
    ids = AnswerIds(RunSecret(b"s" * 32))
    assert not ids.is_own(text)
    assert ids.is_own(ids.new("cmpl-"))


def test_the_limit_comes_back_with_time_and_remembers_few(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(api_keys.time, "monotonic", lambda: now)
    limit = RateLimit(30)
    assert [limit.wait_s("a") for _ in range(32)] == [0] * 30 + [2, 2]
    assert limit.wait_s("b") == 0
    now += 2
    assert [limit.wait_s("a") for _ in range(2)] == [0, 2]
    for number in range(30_000):
        limit.wait_s(str(number))
    assert len(limit._full_at) <= 10_000
    now += 60
    assert [limit.wait_s("a") for _ in range(31)] == [0] * 30 + [2]
    assert len(limit._full_at) == 1, "whose turns are all back is forgotten"
