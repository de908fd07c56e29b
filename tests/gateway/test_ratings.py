"""Ratings through the gateway: of answers of any server, kept in the gateway's run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_upstream import MESSAGE, QUESTION, client, through, well
from shosei.gateway import Gateway
from shosei.log import Log, PassedOn, Rating, Survey
from shosei.metrics.cells import cells
from shosei.metrics.metric import Metric
from shosei.metrics.service_level import ServiceLevel

Json = dict[str, Any]


class Page:
    """What a page in a browser does: it keeps its cookies."""

    def __init__(self, gateway: Gateway, http: aiohttp.ClientSession) -> None:
        self.url, self.http = gateway.url, http

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Json]:
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            said: Json = await answer.json()
            return answer.status, said.get("error", said)

    async def ask(self, **change: Any) -> str:
        status, answer = await self.post("/v1/chat/completions", QUESTION | change)
        assert status == 200
        return str(answer["id"])


def satisfaction(log: Log) -> Metric:
    cell = next(cell for cell in cells(ServiceLevel()) if (cell.id, cell.phase) == ("satisfaction", "inference"))
    return cell.compute(log)


def rated(folder: Path, visit: Any, **config: Any) -> Log:
    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            await visit(Page(gateway, http))

    log, upstream = through(folder, well, talk, **config)
    assert not any("/v1/feedback" in asked.head or "/v1/survey" in asked.head for asked in upstream.asked)
    return log


def test_answers_of_a_foreign_server_are_rated_by_one_browser(tmp_path: Path) -> None:
    async def visit(page: Page) -> None:
        for thumbs in ("up", "down"):
            id = await page.ask()
            receipt = await page.post("/v1/feedback", {"request": id, "thumbs": thumbs, "comment": "秘密"})
            assert receipt == (200, {"request": id, "turn": 0, "recorded": True, "text_kept": False})
        assert [cookie.key for cookie in page.http.cookie_jar] == ["shosei_rater"]

    log = rated(tmp_path, visit)
    ratings = log.of(Rating)
    assert len({rating.rater for rating in ratings}) == 1
    assert [(rating.value, rating.comment, rating.answer) for rating in ratings] == [(1, "", ""), (0, "", "")]
    found = satisfaction(log)
    assert (found.value, found.n, found.clusters) == (0.5, 2, 1)
    assert not log.of(PassedOn)
    assert not any("秘密".encode() in segment.read_bytes() for segment in (tmp_path / "log").iterdir())


def test_a_rating_is_taken_back_without_a_word_of_the_answer(tmp_path: Path) -> None:
    async def visit(page: Page) -> None:
        id = await page.ask()
        for verdict in ({"thumbs": "up"}, {"withdrawn": True}):
            status, receipt = await page.post("/v1/feedback", {"request": id} | verdict)
            assert (status, receipt["text_kept"]) == (200, "thumbs" in verdict)
        for wrong in (
            {"withdrawn": True, "thumbs": "up"},
            {"withdrawn": True, "tags": ["wrong"]},
            {"withdrawn": False},
        ):
            status, error = await page.post("/v1/feedback", {"request": id} | wrong)
            assert status == 400
            assert "withdrawn" in error["message"]

    log = rated(tmp_path, visit, keep_rated_text=True)
    up, back = log.of(Rating)
    assert (back.rater, back.request, back.value, back.withdrawn, back.answer) == (up.rater, up.request, None, True, "")
    assert satisfaction(log).status == "not_measured"


@pytest.mark.parametrize("stream", [False, True])
def test_question_and_answer_are_kept_where_the_operator_keeps_them(tmp_path: Path, stream: bool) -> None:
    ids: list[str] = []

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as http:
            if stream:
                chunks = [
                    chunk async for chunk in await client(gateway).chat.completions.create(**QUESTION, stream=True)
                ]
                ids.append(chunks[0].id)
            else:
                ids.append(await Page(gateway, http).ask())
            body = {"request": ids[0], "stars": 2, "comment": "違う"}
            status, receipt = await Page(gateway, http).post("/v1/feedback", body)
            assert (status, receipt["text_kept"]) == (200, True)

    log, _ = through(tmp_path, well, talk, keep_rated_text=True)
    (rating,) = log.of(Rating)
    assert (rating.question, rating.answer, rating.comment) == ("今日は何曜日？", MESSAGE["content"], "違う")
    assert (rating.context, rating.context_messages) == ("", 0)


def test_a_survey_counts_once_however_often_it_is_sent(tmp_path: Path) -> None:
    async def visit(page: Page) -> None:
        id = await page.ask()
        body = {"request": id, "csat": 2, "answers": {"useful": 5, "missing": "速度"}}
        for csat in (2, 4):
            receipt = await page.post("/v1/survey", body | {"csat": csat})
            assert receipt == (200, {"request": id, "recorded": True, "text_kept": False})

    log = rated(tmp_path, visit)
    surveys = log.of(Survey)
    assert [(survey.csat, survey.stars, survey.words) for survey in surveys] == [(c, {"useful": 5}, {}) for c in (2, 4)]
    assert len({survey.rater for survey in surveys}) == 1


def test_a_proxy_tells_who_rates_and_that_it_came_over_https(tmp_path: Path) -> None:
    async def visit(page: Page) -> None:
        for network in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
            body = {"request": await page.ask(), "thumbs": "up"}
            assert (await page.post("/v1/feedback", body, **{"X-Forwarded-For": network}))[0] == 200

    a, b, c = (rating.rater for rating in rated(tmp_path, visit, raters_by_address=True).of(Rating))
    assert a == b != c


@pytest.mark.parametrize("proto", ["http", "https"])
def test_a_cookie_of_https_stays_with_https(tmp_path: Path, proto: str) -> None:
    async def visit(page: Page) -> None:
        body = {"request": await page.ask(), "thumbs": "up"}
        headers = {"X-Forwarded-Proto": proto}
        async with page.http.post(f"{page.url}/v1/feedback", json=body, headers=headers) as answer:
            assert ("Secure" in answer.headers["Set-Cookie"]) is (proto == "https")

    rated(tmp_path, visit)


@pytest.mark.parametrize(
    ("path", "change", "status", "said"),
    [
        ("/v1/feedback", {"thumbs": "sideways"}, 400, "thumbs"),
        ("/v1/feedback", {"thumbs": "up", "rater": "x"}, 400, "Unknown field 'rater'; known: request"),
        ("/v1/feedback", {}, 400, "either thumbs"),
        ("/v1/feedback", {"thumbs": "up", "user": "王"}, 401, "holder of a key"),
        ("/v1/feedback", {"thumbs": "up", "request": "chatcmpl-" + "0" * 40}, 404, "gave no answer"),
        ("/v1/survey", {}, 400, "csat"),
        ("/v1/survey", {"csat": 6}, 400, "csat"),
        ("/v1/survey", {"csat": 5, "answers": {"useful": 9}}, 400, "answers.useful"),
        ("/v1/survey", {"csat": 5, "answers": {"useful": ""}}, 400, "answers.useful"),
        ("/v1/survey", {"csat": 5, "answers": {"not_an_id": 1}}, 400, "answers.not_an_id"),
        ("/v1/survey", {"csat": 5, "answers": {str(number): 1 for number in range(6)}}, 400, "answers"),
    ],
)
def test_what_is_no_rating_is_refused_in_words(tmp_path: Path, path: str, change: Json, status: int, said: str) -> None:
    async def visit(page: Page) -> None:
        code, error = await page.post(path, {"request": await page.ask()} | change)
        assert code == status, error
        assert said in error["message"]

    log = rated(tmp_path, visit)
    assert not log.of(Rating)
    assert not log.of(Survey)


def test_bodies_that_are_no_object_and_too_large(tmp_path: Path) -> None:
    async def visit(page: Page) -> None:
        assert (await page.post("/v1/feedback", [1]))[0] == 400
        assert (await page.post("/v1/feedback", "x" * (1 << 20)))[0] == 413
        async with page.http.post(
            page.url + "/v1/feedback", data=b"{", headers={"Content-Type": "text/plain"}
        ) as answer:
            assert answer.status == 415, "no page of another site can send a form as a rating"

    assert not rated(tmp_path, visit).of(Rating)


def test_a_flood_is_slowed_down(tmp_path: Path) -> None:
    async def visit(page: Page) -> None:
        id = await page.ask()
        codes = [(await page.post("/v1/feedback", {"request": id, "thumbs": "up"}))[0] for _ in range(3)]
        assert codes == [200, 200, 429]

    assert len(rated(tmp_path, visit, ratings_per_minute=2).of(Rating)) == 2


def test_a_gateway_without_a_run_says_how_ratings_are_collected() -> None:
    async def talk() -> tuple[int, Json]:
        async with Gateway("http://127.0.0.1:9", None) as gateway, aiohttp.ClientSession() as http:
            return await Page(gateway, http).post("/v1/feedback", {"request": "cmpl-1", "thumbs": "up"})

    status, error = asyncio.run(talk())
    assert (status, error["code"]) == (503, "not_recording")
    assert "--run RUN" in error["message"]
