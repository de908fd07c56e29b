"""Fields beside those that ``wire.openai`` knows: refused where they would change the answer, otherwise named."""

from __future__ import annotations

from typing import Any

from shosei.serve.errors import ApiError
from shosei.text import ChatFormat
from shosei.wire.openai import ChatRequest, CompletionRequest, RequestBody

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
    "json_schema": None,
    "length_penalty": 1,
    "logits_processors": [],
    "lora_path": None,
    "mirostat": 0,
    "modalities": ["text"],
    "n_predict": -1,
    "n_probs": 0,
    "no_stop_trim": False,
    "options": {},
    "parse_tool_calls": True,
    "prompt_embeds": None,
    "prompt_logprobs": None,
    "reasoning_format": "auto",
    "regex": None,
    "repeat_penalty": 1,
    "response_format": {"type": "text"},
    "return_token_ids": False,
    "return_tokens_as_token_ids": False,
    "separate_reasoning": True,
    "skip_special_tokens": True,
    "stop_regex": None,
    "structural_tag": None,
    "suffix": "",
    "tfs_z": 1,
    "thinking": None,
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
_INSTEAD = {
    "chat_template": "start the server on a folder that has this template",
    "ebnf": "send guided_grammar",
    "format": "send response_format",
    "functions": "send tools",
    "function_call": "send tool_choice",
    "grammar": "send guided_grammar",
    "json_schema": "send response_format or guided_json",
    "n_predict": "send max_tokens",
    "options": "send its fields by OpenAI's names beside messages",
    "prompt_logprobs": "send echo with logprobs to /v1/completions",
    "regex": "send guided_regex",
    "repeat_penalty": "send repetition_penalty",
    "thinking": "send chat_template_kwargs",
}
_TEMPLATE_ARGUMENTS = ("messages", "tools", "add_generation_prompt", "continue_final_message")
# An answer's own fields, which clients send back in the history with nothing in them.
_OF_ANSWERS = ("refusal", "annotations", "audio", "function_call", "id", "type")


def check_fields(request: RequestBody) -> None:
    """Raise ApiError for a field that would change the answer and is not done here."""
    extra = request.model_extra or {}
    for name, neutral in _REFUSED.items():
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
    if isinstance(request, CompletionRequest):
        return
    if name := next((name for name in _TEMPLATE_ARGUMENTS if name in template_variables(request)), ""):
        message = f"{name} stands beside chat_template_kwargs, not in it"
        raise ApiError(400, message, param=f"chat_template_kwargs.{name}")


def template_variables(request: RequestBody) -> dict[str, Any]:
    """What the request gives the chat template beside messages and tools, by name."""
    if not isinstance(request, ChatRequest):
        return {}
    effort = {} if request.reasoning_effort is None else {"reasoning_effort": request.reasoning_effort}
    extra = request.model_extra or {}
    switch = {name: extra[name] for name in ("enable_thinking",) if extra.get(name) is not None}
    return effort | switch | request.chat_template_kwargs


def ignored_fields(request: RequestBody, chat: ChatFormat) -> list[str]:
    """Names of the fields that change nothing here, in the order of the request."""
    variables = template_variables(request)
    unread = [name for name in variables if not chat.reads(name)]
    in_kwargs = request.chat_template_kwargs if isinstance(request, ChatRequest) else {}
    names = [f"chat_template_kwargs.{name}" if name in in_kwargs else name for name in unread]
    names += [name for name, value in _given(request.model_extra) if name not in _REFUSED and name not in variables]
    names += [f"stream_options.{name}" for name, _ in _given(getattr(request.stream_options, "model_extra", None))]
    names += [
        f"structured_outputs.{name}" for name, _ in _given(getattr(request.structured_outputs, "model_extra", None))
    ]
    if isinstance(request, ChatRequest):
        names += _ignored_in_messages(request, chat)
    return names


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
