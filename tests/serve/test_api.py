"""A real ``shosei serve``, used by the official client, by bodies nobody would send, and from the terminal."""

from __future__ import annotations

import http.client
import json
import operator
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_process import CONTEXT, SHOSEI, make_model, serving

ASK: list[Any] = [{"role": "system", "content": "短く"}, {"role": "user", "content": "東京の天気は？😀"}]
SAMPLED: dict[str, Any] = {"model": "nano", "max_tokens": 40, "temperature": 1.0, "seed": 5}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("serve") / "model")


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with serving(model) as (_, url):
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_client_lists_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["nano"]
    assert client.models.retrieve("nano").owned_by == "shosei"


def uncached(usage: openai.types.CompletionUsage) -> openai.types.CompletionUsage:
    """``usage`` but for what the engine had computed before."""
    return usage.model_copy(update={"prompt_tokens_details": None})


def test_client_chats_and_streams_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(messages=ASK, **SAMPLED)
    stream = client.chat.completions.create(
        messages=ASK, stream=True, stream_options={"include_usage": True}, **SAMPLED
    )
    *chunks, last = list(stream)
    assert whole.choices[0].message.content == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert whole.choices[0].finish_reason == chunks[-1].choices[0].finish_reason
    assert whole.usage
    assert last.usage
    assert last.usage.prompt_tokens_details.cached_tokens % 32 == 0  # whole blocks of the same prompt before
    assert uncached(last.usage) == uncached(whole.usage)
    assert whole.usage.completion_tokens == 40 or whole.choices[0].finish_reason == "stop"


def test_null_means_the_default(client: openai.OpenAI) -> None:
    nulls: dict[str, Any] = {"temperature": None, "top_p": None, "stop": None, "n": None, "stream": None}
    asked: dict[str, Any] = {"messages": ASK, "model": "nano", "max_tokens": 4, "seed": 5}
    plain, with_nulls = client.chat.completions.create(**asked), client.chat.completions.create(**asked, **nulls)
    assert with_nulls.choices == plain.choices


def test_a_lone_surrogate_is_the_callers_mistake(client: openai.OpenAI) -> None:
    for path, body in (
        ("/chat/completions", {"model": "nano", "messages": [{"role": "user", "content": "\ud800"}]}),
        ("/completions", {"model": "nano", "prompt": "\ud800"}),
    ):
        with pytest.raises(openai.BadRequestError, match="surrogate"):
            client.post(path, content=json.dumps(body).encode(), cast_to=object)


def test_client_stops_before_a_string_of_the_answer(client: openai.OpenAI) -> None:
    text = client.completions.create(prompt="今天", **SAMPLED).choices[0].text
    stop = text[6:9]
    choice = client.completions.create(prompt="今天", stop=stop, **SAMPLED).choices[0]
    assert (choice.text, choice.finish_reason) == (text[: text.index(stop)], "stop")


def test_client_gets_typed_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as not_found:
        client.chat.completions.create(model="gpt-9", messages=ASK)
    assert not_found.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model="nano", messages=[{"role": "user", "content": "天" * CONTEXT}])
    assert (too_long.value.code, too_long.value.param) == ("context_length_exceeded", "messages")
    with pytest.raises(openai.BadRequestError) as many:
        client.chat.completions.create(model="nano", messages=ASK, n=500)
    assert many.value.param == "n"
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="nano", input="x")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
words = st.text(max_size=9)
roles = st.sampled_from(["system", "user", "assistant", "tool", "developer"])
message = st.fixed_dictionaries(
    {"role": roles, "content": words | st.just([{"type": "text", "text": "あ"}]) | st.none()}
)
# Fields that are right by themselves, though not always together.
right = st.fixed_dictionaries(
    {"messages": st.lists(message, min_size=1, max_size=3), "prompt": words | st.lists(words, max_size=2)},
    optional={
        "model": st.just("nano"),
        "max_tokens": st.integers(1, 4),
        "max_completion_tokens": st.integers(1, 2**70),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1, exclude_min=True),
        "seed": st.integers(-(2**64), 2**64),
        "stop": words | st.lists(words, max_size=5),
        "stream": st.booleans(),
        "stream_options": st.just({"include_usage": True}),
        "n": st.just(1),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
        "tools": st.just([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]),
        "tool_choice": st.sampled_from(["none", "auto", "required"]),
    },
)
fields = ["messages", "prompt", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "n", "echo"]
fields += ["tools", "tool_choice", "response_format"]
bodies = st.builds(operator.or_, right, st.dictionaries(st.sampled_from(fields), anything, max_size=1))
raw = st.binary(max_size=40) | bodies.map(lambda body: json.dumps(body).encode())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=raw, path=st.sampled_from(["/v1/chat/completions", "/v1/completions"]))
def test_no_body_makes_the_server_fail(url: str, body: bytes, path: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    assert response.status in (200, 400, 404)
    if response.status != 200:
        assert {"message", "type", "param", "code"} == set(json.loads(answer)["error"])
    elif response.getheader("Content-Type", "").startswith("text/event-stream"):
        assert answer.endswith(b"data: [DONE]\n\n")
    else:
        assert json.loads(answer)["usage"]["completion_tokens"] > 0


def test_chat_answers_a_pipe_line_by_line(url: str) -> None:
    chat = subprocess.run(
        [*SHOSEI, "chat", url, "--system", "短く", "--json"],
        input="你好\n\n東京は？\n/exit\nnever asked\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert chat.returncode == 0, chat.stderr
    roles = [message["role"] for message in json.loads(chat.stdout)["messages"]]
    assert roles[-2:] == ["user", "assistant"]
    assert "東京は？" in chat.stdout
    assert "never asked" not in chat.stdout
