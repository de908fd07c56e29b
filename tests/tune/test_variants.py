"""``--propose``: texts that a model writes, whatever it answers, from tasks that confirm nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from agents_model import Model
from agents_runs import asking_command, suite
from shosei.errors import InputError, MeasurementInvalid
from shosei.log import Rating, Request, Run, read_log
from shosei.tune.agent import AgentSubject
from shosei.tune.target import Target
from shosei.tune.variants import widened
from tune_targets import target

RIGHT = "105+1"
QUESTIONS = [f"{number}+1是多少？" for number in range(100, 148)]
SPACE = {"style": {"type": "text", "default": "答"}, "rounds": {"type": "int", "low": 1, "high": 3, "default": 1}}
WORDS = '{"style": {0} %s ${HOME} \\n'  # for whoever fills texts into templates


@pytest.fixture
def answering() -> Iterator[Model]:
    server = Model(lambda body: "42" if RIGHT in str(body) else "40")
    yield server
    server.stop()


@pytest.fixture
def asked(tmp_path: Path, answering: Model) -> Target:
    suite(tmp_path, QUESTIONS)
    agent = {"command": asking_command("print(said)"), "tasks": ["tasks.jsonl"], "url": answering.url, "confirm": 0.75}
    return target(tmp_path, "agent", objective={"figure": "pass_at_1"}, space=SPACE, agent=agent)


def propose(target: Target, out: Path, *answers: str, count: int | None = None) -> tuple[Target, list[str], Model]:
    """Have a model answer one after the other."""
    left = list(answers)
    server = Model(lambda _body: left.pop(0))
    try:
        wider, refused = widened(target, AgentSubject(target, None), out, server.url, count or len(answers), 1)
    finally:
        server.stop()
    return wider, refused, server


def test_new_texts_become_choices_and_the_default_stays(asked: Target, tmp_path: Path) -> None:
    wider, refused, _ = propose(asked, tmp_path / "out", "一步步算", "```text\n只答数\n```", "<text>\n先想\n</text>")
    assert wider.space["style"].choices == ["答", "一步步算", "只答数", "先想"]
    assert wider.space["style"].default == "答"
    assert wider.space["rounds"] == asked.space["rounds"]
    assert not refused


def test_a_model_is_shown_what_went_wrong_and_never_a_task_that_confirms(asked: Target, tmp_path: Path) -> None:
    _, _, server = propose(asked, tmp_path / "out", "新")
    [body] = server.bodies
    shown = body["messages"][0]["content"]
    split = AgentSubject(asked, None).split
    tune, confirm = ({task.question for group in groups for task in group} for groups in (split.tune, split.confirm))
    assert "<text>\n答\n</text>" in shown
    assert {question for question in tune if question in shown} == {each for each in tune if RIGHT not in each}
    assert len(tune) > 5
    assert not any(question in shown for question in confirm)
    assert shown.count("expected: 42 | answered: 40") == len(tune) - 1


def test_no_task_that_confirms_is_given_to_the_system(asked: Target, tmp_path: Path) -> None:
    propose(asked, tmp_path / "out", "新")
    called = {request.task.split("#")[0] for request in read_log(Run(tmp_path / "out" / "as_it_is").log).of(Request)}
    split = AgentSubject(asked, None).split
    assert called == {task.id for group in split.tune for task in group}
    assert not called & {task.id for group in split.confirm for task in group}


def test_a_search_that_goes_on_asks_no_more(asked: Target, tmp_path: Path) -> None:
    wider, *_ = propose(asked, tmp_path / "out", "新")
    again, refused = widened(asked, AgentSubject(asked, None), tmp_path / "out", "http://127.0.0.1:9", 3, 1)
    assert again.space == wider.space
    assert not refused


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "empty"),
        (" \n\t", "an empty answer"),
        ("```\n\n```", "an empty answer"),
        ("答", "a choice already"),
        (" 答\n", "a choice already"),
        ("多" * (1 << 20), "a text of 1,048,576 characters"),
    ],
)
def test_what_is_no_new_text_is_refused_with_its_reason(asked: Target, tmp_path: Path, answer: str, why: str) -> None:
    wider, refused, _ = propose(asked, tmp_path / "out", answer)
    assert wider.space["style"].choices == ["答"]
    [line] = refused
    assert line.startswith("style: ")
    assert why in line


@pytest.mark.parametrize("text", [WORDS, "}{", "]]>", "\x00\x1b[2J", "'; rm -rf /", "\ud83d"])
def test_a_text_may_hold_anything_and_reaches_the_system_as_it_is(asked: Target, tmp_path: Path, text: str) -> None:
    wider, refused, _ = propose(asked, tmp_path / "out", text)
    assert not refused
    [_, taken] = wider.space["style"].choices
    expected = text.strip().replace("\ud83d", "\ufffd")  # half a character
    assert taken == expected
    AgentSubject(wider, None).usable({"style": taken, "rounds": 1}, tmp_path / "best")
    assert (tmp_path / "best" / "settings" / "style.txt").read_bytes().decode() == expected


def test_the_same_text_twice_is_one_choice(asked: Target, tmp_path: Path) -> None:
    wider, refused, _ = propose(asked, tmp_path / "out", "新", "新", "更新")
    assert wider.space["style"].choices == ["答", "新", "更新"]
    assert refused == ["style: a text that is a choice already"]


def test_a_model_that_proposes_nothing_where_nothing_else_may_change_ends_the_search(
    tmp_path: Path, answering: Model
) -> None:
    suite(tmp_path, QUESTIONS)
    agent = {"command": asking_command("print(said)"), "tasks": ["tasks.jsonl"], "url": answering.url, "confirm": 0.75}
    space = {"style": SPACE["style"]}
    alone = target(tmp_path, "agent", objective={"figure": "pass_at_1"}, space=space, agent=agent)
    with pytest.raises(InputError, match=r"proposed nothing new \(style: a text that is a choice already\)"):
        propose(alone, tmp_path / "out", "答")
    wider, *_ = propose(alone, tmp_path / "out", "新")  # the same command asks again
    assert wider.space["style"].choices == ["答", "新"]


class Short(Model):
    """A model whose context holds few words; it says so as our server does."""

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt, answer = len(body["messages"][0]["content"]), body["max_tokens"]
        if prompt + answer <= 800:
            return await super()._chat(request)
        words = f"This model's context is 800 tokens; the prompt has {prompt} and the answer is to have up to {answer}"
        error = {"message": words, "type": "invalid_request_error", "code": "context_length_exceeded"}
        return web.json_response({"error": error}, status=400)


def test_a_model_with_a_short_context_is_shown_less(asked: Target, tmp_path: Path) -> None:
    server = Short(lambda _body: "新")
    wider, refused = widened(asked, AgentSubject(asked, None), tmp_path / "out", server.url, 1, 1)
    server.stop()
    assert wider.space["style"].choices == ["答", "新"]
    assert not refused
    [body] = server.bodies
    assert 0 < body["messages"][0]["content"].count("- Task: ") < 9
    assert body["max_tokens"] >= 128


def test_no_server_is_one_line(asked: Target, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no answer from http://127"):
        widened(asked, AgentSubject(asked, None), tmp_path / "out", "http://127.0.0.1:9", 1, 1)


def test_a_target_without_texts_is_one_line(asked: Target, tmp_path: Path) -> None:
    numbers = asked.model_copy(update={"space": {"rounds": asked.space["rounds"]}})
    with pytest.raises(InputError, match="no setting of the type text or file"):
        widened(numbers, AgentSubject(numbers, None), tmp_path / "out", "http://127.0.0.1:9", 1, 1)


def test_a_system_that_answers_nothing_is_an_invalid_measurement(asked: Target, tmp_path: Path) -> None:
    settings = {**asked.settings, "command": asking_command("sys.exit(3)")}
    broken = asked.model_copy(update={"settings": settings})
    with pytest.raises(MeasurementInvalid, match="exit code 5"):
        widened(broken, AgentSubject(broken, None), tmp_path / "out", "http://127.0.0.1:9", 1, 1)


def test_what_people_disliked_is_shown(asked: Target, tmp_path: Path) -> None:
    served = Run(tmp_path / "served")
    with served.recording("serve", "inference") as record:
        for value, comment in ((0, "太啰嗦"), (1, "很好")):
            rated = {"request": "1", "question": "怎么去东京？", "answer": "坐车", "comment": comment, "tags": ["long"]}
            record.writer.emit(Rating(rater="a", rater_kind="person", scale="thumbs", value=value, **rated))
    settings = {**asked.settings, "ratings": ["served"]}
    _, _, server = propose(asked.model_copy(update={"settings": settings}), tmp_path / "out", "新")
    shown = server.bodies[0]["messages"][0]["content"]
    assert "怎么去东京？" in shown
    assert "太啰嗦" in shown
    assert "很好" not in shown
