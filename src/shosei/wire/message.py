"""Messages of a conversation in OpenAI's form: one schema for what a client sends and for what a model learns from."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shosei.errors import InputError

T = TypeVar("T")
# A list that is looked at up to its first fault: a megabyte of faulty items takes seconds to be told of.
Items = Annotated[list[T], Field(fail_fast=True)]

# OpenAI's names of roles that chat formats call otherwise.
_ROLES = {"developer": "system"}

_NO_OBJECT = ("model_type", "model_attributes_type")  # pydantic's names of that fault, whose words name our classes

_TEXTS = ("text", "refusal")  # types of parts that are text, and the key under which each has it


class TextPart(BaseModel):
    """A part of a message that is text: words, or a refusal in an earlier answer of OpenAI's."""

    type: str
    text: str

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, part: Any) -> Any:
        if not isinstance(part, dict):
            raise ValueError(f"a part is an object with a type, not {part!r:.40}")
        kind = part.get("type")
        if kind not in _TEXTS:
            raise ValueError(f"only text is read, and this part is of the type {kind!r}")
        if kind not in part:
            raise ValueError(f"a part of the type {kind!r} needs its {kind!r}")
        return {"type": kind, "text": part[kind]}


class PastFunction(BaseModel):
    name: str
    arguments: str | None = None  # JSON, if the model was right


class PastCall(BaseModel):
    """A tool call of an earlier answer."""

    id: str
    type: Literal["function"] = "function"
    function: PastFunction


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "environment", "tool"]
    content: str | Items[TextPart] | None = None
    name: str | None = None
    tool_calls: Items[PastCall] | None = None
    tool_call_id: str | None = None
    # Thoughts of an earlier answer; vLLM calls them ``reasoning``.
    reasoning_content: Annotated[str | None, Field(validation_alias=AliasChoices("reasoning_content", "reasoning"))] = (
        None
    )

    @field_validator("content", mode="before")
    @classmethod
    def _is_text_or_parts(cls, content: Any) -> Any:
        if content is None or isinstance(content, str | list):
            return content
        raise ValueError(_no_text(content))

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    def plain(self) -> dict[str, Any]:
        """The message as chat formats take it: their own roles, content as one text, nothing that is empty but that."""
        more = {
            "name": self.name,
            "tool_call_id": self.tool_call_id,
            "reasoning_content": self.reasoning_content,
            "tool_calls": [call.model_dump() for call in self.tool_calls or []],
        }
        plain = {"role": _ROLES.get(self.role, self.role), "content": self.text}
        return plain | {key: value for key, value in more.items() if value}


def text_of(content: Any) -> str:
    """The text of a message's ``content``: a text, a list of text parts, or nothing, which is no text.

    Raises InputError for anything else, such as an image.
    """
    if content is None or isinstance(content, str):
        return content or ""
    try:
        if isinstance(content, list):
            return "".join(TextPart.model_validate(part).text for part in content)
    except ValidationError as error:
        raise InputError(f"a message's content: {fault_of(error)}", param="messages") from None
    raise InputError(_no_text(content), param="messages")


def _no_text(content: Any) -> str:
    return f"a message's content is text or a list of text parts, not {content!r:.40}"


def fault_of(error: ValidationError) -> str:
    """What is wrong, after the path to it: of a union, in the branch that got furthest."""
    fault = max(error.errors(include_url=False, include_input=False), key=lambda each: len(each["loc"]))
    path = ""
    for part in fault["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "str" and not part.startswith("list["):
            path += f".{part}" if path else part
    words = "it must be a JSON object" if fault["type"] in _NO_OBJECT else fault["msg"].removeprefix("Value error, ")
    return f"{path}: {words}" if path else words
