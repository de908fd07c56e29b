"""Fields beside those that ``wire.openai`` knows: refused where they would change the answer, otherwise named."""

from __future__ import annotations

from typing import Any

from shosei.text import ChatFormat
from shosei.wire.api_error import ApiError
from shosei.wire.openai import ChatRequest, RequestBody

IGNORED_HEADER = "x-shosei-ignored"

# Fields of OpenAI's API, vLLM, SGLang, llama.cpp and Ollama that would change the answer and are not done, each with
# the value that changes nothing; null never does.
_REFUSED: dict[str, Any] = {
    "allowed_token_ids": [],
    "audio": None,
    "bad_words": [],
    "best_of": 1,
    "chat_template": None,
    "custom_logit_processor": None,
    "documents": [],
    "dry_multiplier": 0,
    "dynatemp_range": 0,
    "early_stopping": False,
    "ebnf": None,
    "format": None,
    "function_call": None,
    "functions": [],
    "grammar": None,
    "include_reasoning": True,
    "include_stop_str_in_output": False,
    "input_ids": [],
    "json_schema": None,
    "length_penalty": 1,
    "logits_processors": [],
    "logprob_token_ids": [],
    "lora": [],
    "lora_path": None,
    "max_new_tokens": None,
    "mirostat": 0,
    "modalities": ["text"],
    "n_predict": -1,
    "n_probs": 0,
    "no_stop_trim": False,
    "options": {},
    "parse_tool_calls": True,
    "prompt_embeds": None,
    "prompt_logprobs": None,
    "reasoning": {},
    "reasoning_budget": -1,
    "reasoning_format": "auto",
    "regex": None,
    "repeat_penalty": 1,
    "repetition_detection": None,
    "response_format": {"type": "text"},
    "return_prompt_text": False,
    "return_token_ids": False,
    "return_tokens_as_token_ids": False,
    "samplers": None,
    "separate_reasoning": True,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "stop_regex": None,
    "structural_tag": None,
    "suffix": "",
    "t_max_predict_ms": 0,
    "tfs_z": 1,
    "think": None,
    "thinking": None,
    "thinking_budget_tokens": -1,
    "thinking_token_budget": None,
    "tools": [],
    "top_a": 0,
    "top_n_sigma": -1,
    "truncate_prompt_tokens": None,
    "typical_p": 1,
    "use_beam_search": False,
    "verbosity": "medium",
    "web_search_options": None,
    "xtc_probability": 0,
}
# The same, of fields that only the other endpoint does.
_REFUSED_IN_CHATS = {"add_special_tokens": False, "echo": False}
_REFUSED_IN_TEXTS = {"max_completion_tokens": None, "top_logprobs": 0}
_INSTEAD = {
    "chat_template": "start the server on a folder that has this template",
    "echo": "send the conversation as a prompt to /v1/completions",
    "ebnf": "send guided_grammar",
    "format": "send response_format",
    "functions": "send tools",
    "function_call": "send tool_choice",
    "grammar": "send guided_grammar",
    "json_schema": "send response_format or guided_json",
    "max_completion_tokens": "send max_tokens",
    "max_new_tokens": "send max_tokens",
    "n_predict": "send max_tokens",
    "options": "send its fields by OpenAI's names beside messages",
    "prompt_logprobs": "send echo with logprobs to /v1/completions",
    "reasoning": "send reasoning_effort",
    "regex": "send guided_regex",
    "repeat_penalty": "send repetition_penalty",
    "response_format": "send structured_outputs",
    "think": "send chat_template_kwargs",
    "thinking": "send chat_template_kwargs",
    "top_logprobs": "send logprobs as a number",
}
_SWITCH = "enable_thinking"  # as Qwen3's, GLM's and others' templates call it
_TEMPLATE_ARGUMENTS = ("messages", "tools", "add_generation_prompt", "continue_final_message")
# An answer's own fields, which clients send back in the history with nothing in them.
_OF_ANSWERS = ("refusal", "annotations", "audio", "function_call", "id", "type")


def check_fields(request: RequestBody) -> None:
    """Raise ApiError for a field that would change the answer and is not done here."""
    extra = request.model_extra or {}
    for name, neutral in _refused(request).items():
        value = extra.get(name)
        empty = value is False or value in ("", [], {})
        if value is None or value == neutral or (empty and not neutral):
            continue
        if name == "best_of" and value == request.n:
            continue
        instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise ApiError(400, f"{name} is not supported{instead}", param=name)
    wanted = request.structured_outputs
    if wanted and (wanted.model_extra or {}).get("structural_tag"):
        raise ApiError(400, "structural_tag is not supported", param="structured_outputs.structural_tag")
    if not isinstance(request, ChatRequest):
        return
    if request.top_logprobs and not request.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs: send it as true", param="top_logprobs")
    if name := next((name for name in _TEMPLATE_ARGUMENTS if name in template_variables(request)), ""):
        message = f"{name} stands beside chat_template_kwargs, not in it"
        raise ApiError(400, message, param=f"chat_template_kwargs.{name}")


def _refused(request: RequestBody) -> dict[str, Any]:
    return _REFUSED | (_REFUSED_IN_CHATS if isinstance(request, ChatRequest) else _REFUSED_IN_TEXTS)


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
