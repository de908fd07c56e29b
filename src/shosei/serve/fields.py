"""Which fields of a request this server does: others are refused where they would change the answer, and otherwise
named; never quietly left out."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shosei.text import ChatFormat
from shosei.wire.api_error import ApiError
from shosei.wire.openai import ChatRequest, CompletionRequest, RequestBody

MAX_STOPS = 16  # OpenAI's API has 4; public benchmarks send more
MAX_STOP_CHARACTERS = 256
MAX_IDS = 1 << 17  # which the engine looks through for each answer; all others wait for a tenth of a second then
_TABLES = tomllib.loads(Path(__file__).with_name("fields.toml").read_text())
_REFUSED_IN_CHATS: dict[str, Any] = _TABLES["refused"] | _TABLES["refused_in_chats"]
_REFUSED_IN_TEXTS: dict[str, Any] = _TABLES["refused"] | _TABLES["refused_in_texts"]
_SWITCH = "enable_thinking"  # as Qwen3's, GLM's and others' templates call it
_TEMPLATE_ARGUMENTS = ("messages", "tools", "add_generation_prompt", "continue_final_message")
# An answer's own fields, which clients send back in the history with nothing in them.
_OF_ANSWERS = ("refusal", "annotations", "audio", "function_call", "id", "type")


def check_fields(request: RequestBody) -> None:
    """Raise ApiError for a field that would change the answer and is not done here, or not with such a value."""
    extra = request.model_extra or {}
    for name, neutral in _refused(request).items():
        value = extra.get(name)
        empty = value is False or value in ("", [], {})
        if value is None or value == neutral or (empty and not neutral):
            continue
        if name == "best_of" and value == request.n:
            continue
        instead = f": {_TABLES['instead'][name]}" if name in _TABLES["instead"] else ""
        raise ApiError(400, f"{name} is not supported{instead}", param=name)
    wanted = request.structured_outputs
    if wanted and (wanted.model_extra or {}).get("structural_tag"):
        raise ApiError(400, "structural_tag is not supported", param="structured_outputs.structural_tag")
    if isinstance(request, ChatRequest) and request.top_logprobs and not request.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs: send it as true", param="top_logprobs")
    if len(request.stops) > MAX_STOPS or not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in request.stops):
        raise ApiError(400, f"stop: at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARACTERS} characters", param="stop")
    if request.seed is not None and not -(2**63) <= request.seed < 2**63:
        raise ApiError(400, "seed must fit into 64 bits", param="seed")


def check_template_variables(request: ChatRequest) -> None:
    """Raise ApiError for a variable of the chat template that the server gives it itself."""
    if name := next((name for name in _TEMPLATE_ARGUMENTS if name in template_variables(request)), ""):
        message = f"{name} stands beside chat_template_kwargs, not in it"
        raise ApiError(400, message, param=f"chat_template_kwargs.{name}")


def _refused(request: RequestBody) -> dict[str, Any]:
    return _REFUSED_IN_CHATS if isinstance(request, ChatRequest) else _REFUSED_IN_TEXTS


def check_ids(request: RequestBody, vocab_size: int) -> None:
    """Raise ApiError for a token id that the model does not have."""
    check_range("logit_bias", [*request.logit_bias], vocab_size)
    check_range("stop_token_ids", request.stop_token_ids, vocab_size)
    if isinstance(request, CompletionRequest) and not isinstance(request.prompt, str):
        ids = [part for part in request.prompt if not isinstance(part, str)]
        check_range(
            "prompt", [token for part in ids for token in ([part] if isinstance(part, int) else part)], vocab_size
        )


def check_amount(request: RequestBody, answers: int) -> None:
    """Raise ApiError where all ``answers`` together bring the engine too many token ids."""
    biased, stops = len(request.logit_bias), len(request.stop_token_ids)
    if answers * (biased + stops) > MAX_IDS:
        message = f"logit_bias and stop_token_ids: at most {MAX_IDS // answers} tokens, for {answers} answers"
        raise ApiError(400, message, param="logit_bias" if biased > stops else "stop_token_ids")


def check_range(param: str, ids: Sequence[int], vocab_size: int) -> None:
    """Raise ApiError for an id in the field ``param`` that is no token of the model's."""
    if strange := [token for token in ids if not 0 <= token < vocab_size]:
        raise ApiError(400, f"{param}: the model's tokens are 0 to {vocab_size - 1}, not {strange[0]}", param=param)


def template_variables(request: RequestBody) -> dict[str, Any]:
    """What the request gives the chat template beside messages and tools, by name.

    An effort also switches thoughts on or, where it is "none", off, as in vLLM and SGLang, unless a switch is given.
    """
    if not isinstance(request, ChatRequest):
        return {}
    effort, switch = request.reasoning_effort, (request.model_extra or {}).get(_SWITCH)
    by_effort = {} if effort is None else {"reasoning_effort": effort, _SWITCH: effort != "none"}
    return by_effort | ({} if switch is None else {_SWITCH: switch}) | request.chat_template_kwargs


def ignored_fields(request: RequestBody, chat: ChatFormat) -> list[str]:
    """Names of the fields that change nothing here, in the order of the request."""
    extra, refused = request.model_extra, _refused(request)
    names = _ignored_variables(request, chat) if isinstance(request, ChatRequest) else []
    names += [name for name, _ in _given(extra) if name not in refused and name not in template_variables(request)]
    names += [f"stream_options.{name}" for name, _ in _given(getattr(request.stream_options, "model_extra", None))]
    names += [
        f"structured_outputs.{name}" for name, _ in _given(getattr(request.structured_outputs, "model_extra", None))
    ]
    if isinstance(request, ChatRequest):
        names += _ignored_in_messages(request, chat)
    return names


def _ignored_variables(request: ChatRequest, chat: ChatFormat) -> list[str]:
    """Of the fields that are variables of the template, those that change nothing in it."""
    by_effort = request.reasoning_effort is not None and not any(map(chat.reads, ("reasoning_effort", _SWITCH)))
    names = ["reasoning_effort"] if by_effort else []
    if (request.model_extra or {}).get(_SWITCH) is not None and not chat.reads(_SWITCH):
        names.append(_SWITCH)
    return names + [f"chat_template_kwargs.{name}" for name in request.chat_template_kwargs if not chat.reads(name)]


def _ignored_in_messages(request: ChatRequest, chat: ChatFormat) -> list[str]:
    names = {
        f"messages.{name}"
        for message in request.messages
        for name, value in _given(message.model_extra)
        if not (name in _OF_ANSWERS and not value)
    }
    if any(message.name for message in request.messages) and not chat.reads("name"):
        names.add("messages.name")
    thoughts = any(message.reasoning_content for message in request.messages)
    if thoughts and not chat.reads("reasoning_content"):
        names.add("messages.reasoning_content")
    return sorted(names)


def _given(extra: dict[str, Any] | None) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in (extra or {}).items() if value is not None]
