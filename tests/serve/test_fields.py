"""What clients of other servers send is done as they mean it, or named in a header; over a scripted engine."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve_front import ASK, TOKENIZER, Front, player, tool
from shosei.engine.protocol import LogitRules
from verb import Shosei


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


def test_fields_of_sampling_reach_the_engine(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        body: dict[str, Any] = {"top_k": 7, "min_p": 0.1, "repetition_penalty": 1.2, "presence_penalty": 0.5}
        body |= {"frequency_penalty": 0.25, "logit_bias": {"5": -100}, "min_tokens": 3, "stop_token_ids": [9]}
        assert (await front.post({**ASK, **body}))[0] == 200
        await front.post({**ASK, "ignore_eos": True, "top_k": -1})
        full, endless = front.engine.submitted
        assert (full.top_k, full.min_p, full.stop_ids) == (7, 0.1, [TOKENIZER.end_id, 9])
        assert full.rules == LogitRules(1.2, 0.5, 0.25, {5: -100.0}, 3)
        assert (endless.rules, endless.stop_ids, endless.top_k) == (None, [], 0)

    play(scene, text="好")


@pytest.mark.parametrize("temperature", [None, 0.6])
def test_do_sample_is_not_read(play: Callable[..., None], tmp_path: Path, temperature: float | None) -> None:
    """Our own exports and many others' say false; the temperature says whether an answer is greedy."""
    said = {"temperature": temperature, "do_sample": False}
    (tmp_path / "generation_config.json").write_text(json.dumps(said))

    async def scene(front: Front) -> None:
        await front.post(ASK)
        assert front.engine.submitted[0].temperature == (temperature or 1)

    play(scene)


def test_what_a_request_does_not_say_the_models_folder_does(play: Callable[..., None], tmp_path: Path) -> None:
    said = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.1, "do_sample": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(said))

    async def scene(front: Front) -> None:
        await front.post(ASK)
        await front.post({**ASK, "temperature": 0, "top_k": -1, "repetition_penalty": 1})
        default, stated = front.engine.submitted
        assert (default.temperature, default.top_p, default.top_k) == (0.6, 0.95, 20)
        assert default.rules == LogitRules(repetition_penalty=1.1)
        assert (stated.temperature, stated.top_p, stated.top_k, stated.rules) == (0, 0.95, 0, None)

    play(scene)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"metadata": {"a": "b"}, "store": False, "user": "x"}, "metadata, store, user"),
        ({"of_tomorrow": 1, "nothing": None}, "of_tomorrow"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs.enable_thinking"),
        ({"reasoning_effort": "low", "enable_thinking": False}, "reasoning_effort, enable_thinking"),
        (
            {"stream_options": {"include_usage": True, "include_obfuscation": False}},
            "stream_options.include_obfuscation",
        ),
        ({"messages": [{"role": "user", "content": "x", "name": "A"}]}, "messages.name"),
        (
            {"messages": [{"role": "assistant", "content": "x", "refusal": None, "annotations": [], "cache": 1}]},
            "messages.cache",
        ),
        ({"best_of": 1, "use_beam_search": False, "logprobs": False, "echo": False}, None),
        ({}, None),
    ],
)
def test_what_changes_nothing_is_named(play: Callable[..., None], change: dict[str, Any], named: str | None) -> None:
    async def scene(front: Front) -> None:
        async with front.http.post(f"{front.url}/v1/chat/completions", json={**ASK, **change}) as response:
            assert response.status == 200
            assert response.headers.get("x-shosei-ignored") == named

    play(scene, text="好")


