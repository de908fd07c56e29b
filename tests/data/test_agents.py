"""What nano learns of agents, read back from the rows: the text that the shipped systems send, and right calls."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cn2an
import pytest
from kanjize import kanji2number

from shosei.agents import prompts, systems, tools
from shosei.agents.agent import agent
from shosei.data import DataConfig
from shosei.data.conversations import ROUTE, SKILLS, SOLVE
from shosei.data.generation import generate
from shosei.wire.system import Assignment

FAMILIES = ("products", "dates", "mixed")
_OTHER = {"zh": "ja", "ja": "zh"}
_NUMERAL = re.compile("[零一二三四五六七八九十百千万]+")
_BEFORE = re.compile("前|早|倒退|さかのぼる")

Row = dict[str, Any]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return generate(DataConfig())


@pytest.fixture(scope="module")
def rows(files: dict[str, bytes]) -> list[Row]:
    decoded = (json.loads(line) for line in files["data/train.jsonl"].splitlines())
    return [row for row in decoded if row["suite"] in FAMILIES]


@pytest.fixture(scope="module")
def tasks(files: dict[str, bytes]) -> list[Row]:
    return [json.loads(line) for line in files["agents/tasks.jsonl"].splitlines()]


class Scripted(ThreadingHTTPServer):
    """A chat server that says what it was told to, one message a request, and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Row] = []
        self.requests: list[Row] = []


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        self.server.requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        choice = {"index": 0, "message": self.server.script.pop(0), "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "nano"}
        body = json.dumps(answer | {"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as scripted:
        thread = threading.Thread(target=scripted.serve_forever)
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join()


def question(row: Row) -> str:
    return next(message["content"] for message in row["messages"] if message["role"] == "user")


def said(row: Row) -> list[Row]:
    return [message for message in row["messages"] if message["role"] == "assistant"]


def routes(rows: list[Row]) -> dict[str, Row]:
    return {question(row): row for row in rows if len(row["messages"]) == 3}


def calls(row: Row) -> list[Row]:
    return [call["function"] for message in row["messages"] for call in message.get("tool_calls", [])]


def as_trained(request: Row) -> Row:
    """The part of a request that the model reads, as a row has it."""
    for message in request["messages"]:
        message.setdefault("content", None)
    tools = [
        {**tool, "function": {key: value for key, value in tool["function"].items() if key != "strict"}}
        for tool in request.get("tools", [])
    ]
    return {"messages": request["messages"], "tools": tools}


@pytest.mark.parametrize("lang", ["zh", "ja"])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_what_the_router_and_its_specialists_send_and_their_tools_return(
    rows: list[Row], server: Scripted, family: str, lang: str
) -> None:
    routed = routes(rows)
    own = [row for row in rows if (row["suite"], row["lang"]) == (family, lang) and "tools" in row]
    both = [row for row in own if question(row) in routed]
    assert both
    for row in both[:4]:
        route = routed[question(row)]
        server.script, server.requests = [*said(route), *said(row)], []
        task = Assignment("1", question(row), lang, "nano")
        answer = asyncio.run(systems.router(task, f"http://127.0.0.1:{server.server_port}/v1"))
        first, *others = map(as_trained, server.requests)
        assert first == {"messages": route["messages"][:-1], "tools": []}
        for request, ends in zip(
            others, [place for place, m in enumerate(row["messages"]) if m in said(row)], strict=True
        ):
            assert json.dumps(request["tools"]) == json.dumps(row["tools"]), "the order of keys is read too"
            assert request["messages"] == row["messages"][:ends]
        assert answer == row["messages"][-1]["content"]


@pytest.mark.parametrize("skill", SKILLS)
def test_constants_are_the_prompts_and_the_tools_as_a_client_sends_them(server: Scripted, skill: str) -> None:
    for ours, theirs in ((ROUTE, prompts.ROUTE), (SOLVE, prompts.SOLVE)):
        assert ours == {lang: theirs[lang] for lang in ("zh", "ja")}
    server.script = [{"role": "assistant", "content": "好"}]
    own = [getattr(tools, name) for name in prompts.SKILLS[skill]]
    asking = agent(Assignment("1", "", "zh", "nano"), f"http://127.0.0.1:{server.server_port}/v1", "a", tools=own)
    asyncio.run(asking.run("問"))
    [request] = map(as_trained, server.requests)
    assert json.dumps(request["tools"]) == json.dumps(SKILLS[skill]), "the order of keys is read too"


def number(words: str) -> int:
    """Chinese numerals have a unit or a zero where Japanese ones leave it out; both libraries read their own."""
    chinese = cn2an.cn2an(words, "smart") if _is_chinese(words) else kanji2number(words)
    return int(chinese)


def _is_chinese(words: str) -> bool:
    return "零" in words or bool(re.search("一[百千]", words))


def expected(asked: str, suite: str, lang: str) -> str | int | tuple[str, int]:
    """The answer, by other means than the data were made with."""
    if suite == "dates":
        year, month, day, days = map(int, re.findall("[0-9]+", asked))
        end = date(year, month, day) + timedelta(-days if _BEFORE.search(asked) else days)
        return f"{end.year}年{end.month}月{end.day}日"
    quoted = re.search("「(.+)」", asked)
    a, b = (number(words) for words in _NUMERAL.findall(asked.replace(quoted[0], "") if quoted else asked))
    if quoted:
        return a * b + number(quoted[1])
    return a * b if suite == "products" else (_OTHER[lang], a * b)


def agrees(answer: str, truth: str | int | tuple[str, int]) -> bool:
    if isinstance(truth, tuple):
        lang, value = truth
        read = cn2an.cn2an(answer, "strict") if lang == "zh" else kanji2number(answer)
        return int(read) == value
    return answer == str(truth)


def test_answers_are_right(rows: list[Row], tasks: list[Row]) -> None:
    for row in rows:
        if len(row["messages"]) > 3:
            assert agrees(row["messages"][-1]["content"], expected(question(row), row["suite"], row["lang"])), row
    for task in tasks:
        assert agrees(task["truth"], expected(question(task), task["suite"], task["lang"])), task


def test_every_task_needs_more_than_one_step_and_both_languages_are_asked(tasks: list[Row]) -> None:
    assert 120 <= len(tasks) <= 180
    assert len({task["id"] for task in tasks}) == len(tasks)
    for family in FAMILIES:
        langs = [task["lang"] for task in tasks if task["suite"] == family]
        assert abs(langs.count("zh") - langs.count("ja")) <= 1
    for task in tasks:
        if task["suite"] == "dates":
            asked, answered = (re.findall("[0-9]+", text) for text in (question(task), task["truth"]))
            assert asked[:2] != answered[:2], "across months"


def test_mixed_questions_take_two_tools_or_quote_the_other_language(rows: list[Row]) -> None:
    for row in rows:
        if row["suite"] == "mixed" and len(row["messages"]) > 3:
            assert ("「" in question(row)) == ([call["name"] for call in calls(row)] == ["calculator"])


def factors(row: Row) -> object:
    """What is held out of a question, whichever family asks it."""
    if row["suite"] == "dates":
        return tuple(re.findall("[0-9]+", question(row)))
    quoted = re.sub("「.+」", "", question(row))
    return frozenset(map(number, _NUMERAL.findall(quoted)))


def test_no_operand_is_trained_on_and_asked(rows: list[Row], tasks: list[Row]) -> None:
    assert not {factors(row) for row in rows} & {factors(task) for task in tasks}


def test_the_router_is_taught_no_question_that_is_asked(rows: list[Row], tasks: list[Row]) -> None:
    routed = routes(rows)
    assert {row["messages"][-1]["content"] for row in routed.values()} == {
        "zh-calculator",
        "ja-calculator",
        "zh-calendar",
        "ja-calendar",
    }
    assert not routed.keys() & {question(task) for task in tasks}
