"""Tool results in requests: which call each is of, and whether it is an error, by one rule that has a version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shosei.log import ToolResult
from shosei.wire.reply import UNREADABLE
from shosei.wire.thoughts import said_in

RULE = 2  # of ``judge``; docs/agents.md states it
UNDECIDED = "undecided"

_MOST_JSON = 1 << 20  # characters; a longer text is judged by its first line
_MOST_LINE = 400  # characters of a line that are looked at
_TRACEBACK = "Traceback (most recent call last)"
# "Error:", "Error executing tool x", "Error 404: ..."; but "Error codes of HTTP are ..." is not told by its beginning.
_PREFIX = re.compile(
    r"(?:tool )?errors?\s*(?:[:：!(\[]|[–—-]\s|$|\d+\s*(?:[:：-]|$)"
    r"|(?:while|executing|invoking|calling|running|occurred|processing|parsing|fetching)\b)"
    r"|\[Errno \d+\]|(?:错误|錯誤|エラー)\s*[:：]",
    re.IGNORECASE,
)
# "ValueError: no such city", "java.lang.IllegalStateException: ...", "KeyError('x')".
_EXCEPTION = re.compile(r"(?:\w+\.)*(?:[A-Z]\w*)?(?:Error|Exception)(?::\s|:?$|\()")
_BEGINNINGS = (
    "an error occurred",
    "i encountered an error while trying to use the tool",
    "encountered error",
    "failed to invoke tool",
    "failed to execute tool",
    "failed to call tool",
    "tool execution failed",
    "exception occurred",
)
# A single short line that begins so is an exception's message that a framework hands over alone.
_MESSAGE = re.compile(
    r"(?:no such|permission denied|access denied|connection (?:refused|reset|closed|timed out|aborted)|timed out"
    r"|timeout|operation not permitted|failed to|unable to|could not|couldn't"
    r"|cannot (?:connect|open|find|read|write|access))\b"
    r"|(?:找不到|无法(?!无天)|無法(?!無天)|没有这个|不存在)"
    r"|.{0,30}(?:出错|出錯|发生错误|发生异常|失败|失敗)(?:了|しました)?\s*[:：]|.{0,20}(?:例外|エラー)が発生しました"
    r"|panic: |HTTP [45]\d\d\b|<error>"
    r"|.*(?:見つかりません(?:でした)?|存在しません|に失敗しました)[。.]?$"
    r"|.*(?:接続|取得|実行|処理|検索|アクセス|読み込み)(?:は|が)?できません(?:でした)?[。.]?$",
    re.IGNORECASE,
)
_MOST_MESSAGE = 200  # characters
_ENDINGS = ("fix the errors and try again.", "please fix your mistakes.")
_DENIED = re.compile(
    r"\b(?:no|0|zero|without(?: any)?|free of)\s+(?:\w+\s+)?(?:errors?|exceptions?|failures?)\b|\berror[- ]free\b"
    r"|(?:没有|無|无)(?:任何)?(?:错误|錯誤)|エラー(?:は|が)?(?:ありません|なし|ない)",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"\b(?:errors?|exceptions?|failed|failures?|traceback|invalid|unsupported|denied|timed out|no such)\b"
    r"|错误|錯誤|失败|失敗|エラー|無効|无效",
    re.IGNORECASE,
)
_NO_ERROR = ("none", "null", "no error", "no", "无", "なし")  # values of "error"
_FAILED = ("error", "failed", "failure")  # values of "status"
# What frameworks write before a result that comes as a text of the user's.
_LEAD_IN = re.compile(r"\s*(?:Call id: \S+\s+)?(?:(?:Observation|Tool result)s?:|<tool_response>)?\s*", re.IGNORECASE)
_APPENDED_ERROR = re.compile(r"^Error:\n", re.MULTILINE)  # smolagents, behind the text that the agent was given


class _Message(msgspec.Struct):
    role: str = ""
    tool_call_id: Any = None
    content: msgspec.Raw = msgspec.Raw(b"null")
    is_error: Any = None


_messages = msgspec.json.Decoder(list[_Message]).decode
_items = msgspec.json.Decoder(list[dict[str, Any]]).decode
_BY_MODEL = ("function_call", "reasoning")  # types of items
_MARKS = (b'"tool"', b'"function"', b'"tool_result"')


def of_conversation(field: str, conversation: bytes, *, tools_offered: bool) -> list[ToolResult]:
    """What tools gave back since the model spoke last: in a chat's ``messages``, or a Responses request's ``input``."""
    return of_input(conversation) if field == "input" else of_messages(conversation, tools_offered=tools_offered)


def of_messages(messages: bytes, *, tools_offered: bool) -> list[ToolResult]:
    """What tools gave back since the assistant spoke last, in a chat request's ``messages``.

    A message of role ``tool`` or ``function``, or a part of type ``tool_result``. Where a request that offers tools has
    none of them, the user's text after the assistant's is taken for the result of whatever the agent asked for last; in
    a conversation in which the assistant has not spoken, only an error that stands behind the user's text.
    """
    if not tools_offered and not any(mark in messages for mark in _MARKS):
        return []
    try:
        conversation = _messages(messages)
        spoke = max((place for place, message in enumerate(conversation) if message.role == "assistant"), default=-1)
        news = [(message, msgspec.json.decode(message.content)) for message in conversation[spoke + 1 :]]
    except UNREADABLE:  # the upstream will say so
        return []
    results = [result for message, content in news for result in _of_message(message, content)]
    if results or not tools_offered:
        return results
    texts = [said_in(content) for message, content in news if message.role == "user"]
    return _as_text("\n".join(texts), resumed=spoke >= 0) if texts else []


def of_input(conversation: bytes) -> list[ToolResult]:
    """What tools gave back since the model spoke last, in a Responses request's ``input``."""
    if b'"function_call_output"' not in conversation:
        return []
    try:
        items = _items(conversation)
    except UNREADABLE:  # the upstream will say so; or it is a text
        return []
    spoke = (n for n, item in enumerate(items) if item.get("role") == "assistant" or item.get("type") in _BY_MODEL)
    return of_items(items[max(spoke, default=-1) + 1 :])