def test_names_of_thousands_of_fields_do_not_make_a_header_that_nobody_takes(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        many = {f"field{number}": 1 for number in range(5000)}
        async with front.http.post(f"{front.url}/v1/chat/completions", json=ASK | many) as response:
            first, *_, last = response.headers["x-shosei-ignored"].split(", ")
            assert (first, last) == ("field0", "...")
            assert len(response.headers["x-shosei-ignored"]) < 2_100

    play(scene, text="好")


def test_a_strict_server_refuses_what_changes_nothing(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post({**ASK, "metadata": {}, "of_tomorrow": 1})
        assert (status, body["error"]["param"]) == (400, "metadata")
        assert "metadata, of_tomorrow" in body["error"]["message"]
        assert (await front.post(ASK))[0] == 200

    play(scene, text="好", strict=True)


def test_the_token_that_ends_an_answer_has_a_score(play: Callable[..., None]) -> None:
    """lm-eval leaves out the last score of an echoed prompt, whatever token it is of."""

    async def scene(front: Front) -> None:
        body = {"prompt": [5, 6, 7], "echo": True, "logprobs": 0, "max_tokens": 1}
        _, whole = await front.post(body, "/v1/completions")
        listed = whole["choices"][0]["logprobs"]
        assert listed["tokens"][-1] == "<|im_end|>"
        assert listed["token_logprobs"] == [None, -0.25, -0.25, -0.5]
        assert whole["choices"][0]["finish_reason"] == "stop"

    play(scene, scored=True)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_several_answers_have_numbers_whole_and_streamed(play: Callable[..., None], path: str) -> None:
    async def scene(front: Front) -> None:
        body = {**ASK, "prompt": ["一", "二"] if "chat" not in path else "", "n": 3, "seed": 2**63 - 1}
        count = 3 if "chat" in path else 6
        _, whole = await front.post(body, path)
        assert [choice["index"] for choice in whole["choices"]] == [*range(count)]
        prompts = [submitted.prompt for submitted in front.engine.submitted]
        assert whole["usage"]["prompt_tokens"] == sum(map(len, prompts[::3]))
        assert whole["usage"]["completion_tokens"] == count * (len(TOKENIZER.encode("好的")) + 1)
        seeds = [submitted.seed for submitted in front.engine.submitted[:3]]
        assert seeds == [2**63 - 1, -(2**63), -(2**63) + 1]
        *chunks, _ = await front.stream(body, path)
        texts = dict.fromkeys(range(count), "")
        for choice in (choice for chunk in chunks for choice in chunk["choices"]):
            texts[choice["index"]] += choice["delta"].get("content", "") if "delta" in choice else choice["text"]
        assert texts == dict.fromkeys(range(count), "好的")
        ends = [choice["index"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
        assert sorted(ends) == [*range(count)]

    play(scene, text="好的", slots=8)


def test_no_stop_text_ends_an_answer_before_its_least_length(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        least = len(TOKENIZER.encode("一二一"))
        _, whole = await front.post({**ASK, "stop": "二", "min_tokens": least})
        assert whole["choices"][0]["message"]["content"] == "一二一"

    play(scene, text="一二一二一")


def test_no_stop_text_is_looked_for_in_an_echo(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        body = {"prompt": "一二一", "echo": True, "stop": ["一"], "logprobs": 0}
        _, whole = await front.post(body, "/v1/completions")
        assert whole["choices"][0]["text"] == "一二一二"
        *chunks, _ = await front.stream(body, "/v1/completions")
        assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == "一二一二"

    play(scene, text="二一二")


@pytest.mark.parametrize(
    ("path", "change", "named"),
    [
        ("/v1/chat/completions", {"echo": True}, "echo"),
        ("/v1/chat/completions", {"add_special_tokens": True}, "add_special_tokens"),
        ("/v1/chat/completions", {"top_logprobs": 2}, "top_logprobs"),
        ("/v1/chat/completions", {"thinking_token_budget": 5}, "thinking_token_budget"),
        ("/v1/chat/completions", {"reasoning": {"effort": "low"}}, "reasoning"),
        ("/v1/chat/completions", {"samplers": ["top_k"]}, "samplers"),
        ("/v1/chat/completions", {"min_tokens": 9, "max_completion_tokens": 8}, "min_tokens"),
        ("/v1/chat/completions", {"stop": "\ud800"}, "stop"),
        ("/v1/completions", {"min_tokens": 17}, "min_tokens"),
        ("/v1/completions", {"max_completion_tokens": 5}, "max_completion_tokens"),
        ("/v1/completions", {"top_logprobs": 2}, "top_logprobs"),
        ("/v1/completions", {"response_format": {"type": "json_object"}}, "response_format"),
        ("/v1/completions", {"presence_penalty": float("nan")}, "presence_penalty"),
    ],
)
def test_what_would_change_the_answer_and_is_not_done_is_refused_by_name(
    play: Callable[..., None], path: str, change: dict[str, Any], named: str
) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post({**ASK, "prompt": "一"} | change, path)
        assert (status, body["error"]["param"]) == (400, named)
        assert named in body["error"]["message"] or "surrogate" in body["error"]["message"]
        assert not front.engine.submitted

    play(scene, text="好")


def test_a_tool_without_parameters_takes_none_and_a_named_one_is_called_once(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        bare = {"type": "function", "function": {"name": "ping"}}
        await front.post({**ASK, "tools": [bare], "tool_choice": "required"})
        await front.post(
            {**ASK, "tools": [tool("f"), bare], "tool_choice": {"type": "function", "function": {"name": "f"}}}
        )
        selected = {"mode": "required", "tools": [{"type": "function", "function": {"name": "ping"}}]}
        await front.post(
            {**ASK, "tools": [tool("f"), bare], "tool_choice": {"type": "allowed_tools", "allowed_tools": selected}}
        )
        free, named, allowed = (submitted.grammar.lark for submitted in front.engine.submitted if submitted.grammar)
        assert '"additionalProperties":false' in free
        assert ")*" in free
        assert ")*" not in named
        assert '"f"' not in allowed
        assert front.engine.submitted[2].grammar.trigger is None

    play(scene, text="好")


def test_pages_of_allowed_origins_may_ask(play: Callable[..., None]) -> None:
    origin = "http://localhost:3000"
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight["Access-Control-Request-Headers"] = "authorization,content-type"
    preflight["Access-Control-Request-Private-Network"] = "true"

    async def scene(front: Front) -> None:
        url = f"{front.url}/v1/chat/completions"
        async with front.http.options(url, headers=preflight) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert "authorization" in response.headers["Access-Control-Allow-Headers"]
            assert response.headers["Access-Control-Allow-Private-Network"] == "true"
        async with front.http.options(url, headers={**preflight, "Origin": "http://other"}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
        for body in (ASK, {"messages": []}):
            async with front.http.post(url, json=body, headers={"Origin": origin}) as response:
                assert response.headers["Access-Control-Allow-Origin"] == origin
        for path in ("/health", "/v1/models", "/metrics"):
            async with front.http.head(front.url + path) as response:
                assert response.status == 200

    play(scene, text="好", origins=[origin])


def test_an_answer_may_be_read_by_any_page_where_the_operator_says_so(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        url, headers = f"{front.url}/v1/chat/completions", {"Origin": "https://of.anybody", "Cookie": "a=b"}
        for body in (ASK, {}):
            async with front.http.post(url, json=body, headers=headers) as response:
                assert response.headers["Access-Control-Allow-Origin"] == "*"
                assert "Access-Control-Allow-Credentials" not in response.headers

    play(scene, text="好", origins=["*"])


@pytest.mark.parametrize("origin", ["localhost:3000", "http://localhost:3000/", "http://Local:3000", "http://a/b", ""])
def test_an_origin_that_no_browser_sends_is_refused(shosei: Shosei, tmp_path: Path, origin: str) -> None:
    code, _, err = shosei("serve", tmp_path, "--port", "0", "--allow-origin", "http://a", "--allow-origin", origin)
    assert (code, "http://localhost:3000, or *" in err) == (2, True)


def test_a_preflight_that_is_refused_says_what_to_do(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        async with front.http.options(f"{front.url}/v1/models", headers={"Origin": "http://a"}) as response:
            assert response.status == 403
            assert "--allow-origin" in (await response.json())["error"]["message"]

    play(scene)


def test_the_largest_body_can_be_set(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post({"prompt": "x" * 3000}, "/v1/completions")
        assert (status, "2000 bytes" in body["error"]["message"]) == (413, True)

    play(scene, max_body_bytes=2000)


def test_text_and_conversations_become_ids_and_text_again(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        _, made = await front.post({"prompt": "今天", "return_token_strs": True}, "/tokenize")
        begin = TOKENIZER.bos_id
        assert made["tokens"] == [begin, *TOKENIZER.encode("今天")]
        assert (made["count"], made["max_model_len"]) == (len(made["tokens"]), 512)
        assert len(made["token_strs"]) == made["count"]
        _, bare = await front.post({"prompt": "今天", "add_special_tokens": False}, "/tokenize")
        assert bare["tokens"] == made["tokens"][1:]
        assert (await front.post({"tokens": bare["tokens"]}, "/detokenize"))[1] == {"prompt": "今天"}
        _, chat = await front.post(ASK, "/tokenize")
        await front.post({**ASK, "model": ""})
        assert chat["tokens"] == front.engine.submitted[0].prompt
        assert (await front.post({}, "/tokenize"))[0] == 400
        for strange in (-1, TOKENIZER.vocab_size):
            assert (await front.post({"tokens": [strange]}, "/detokenize"))[0] == 400
        assert (await front.post({"prompt": "x", "model": "other"}, "/tokenize"))[0] == 404

    play(scene)


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b'{"messages": "\xff"}', {}, "not UTF-8 at byte 14"),
        (gzip.compress(b"{}", mtime=0), {"Content-Encoding": "gzip"}, "Content-Encoding gzip"),
        (b"{}", {"Content-Type": "text/plain; charset=utf-8"}, "Content-Type is text/plain"),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, "application/x-www-form-urlencoded"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", {}, "nested too deeply"),
        (b"", {}, "empty"),
        (b"[]", {}, "must be a JSON object"),
        (b"{'a': 1}", {}, "not JSON"),
        (b'{"\\ud800": 1, "messages": []}', {}, "surrogate"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_why(
    play: Callable[..., None], body: bytes, headers: dict[str, str], words: str
) -> None:
    async def scene(front: Front) -> None:
        headers_sent = {"Content-Type": "application/json"} | headers
        url = f"{front.url}/v1/chat/completions"
        async with front.http.post(url, data=body, headers=headers_sent) as response:
            assert response.status == (415 if "Content-Type" in headers else 400)
            assert words in (await response.json())["error"]["message"]

    play(scene)


def test_a_wrong_path_or_method_is_told_the_right_one(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post(ASK, "/chat/completions")
        assert (status, "base URL ends with /v1" in body["error"]["message"]) == (404, True)
        status, body = await front.post(ASK, "/v1/embeddings")
        assert (status, "it has /v1/chat/completions" in body["error"]["message"]) == (404, True)
        async with front.http.put(f"{front.url}/v1/models") as response:
            assert (await response.json())["error"]["message"] == "/v1/models takes GET, not PUT"
        async with front.http.get(f"{front.url}/v1/chat/completions") as response:
            assert response.status == 405
            assert (await response.json())["error"]["message"] == "/v1/chat/completions takes POST, not GET"

    play(scene)


def test_refusals_of_earlier_answers_are_text(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        parts = [{"type": "refusal", "refusal": "嫌です"}]
        await front.post({"messages": [{"role": "assistant", "content": parts}, *ASK["messages"]]})
        await front.post({"messages": [{"role": "assistant", "content": "嫌です"}, *ASK["messages"]]})
        first, second = front.engine.submitted
        assert first.prompt == second.prompt

    play(scene)


def test_images_are_refused_by_their_name(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
        _, body = await front.post({"messages": [{"role": "user", "content": parts}]})
        assert "only text is read" in body["error"]["message"]
        assert "image_url" in body["error"]["message"]

    play(scene)


def test_an_answer_that_was_begun_is_continued(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        begun = [*ASK["messages"], {"role": "assistant", "content": "今天"}]
        await front.post({"messages": begun, "continue_final_message": True, "add_generation_prompt": False})
        await front.post({"messages": ASK["messages"]})
        await front.post({"messages": begun, "add_generation_prompt": False})
        resumed, asked, ended = (submitted.prompt for submitted in front.engine.submitted)
        assert TOKENIZER.decode(resumed) == TOKENIZER.decode(asked) + "今天"
        assert ended == [*resumed, TOKENIZER.end_id, *TOKENIZER.encode("\n")]

    play(scene)


@pytest.mark.parametrize("strict", [False, True])
def test_a_name_that_cannot_be_written_down_is_the_callers_mistake(play: Callable[..., None], strict: bool) -> None:
    async def scene(front: Front) -> None:
        for change in ({"model": "\ud800"}, {"\ud800": 1}, {"chat_template_kwargs": {"\ud800": 1}}):
            body = json.dumps({**ASK, **change})
            headers = {"Content-Type": "application/json"}
            async with front.http.post(f"{front.url}/v1/chat/completions", data=body, headers=headers) as response:
                assert response.status in ((400, 404) if strict or "model" in change else (200, 400))

    play(scene, text="好", strict=strict)
