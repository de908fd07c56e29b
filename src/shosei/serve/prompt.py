"""What a request asks of the model. What this server does not do is refused, never quietly left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shosei.engine.protocol import Grammar
from shosei.serve.answer_grammar import AnswerForm, answer_form, chat_form
from shosei.serve.fields import check_fields, template_variables
from shosei.serve.grammar_checker import Rule
from shosei.text import ChatFormat, Tokenizer
from shosei.text.call_format import CallFormat
from shosei.text.thoughts import is_open
from shosei.wire.api_error import ApiError
from shosei.wire.message import Message
from shosei.wire.openai import ChatRequest, CompletionRequest, RequestBody

MAX_STOPS = 16  # OpenAI's API has 4; public benchmarks send more
MAX_STOP_CHARACTERS = 256
MAX_PROMPTS = 128

_LAST_TOKENS = 16  # enough to show whether a prompt ends with the mark of a thought


@dataclass(frozen=True)
class Prompt:
    """What the model is to continue, what its answer may be, and how that may call tools, if it may."""

    ids: list[int]
    grammar: Grammar | None = None
    rules: Sequence[Rule] = ()  # what must be tried before the grammar is used
    calls: CallFormat | None = None
    has_thoughts: bool = False  # whether the answer may begin with thoughts that stand apart
    within_thought: bool = False  # whether the prompt has begun them
    echo: str = ""  # what of the prompt stands before the answer


def check(request: RequestBody) -> None:
    """Raise ApiError for what both kinds of request may hold and this server cannot do."""
    check_fields(request)
    if len(request.stops) > MAX_STOPS or not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in request.stops):
        raise ApiError(400, f"stop: at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARACTERS} characters", param="stop")
    if request.seed is not None and not -(2**63) <= request.seed < 2**63:
        raise ApiError(400, "seed must fit into 64 bits", param="seed")


def check_ids(request: RequestBody, vocab_size: int) -> None:
    """Raise ApiError for a token id that the model does not have."""
    prompt = request.prompt if isinstance(request, CompletionRequest) else []
    prompt_ids = [token for part in prompt if not isinstance(part, str) for token in _ids(part)]
    for param, ids in (
        ("logit_bias", [*request.logit_bias]),
        ("stop_token_ids", request.stop_token_ids),
        ("prompt", prompt_ids),
    ):
        check_range(param, ids, vocab_size)


def check_range(param: str, ids: list[int], vocab_size: int) -> None:
    """Raise ApiError for an id in the field ``param`` that is no token of the model's."""
    if strange := [token for token in ids if not 0 <= token < vocab_size]:
        raise ApiError(400, f"{param}: the model's tokens are 0 to {vocab_size - 1}, not {strange[0]}", param=param)


def _ids(part: int | list[int]) -> list[int]:
    return [part] if isinstance(part, int) else part


def messages(request: ChatRequest) -> list[dict[str, Any]]:
    """The conversation in the chat format's own roles. Raises ApiError."""
    turns = []
    for number, turn in enumerate(request.messages):
        turns.append(turn.plain())
        if turn.role == "tool" and turn.tool_call_id not in _asked_before(request.messages, number):
            param = f"messages[{number}].tool_call_id"
            raise ApiError(400, f"{param}: no message before it has a tool call of this id", param=param)
    return turns


def _asked_before(turns: list[Message], number: int) -> list[str]:
    """Ids of the calls that the results from turn ``number`` back to the last other turn may belong to."""
    before = next((turn for turn in reversed(turns[:number]) if turn.role != "tool"), None)
    return [call.id for call in (before.tool_calls if before else None) or []]


def completion_prompts(request: CompletionRequest, tokenizer: Tokenizer, room: int | None = None) -> list[Prompt]:
    """The texts to continue; those that come as ids are taken as they are. Raises ApiError, InputError, and
    TooManyTokens for a text that has more than ``room`` tokens by its bytes alone."""
    form = answer_form(request)
    _check_end(request, form)
    return [_completion_prompt(request, part, form, tokenizer, room) for part in completion_texts(request)]


def _check_end(request: RequestBody, form: AnswerForm | None) -> None:
    if form and request.ignore_eos:
        raise ApiError(400, "ignore_eos: an answer that has a form ends where the form does", param="ignore_eos")


def completion_texts(request: CompletionRequest) -> list[str | list[int]]:
    """The one text or several that the request is about, or their ids. Raises ApiError."""
    parts: list[Any] = [request.prompt] if isinstance(request.prompt, str) else list(request.prompt)
    if parts and all(isinstance(part, int) for part in parts):
        parts = [parts]
    if not parts or not all(parts) or len(parts) * request.n > MAX_PROMPTS:
        message = f"prompt must be one text or several, none of them empty, and at most {MAX_PROMPTS} answers together"
        raise ApiError(400, message, param="prompt")
    if not request.echo and request.max_tokens == 0:
        raise ApiError(400, "max_tokens must be at least 1, or 0 with echo", param="max_tokens")
    return parts


def _completion_prompt(
    request: CompletionRequest, part: str | list[int], form: AnswerForm | None, tokenizer: Tokenizer, room: int | None
) -> Prompt:
    if not isinstance(part, str):
        ids, text = part, b"".join(map(tokenizer.written, part)).decode("utf-8", "replace")
    else:
        tokenizer.check_room([part], room)
        ids, text = tokenizer.encode_beginning(part) if request.add_special_tokens else tokenizer.encode(part), part
    return Prompt(ids, *_to_try(form), echo=text if request.echo else "")


def _to_try(form: AnswerForm | None) -> tuple[Grammar | None, Sequence[Rule]]:
    return (form.grammar, form.rules) if form else (None, ())


def chat_prompt(request: ChatRequest, chat: ChatFormat, room: int | None = None) -> Prompt:
    """The conversation and its tools as the model reads them, and the grammar. Raises as ``completion_prompts``."""
    ids = conversation_ids(request, chat, room)
    end = b"".join(map(chat.tokenizer.written, ids[-_LAST_TOKENS:])).decode("utf-8", "replace")
    continued = request.messages[-1].text if request.continue_final_message else end
    within = chat.has_thoughts and is_open(continued)
    form = chat_form(request, chat, within)
    _check_end(request, form)
    return Prompt(ids, *_to_try(form), chat.call_format if request.offered else None, chat.has_thoughts, within)


def conversation_ids(request: ChatRequest, chat: ChatFormat, room: int | None = None) -> list[int]:
    """The conversation and its tools as the model reads them. Raises as ``completion_prompts``."""
    turns, last = messages(request), request.messages[-1]
    resumed = request.continue_final_message
    if resumed and request.add_generation_prompt:
        message = "continue_final_message goes on in the last message, add_generation_prompt begins another: send one"
        raise ApiError(400, message, param="continue_final_message")
    if resumed and (last.role != "assistant" or not last.text or last.tool_calls):
        message = "continue_final_message: the last message must be the assistant's, with words and no tool calls"
        raise ApiError(400, message, param="continue_final_message")
    header = not resumed if request.add_generation_prompt is None else request.add_generation_prompt
    variables = template_variables(request)
    tools = [tool.model_dump(exclude_none=True) for tool in request.offered]
    try:
        return chat.render(turns, tools, header, continue_final_message=resumed, variables=variables, room=room)
    except UnicodeEncodeError:  # of a call's arguments, which are JSON in a text
        raise ApiError(400, "messages: a lone surrogate is not a character", param="messages") from None