def of_items(items: Iterable[Mapping[str, Any]]) -> list[ToolResult]:
    """The ``function_call_output`` items of the Responses API's ``input``."""
    return [
        _result(item.get("call_id"), said_in(item.get("output")), item.get("is_error"))
        for item in items
        if item.get("type") == "function_call_output"
    ]


def judge(text: str, flag: object = None) -> str:
    """What makes a tool's result an error: flag, json, prefix, exception or phrase; empty where it is none.

    UNDECIDED where its first line speaks of errors in none of these forms. ``flag``: what stands beside the text.
    """
    if flag is True:
        return "flag"
    text = text.strip()
    if text.startswith("{") and len(text) <= _MOST_JSON and (form := _in_json(text)) is not None:
        return form
    lines = text.split("\n")
    first, last = lines[0].strip()[:_MOST_LINE], lines[-1].strip()[:_MOST_LINE]
    if _PREFIX.match(first):
        return "prefix"
    if first.startswith(_TRACEBACK) or _EXCEPTION.match(first) or (_TRACEBACK in text and _EXCEPTION.match(last)):
        return "exception"
    if first.lower().startswith(_BEGINNINGS) or last.lower().endswith(_ENDINGS):
        return "phrase"
    if len(lines) == 1 and len(text) <= _MOST_MESSAGE and _MESSAGE.match(text):
        return "phrase"
    return UNDECIDED if _HINT.search(_DENIED.sub("", first)) else ""


def _in_json(text: str) -> str | None:
    """The form of a JSON object's error, empty if it says that there is none; None where it says nothing."""
    try:
        answer = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    if any(answer.get(key) is True for key in ("isError", "is_error")):
        return "json"
    said = [answer[key] for key in ("error", "errors") if key in answer]
    if any(isinstance(value, int | float) and not isinstance(value, bool) for value in said):
        return None  # a measured error, or a code
    if any(value and str(value).strip().lower() not in _NO_ERROR for value in said):
        return "json"
    status = answer.get("status")
    if isinstance(status, str) and status.lower() in _FAILED:
        return "json"
    return "" if {"error", "errors", "isError", "is_error"} & answer.keys() else None


def _of_message(message: _Message, content: Any) -> list[ToolResult]:
    if message.role in ("tool", "function"):
        return [_result(message.tool_call_id, said_in(content), message.is_error)]
    parts: Sequence[Any] = content if isinstance(content, list) else ()
    return [
        _result(part.get("tool_use_id"), said_in(part.get("content")), part.get("is_error"))
        for part in parts
        if isinstance(part, dict) and part.get("type") == "tool_result"
    ]


def _as_text(text: str, *, resumed: bool) -> list[ToolResult]:
    if resumed:
        return [_result("", _LEAD_IN.sub("", text, count=1))]
    errors = _APPENDED_ERROR.split(text)[1:]
    return [_result("", f"Error:\n{errors[-1]}")] if errors else []


def _result(id: object, text: str, flag: object = None) -> ToolResult:
    form = judge(text, flag)
    return ToolResult(id if isinstance(id, str) else "", form not in ("", UNDECIDED), form, RULE)
