"""What each of OpenAI's APIs asks of the model: the prompts of its requests, and how long an answer to them may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from shosei.engine.protocol import Grammar
from shosei.serve.answer_grammar import AnswerForm, answer_form, chat_form
from shosei.serve.errors import CONTEXT_LENGTH_EXCEEDED
from shosei.serve.fields import check_template_variables, template_variables
from shosei.serve.grammar_checker import Rule
from shosei.text import ChatFormat
from shosei.text.call_format import CallFormat
from shosei.text.thoughts import is_open
from shosei.text.tokenizer import TooManyTokens
from shosei.wire.api_error import ApiError
from shosei.wire.message import Message
from shosei.wire.openai import ChatRequest, CompletionRequest, RequestBody
from shosei.wire.recent_answers import AskedQuestion

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
    names_special: bool = False  # whether special tokens stand in the echo, too, by their names


class PreparedRequest(ABC):
    """What an API makes of its request, ``body``, for the model of ``chat``.

    ``param`` is the field that its prompts come from. An answer has ``max_tokens`` at most, as the client asked; where
    it did not, that is None, and it has ``default_tokens``, or all that the context leaves.
    """

    param: ClassVar[str]

    def __init__(
        self, body: RequestBody, chat: ChatFormat, max_tokens: int | None, default_tokens: int | None = None
    ) -> None:
        self.body, self._chat = body, chat
        self.max_tokens, self._default_tokens = max_tokens, default_tokens

    @property
    @abstractmethod
    def question(self) -> AskedQuestion:
        """What was asked, as a person reads it."""

    @abstractmethod
    def prompts(self, room: int | None = None) -> list[Prompt]:
        """What the model is to continue. Raises ApiError, InputError, and TooManyTokens for a text that has more than
        ``room`` tokens by its bytes alone."""

    def fitting_prompts(self, context_length: int) -> list[Prompt]:
        """The prompts, where none is too long by its bytes alone. Raises ApiError, InputError."""
        try:
            return self.prompts(context_length)
        except TooManyTokens as error:
            raise self._too_long(context_length, f"at least {error.least}") from None

    def answer_tokens(self, prompt: Prompt, context_length: int) -> int:
        """How many tokens the answer to ``prompt`` may have. Raises ApiError if that is fewer than ``min_tokens``, or
        if prompt and answer cannot fit the context."""
        left = context_length - len(prompt.ids)
        if left < (self.max_tokens or 1):
            raise self._too_long(context_length, str(len(prompt.ids)))
        most = min(left, self._default_tokens or left) if self.max_tokens is None else self.max_tokens
        if self.body.min_tokens > most:
            message = f"min_tokens is {self.body.min_tokens}, and the answer may have at most {most} tokens"
            raise ApiError(400, message, param="min_tokens")
        return most

    def _too_long(self, context_length: int, prompt_tokens: str) -> ApiError:
        answer = f"up to {self.max_tokens}" if self.max_tokens else "at least 1"
        return ApiError(
            400,
            f"This model's context is {context_length} tokens; the prompt has {prompt_tokens} and the answer is to "
            f"have {answer}: shorten {self.param} or lower max_tokens",
            param=self.param,
            code=CONTEXT_LENGTH_EXCEEDED,
        )


class PreparedChat(PreparedRequest):
    """Chat Completions: one conversation with its tools, as the model reads them."""

    param = "messages"
    body: ChatRequest

    def __init__(self, body: ChatRequest, chat: ChatFormat) -> None:
        super().__init__(body, chat, body.max_completion_tokens or body.max_tokens)

    @property
    def question(self) -> AskedQuestion:
        return AskedQuestion.of([(turn.role, turn.text) for turn in self.body.messages])

    def prompts(self, room: int | None = None) -> list[Prompt]:
        body, chat = self.body, self._chat
        ids = conversation_ids(body, chat, room)
        end = b"".join(map(chat.tokenizer.written, ids[-_LAST_TOKENS:])).decode("utf-8", "replace")
        continued = body.messages[-1].text if body.continue_final_message else end
        within = chat.has_thoughts and is_open(continued)
        grammar, rules = _to_try(body, chat_form(body, chat, within))
        calls = chat.call_format if body.offered else None
        return [Prompt(ids, grammar, rules, calls, chat.has_thoughts, within)]


class PreparedText(PreparedRequest):
    """Completions: one text or several to continue; those that come as ids are taken as they are."""

    param = "prompt"
    body: CompletionRequest

    def __init__(self, body: CompletionRequest, chat: ChatFormat) -> None:
        asked = body.max_tokens if "max_tokens" in body.model_fields_set else None
        super().__init__(body, chat, asked, body.max_tokens)
        self._parts = _parts(body)

    @property
    def question(self) -> AskedQuestion:
        first = self._parts[0]
        return AskedQuestion(first if isinstance(first, str) else self._chat.tokenizer.decode(first))

    def prompts(self, room: int | None = None) -> list[Prompt]:
        grammar, rules = _to_try(self.body, answer_form(self.body))
        return [self._prompt(part, room, grammar, rules) for part in self._parts]

    def _prompt(
        self, part: str | list[int], room: int | None, grammar: Grammar | None, rules: Sequence[Rule]
    ) -> Prompt:
        body, tokenizer = self.body, self._chat.tokenizer
        if isinstance(part, str):
            tokenizer.check_room([part], room)
            ids, text = tokenizer.encode_beginning(part) if body.add_special_tokens else tokenizer.encode(part), part
        else:
            ids, text = part, b"".join(map(tokenizer.written, part)).decode("utf-8", "replace")
        return Prompt(ids, grammar, rules, echo=text if body.echo else "", names_special=not isinstance(part, str))


def conversation_ids(request: ChatRequest, chat: ChatFormat, room: int | None = None) -> list[int]:
    """The conversation and its tools as the model reads them. Raises as ``PreparedRequest.prompts``."""
    check_template_variables(request)
    turns, last = _turns(request.messages), request.messages[-1]
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


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    """The conversation in the chat format's own roles. Raises ApiError."""
    turns = []
    for number, message in enumerate(messages):
        turns.append(message.plain())
        if message.role == "tool" and message.tool_call_id not in _asked_before(messages, number):
            param = f"messages[{number}].tool_call_id"
            raise ApiError(400, f"{param}: no message before it has a tool call of this id", param=param)
    return turns


def _asked_before(messages: list[Message], number: int) -> list[str]:
    """Ids of the calls that the results from message ``number`` back to the last other message may belong to."""
    before = next((message for message in reversed(messages[:number]) if message.role != "tool"), None)
    return [call.id for call in (before.tool_calls if before else None) or []]


def _parts(request: CompletionRequest) -> list[str | list[int]]:
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


def _to_try(request: RequestBody, form: AnswerForm | None) -> tuple[Grammar | None, Sequence[Rule]]:
    """The grammar, and what must be tried before it is used. Raises ApiError."""
    if form is None:
        return None, ()
    if request.ignore_eos:
        raise ApiError(400, "ignore_eos: an answer that has a form ends where the form does", param="ignore_eos")
    return form.grammar, form.rules
