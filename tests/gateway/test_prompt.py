"""Agents that name themselves nowhere are told apart by their system text and tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from gateway_upstream import QUESTION, Asked, client, through, well
from responses_upstream import LOOKUP, message, response, say
from shosei.gateway import Gateway, GatewayConfig
from shosei.gateway.prompt import agent_of
from shosei.log import Request
from shosei.log.guessed_agent import GuessedAgent

USER = {"role": "user", "content": "今日は何曜日？"}


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def named(**body: Any) -> str:
    return agent_of(msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw]))


def chat(system: Any, *tools: str) -> str:
    return named(messages=[{"role": "system", "content": system}, USER], tools=[tool(name) for name in tools])


def words(name: str) -> str:
    return GuessedAgent.of(name).words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Today is 2026-11-29. You translate.", "Today is 2025-01-02. You translate."),
        ("It is Sunday, November 29, 2026, 10:32 AM. Plan.", "It is Monday, May 4, 2027, 11:01 PM. Plan."),
        ("On 29 Nov 2026 you plan.", "On 3 March 2027 you plan."),
        ("今日は2026年11月29日（日曜日）です。翻訳する。", "今日は2027年1月3日（月曜日）です。翻訳する。"),
        ("今天是星期日，你负责翻译。", "今天是星期一，你负责翻译。"),
        ("Session 6f1c0b7e-58a1-4c0e-9d39-0a55b1c0de11: plan.", "Session 00000000-58a1-4c0e-9d39-0a55b1c0de12: plan."),
        ("Trace 3fa2c1d07a5b. Plan.", "Trace 99ffc1d07a00. Plan."),
        ("Task [[task:t05]]. Plan.", "Task [[task:t17]]. Plan."),
        ("See https://a.example/x?y=1 and write.", "See http://b.example/z and write."),
        ("Write to a@example.org.", "Write to bob.b@mail.example.com."),
        (f'Answer "{"why is the sky blue, " * 3}".', f'Answer "{"how high is the moon, " * 3}".'),
        (f"「{'空はなぜ青いのか、' * 5}」に答える。", f"「{'月はどれほど遠いか、' * 5}」に答える。"),
        ("You   plan.\n\nBe brief.", "You plan. Be brief."),
    ],
)
def test_what_a_program_fills_in_makes_no_other_agent(one: str, other: str) -> None:
    assert chat(one) == chat(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("You are manager. [[agent:manager]]", "You are writer. [[agent:writer]]"),
        ("You are debater 1.", "You are debater 2."),
        ("Agent 1 may speak.", "Agent 2 may speak."),
        ('Your internal name is "researcher".', 'Your internal name is "writer".'),
        ("你是翻译。", "你是校对。"),
        ("あなたは翻訳者です。", "あなたは校正者です。"),
        ("x" * 300 + " one", "x" * 300 + " two"),
    ],
)
def test_another_text_is_another_agent(one: str, other: str) -> None:
    assert chat(one) != chat(other)
    assert chat(one, "lookup") != chat(one)
    assert chat(one, "lookup", "write") == chat(one, "write", "lookup")


def test_a_name_is_the_first_words_or_characters() -> None:
    japanese = "あなたは親切で有能な日本語の翻訳者です。訳文だけ"
    assert words(chat("You are a helpful assistant who plans.")) == "You are a helpful…"
    assert words(chat("# Role\nYou plan.")) == "Role You plan."
    assert words(chat(f"{japanese}を返してください。")) == f"{japanese}…"
    assert words(chat("Today is 2026-11-29. You plan.")) == "Today is …. You plan."
    assert words(chat("", "write", "lookup")) == "lookup write"
    assert chat("") == named(messages=[USER]) == named(prompt="空は") == named(input="空は") == ""


def test_only_what_stands_before_the_conversation_counts() -> None:
    system, late = ({"role": "system", "content": text} for text in ("You plan.", "Remember: 3 steps are left."))
    assert named(messages=[system, USER, late]) == named(messages=[system, USER]) == chat("You plan.")
    assert named(messages=[system | {"role": "developer"}, USER]) == chat([{"type": "text", "text": "You plan."}])
    assert named(messages=[system, late, USER]) != chat("You plan.")


def test_both_apis_tell_an_agent_by_the_same() -> None:
    flat = {"type": "function", "name": "lookup", "parameters": {}}
    assert named(instructions="You plan.", input="いつ？", tools=[flat]) == chat("You plan.", "lookup")
    items = [{"role": "developer", "content": [{"type": "input_text", "text": "You plan."}]}, USER]
    assert named(input=items, tools=[flat]) == chat("You plan.", "lookup")


@pytest.mark.parametrize("field", [{"messages": "x"}, {"messages": [1]}, {"instructions": 3}, {"tools": {}}])
def test_what_is_not_in_the_apis_form_names_nobody(field: dict[str, Any]) -> None:
    assert named(**field) == ""


def test_an_application_that_names_nobody_has_its_agents(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> None:
        if "/responses" in asked.head:
            await say(asked, response([message("はい")]))
        else:
            await well(asked)

    async def talk(gateway: Gateway) -> None:
        asking, user = client(gateway), QUESTION["messages"][0]
        for day in (28, 29):
            system = {"role": "system", "content": f"You plan on 2026-11-{day}."}
            await asking.chat.completions.create(model="m", messages=[system, user], tools=[tool("lookup")])  # type: ignore[list-item, misc]
        await asking.responses.create(model="m", input="x", instructions="You write.", tools=[LOOKUP])  # type: ignore[list-item]
        await asking.chat.completions.create(**QUESTION)
        system = {"role": "system", "content": "You plan."}
        await client(gateway, agent="named").chat.completions.create(model="m", messages=[system, user])  # type: ignore[list-item]

    log, _ = through(tmp_path / "run", answer, talk, record=tmp_path / "tape")
    called = [(words(request.agent), request.attribution) for request in log.of(Request)]
    planner, writer = ("You plan on ….", "prompt"), ("You write.", "prompt")
    assert called == [planner, planner, writer, ("unattributed", "unattributed"), ("named", "path")]
    assert log.of(Request)[0].agent == log.of(Request)[1].agent

    async def again() -> None:
        async with Gateway("http://127.0.0.1:9", None, GatewayConfig(port=0, replay=tmp_path / "tape")) as gateway:
            await talk(gateway)

    uvloop.run(again())
