"""Messages of a conversation in OpenAI's form: one schema for what a client sends and for what a model learns from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shosei.errors import InputError

# OpenAI's names of roles that chat formats call otherwise.
_ROLES = {"developer": "system"}

_NOT_TEXT = "a message's content is text or a list of text parts, not "


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class PastFunction(BaseModel):
    name: str
    arguments: str  # JSON, if the model was right


class PastCall(BaseModel):
    """A tool call of an earlier answer."""

    id: str
    type: Literal["function"] = "function"
    function: PastFunction


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "environment", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[PastCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        return text_of(self.content)

    def plain(self) -> dict[str, Any]:
        """The message as chat formats take it: their own roles, content as one text, nothing that is empty but that."""
        more = {"name": self.name, "tool_call_id": self.tool_call_id}
        calls = [call.model_dump() for call in self.tool_calls or []]
        plain = {"role": _ROLES.get(self.role, self.role), "content": self.text}
        return plain | {key: value for key, value in (more | {"tool_calls": calls}).items() if value}


def text_of(content: Any) -> str:
    """The text of a message's ``content``: a text, a list of text parts, or nothing, which is no text.

    Raises InputError for anything else, such as an image.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise InputError(_NOT_TEXT + type(content).__name__, param="messages")
    return "".join(_text_of_part(part) for part in content)


def _text_of_part(part: Any) -> str:
    if isinstance(part, TextPart):
        return part.text
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    what = f"a part of type '{kind}'" if isinstance(kind, str) else f"a part that is {type(part).__name__}"
    raise InputError(_NOT_TEXT + what, param="messages")


def fault_of(error: ValidationError) -> str:
    """What is wrong, after the path to it: of a union, in the branch that got furthest."""
    fault = max(error.errors(include_url=False, include_input=False), key=lambda each: len(each["loc"]))
    path = ""
    for part in fault["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "str" and not part.startswith("list["):
            path += f".{part}" if path else part
    return f"{path}: {fault['msg'].removeprefix('Value error, ')}"
