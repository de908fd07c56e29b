"""Tools and structured answers of a real ``shosei serve`` with random weights, as official clients see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import jsonschema_rs
import openai
import pytest
from pydantic import BaseModel, Field
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from serve_process import make_model, serving

ASK: list[Any] = [{"role": "user", "content": "東京の天気は？"}]
CITY = {"type": "string", "enum": ["東京", "北京", "札幌"]}
WEATHER = {
    "type": "object",
    "properties": {"都市": CITY, "days": {"type": "array", "items": {"type": "integer"}, "maxItems": 3}},
    "required": ["都市", "days"],
}
ROUTE = {"type": "object", "properties": {"to": {"enum": ["計算", "日历"]}}, "required": ["to"]}
SCHEMAS = {"weather": WEATHER, "转交": ROUTE}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": "道具", "parameters": schema}}
    for name, schema in SCHEMAS.items()
]


class Weather(BaseModel):
    city: Literal["東京", "北京"]
    sky: Annotated[str, Field(max_length=4)]
    rain: bool


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = make_model(tmp_path_factory.mktemp("tools") / "model", context=2048)
    with serving(model) as (_, url):
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, _strict_response_validation=True) as client:
        yield client


def ask(client: openai.OpenAI, seed: int, **body: Any) -> Any:
    body = {"messages": ASK, "max_tokens": 1000, **body}
    return client.chat.completions.create(model="nano", seed=seed, **body)


def check_call(call: Any) -> None:
    assert call.type == "function"
    assert call.id.startswith("call_")
    arguments = json.loads(call.function.arguments)
    jsonschema_rs.validator_for(SCHEMAS[call.function.name]).validate(arguments)
    assert set(arguments) <= set(SCHEMAS[call.function.name]["properties"])


@pytest.mark.parametrize("seed", range(4))
def test_a_required_call_is_always_valid(client: openai.OpenAI, seed: int) -> None:
    answer = ask(client, seed, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert len(choice.message.tool_calls) == 1
    check_call(choice.message.tool_calls[0])
    assert 0 < answer.usage.completion_tokens < 1000


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_named_tool_is_the_one_called(client: openai.OpenAI, name: str) -> None:
    choice = {"type": "function", "function": {"name": name}}
    calls = ask(client, 1, tools=TOOLS, tool_choice=choice).choices[0].message.tool_calls
    assert {call.function.name for call in calls} == {name}
    for call in calls:
        check_call(call)


def test_a_model_that_may_choose_makes_no_bad_call_either(client: openai.OpenAI) -> None:
    answers = [ask(client, seed, tools=TOOLS).choices[0] for seed in range(8)]
    called = [choice for choice in answers if choice.message.tool_calls and choice.finish_reason == "tool_calls"]
    assert called
    assert any(choice.message.content and choice.finish_reason == "stop" for choice in answers)
    for choice in called:
        for call in choice.message.tool_calls:
            check_call(call)


def test_streamed_calls_join_to_the_whole_ones(client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"tools": TOOLS, "tool_choice": "required"}
    wholes = {seed: ask(client, seed, **body) for seed in range(9)}
    seed = next(seed for seed, answer in wholes.items() if len(answer.choices[0].message.tool_calls) > 1)
    whole = wholes[seed]
    stream = ask(client, seed, stream=True, stream_options={"include_usage": True}, **body)
    *chunks, last = list(stream)
    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        if delta.index not in calls:
            assert (delta.type, delta.id[:5], delta.function.arguments) == ("function", "call_", "")
            calls[delta.index] = [delta.function.name, ""]
        else:
            assert (delta.id, delta.type, delta.function.name) == (None, None, None)
            calls[delta.index][1] += delta.function.arguments
    made = whole.choices[0].message.tool_calls
    assert [*calls.values()] == [[call.function.name, call.function.arguments] for call in made]
    assert [*calls] == [*range(len(made))]
    assert len(deltas) > 2 * len(made)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert last.usage.model_copy(update={"prompt_tokens_details": whole.usage.prompt_tokens_details}) == whole.usage


def test_the_clients_own_accumulator_reads_the_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="nano", messages=ASK, tools=TOOLS, tool_choice="required", seed=2, max_tokens=1000
    ) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in events
    for call in final.choices[0].message.tool_calls or []:
        check_call(call)


@pytest.mark.parametrize("seed", range(3))
def test_an_answer_of_a_schema_is_parsed(client: openai.OpenAI, seed: int) -> None:
    answer = client.chat.completions.parse(
        model="nano", messages=ASK, response_format=Weather, seed=seed, max_tokens=1000
    )
    assert isinstance(answer.choices[0].message.parsed, Weather)
    assert answer.choices[0].finish_reason == "stop"


def test_a_tool_of_a_model_is_parsed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="nano",
        messages=ASK,
        tools=[openai.pydantic_function_tool(Weather)],
        tool_choice="required",
        max_tokens=1000,
    )
    for call in answer.choices[0].message.tool_calls or []:
        assert isinstance(call.function.parsed_arguments, Weather)


@pytest.mark.parametrize("seed", range(4))
def test_any_json_object_that_ends_is_one(client: openai.OpenAI, seed: int) -> None:
    choice = ask(client, seed, response_format={"type": "json_object"}, max_tokens=200).choices[0]
    assert choice.message.content.startswith("{")
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content), dict)
    else:
        assert choice.finish_reason == "length"


def test_words_of_a_schema_or_a_call_where_the_model_may_choose(client: openai.OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    for seed in range(4):
        message = ask(client, seed, tools=TOOLS, response_format=form).choices[0].message
        assert message.tool_calls or json.loads(message.content) in CITY["enum"]


def test_results_go_back_to_the_model(client: openai.OpenAI) -> None:
    choice = ask(client, 1, tools=TOOLS, tool_choice="required").choices[0]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "晴れ"} for call in choice.message.tool_calls]
    before = ask(client, 1, tools=TOOLS, max_tokens=5)
    after = ask(client, 1, messages=[*ASK, choice.message, *results], tools=TOOLS, max_tokens=5)
    assert after.usage.prompt_tokens > before.usage.prompt_tokens
    assert (
        before.usage.prompt_tokens > ask(client, 1, tools=TOOLS, tool_choice="none", max_tokens=5).usage.prompt_tokens
    )


def test_a_call_that_is_cut_off_has_the_finish_length(client: openai.OpenAI) -> None:
    choice = ask(client, 1, tools=TOOLS, tool_choice="required", max_tokens=3).choices[0]
    assert choice.finish_reason == "length"
    assert not choice.message.tool_calls


def test_an_agent_gets_its_typed_answer(url: str) -> None:
    model = OpenAIChatModel("nano", provider=OpenAIProvider(base_url=url, api_key="none"))
    agent = Agent(model, output_type=Weather, model_settings={"max_tokens": 1000, "parallel_tool_calls": False})
    assert isinstance(agent.run_sync("東京の天気は？").output, Weather)
