"""Tool results as agent frameworks send them: found in whatever role, and judged by one rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shosei.gateway.tool_results import RULE, UNDECIDED, judge, of_items, of_messages
from shosei.log import ToolResult

ERRORS = {
    "Error: no such date": "prefix",
    "error": "prefix",
    "Error executing tool 'lookup' with arguments {'city': 'X'}: ValueError: no such city": "prefix",
    "Error calling tool: timed out": "prefix",
    "Error 404: not found": "prefix",
    "Error: ValueError('x')\n Please fix your mistakes.": "prefix",
    "[Errno 2] No such file or directory: 'x'": "prefix",
    "错误：没有这个城市": "prefix",
    "エラー: 見つかりません": "prefix",
    '{"error": "no such city"}': "json",
    '{"error": {"code": 404}}': "json",
    '{"errors": [{"message": "x"}], "data": null}': "json",
    '{"status": "error", "message": "x"}': "json",
    '{"content": [{"type": "text", "text": "x"}], "isError": true}': "json",
    "Traceback (most recent call last):\n  File x\nValueError: y": "exception",
    "ran\nTraceback (most recent call last):\n  File x\nValueError: y": "exception",
    "ValueError: no such city": "exception",
    "requests.exceptions.ConnectionError: refused": "exception",
    "java.lang.IllegalStateException: closed": "exception",
    "Exception: closed": "exception",
    "KeyError('x')": "exception",
    "An error occurred while running the tool. Please try again. Error: x": "phrase",
    "I encountered an error while trying to use the tool. This was the error: x.": "phrase",
    "no such city: Atlantis": "phrase",
    "Permission denied": "phrase",
    "Failed to fetch the page": "phrase",
    "找不到这个城市": "phrase",
    "调用工具时出错: timeout": "phrase",
    "发生错误：无法连接数据库": "phrase",
    "查询失败：城市不存在": "phrase",
    "例外が発生しました": "phrase",
    "データベースに接続できませんでした": "phrase",
    "panic: runtime error: index out of range": "phrase",
    "HTTP 500 Internal Server Error": "phrase",
    "<error>no city</error>": "phrase",
    "その都市は見つかりませんでした。": "phrase",
    "1 validation error:\n```json\n[]\n```\n\nFix the errors and try again.": "phrase",
}
ANSWERS = [
    "",
    "794",
    "no errors were found",
    "0 errors, 2 warnings",
    "Ran 12 tests without failures",
    "没有错误",
    "エラーはありません",
    "Terror at sea: a film of 1998",
    '{"error": null, "result": 5}',
    '{"error": "none", "result": 5}',
    "无法无天是一个成语，出自《清史稿》",
    "この寺は一般の人は入ることができません",
    '{"errors": [], "data": {}}',
    '{"isError": false, "content": []}',
    '{"status": "ok"}',
    "[1, 2]",
    "Could not the river be crossed?\nThe novel begins with this question.",
    "There are cities that could not be found for centuries.",
    "{not JSON",
    "All is well.\nThe chapter on errors begins on page 9.",
]
NOBODY_KNOWS = [
    "Error codes of HTTP are 4xx and 5xx",
    "Exception handling in Python is done with try",
    "The upload failed",
    "失败",
    "the date is invalid",
    "There is no such city",
    '{"error": 0.03, "mean": 5.1}',
    '{"message": "internal error"}',
]


@pytest.mark.parametrize("text", ERRORS)
def test_errors_in_the_forms_that_frameworks_send(text: str) -> None:
    assert judge(text) == ERRORS[text]
    assert judge(f"\n {text}\n") == ERRORS[text], "space around it does not matter"


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_are_no_errors(text: str) -> None:
    assert judge(text) == ""
    assert judge(text, flag=False) == ""
    assert judge(text, flag=True) == "flag"


@pytest.mark.parametrize("text", NOBODY_KNOWS)
def test_what_no_form_decides_is_not_guessed(text: str) -> None:
    assert judge(text) == UNDECIDED


def test_a_text_of_any_size_and_depth_is_judged() -> None:
    assert judge("x " * 1_000_000) == ""
    assert judge('{"a":' * 100_000) == ""
    assert judge("no " * 100_000 + "error") == ""


def found(*messages: dict[str, Any], tools_offered: bool = True) -> list[ToolResult]:
    return of_messages(json.dumps(messages).encode(), tools_offered=tools_offered)


USER = {"role": "user", "content": "Which city is older?"}
ASKS = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}, {"id": "b"}]}


def ok(id: str) -> ToolResult:
    return ToolResult(id, rule=RULE)


def error(id: str, form: str) -> ToolResult:
    return ToolResult(id, True, form, RULE)


def test_roles_tool_and_function_and_parts_hold_results() -> None:
    whole = [{"type": "text", "text": "Error: x"}]
    tool = [{"role": "tool", "tool_call_id": "a", "content": "794"}, {"role": "tool", "tool_call_id": "b"}]
    assert found(USER, ASKS, *tool, tools_offered=False) == [ok("a"), ok("b")]
    assert found(USER, ASKS, {"role": "function", "name": "lookup", "content": "ValueError: x"}) == [
        error("", "exception")
    ]
    parts = [
        {"type": "tool_result", "tool_use_id": "a", "content": whole, "is_error": False},
        {"type": "tool_result", "tool_use_id": "b", "content": "794", "is_error": True},
    ]
    assert found(USER, ASKS, {"role": "user", "content": parts}) == [error("a", "prefix"), error("b", "flag")]


def test_only_what_came_since_the_assistant_spoke_counts() -> None:
    old = {"role": "tool", "tool_call_id": "a", "content": "794"}
    assert found(USER, ASKS, old, {"role": "assistant", "content": "Kyoto"}) == []


@pytest.mark.parametrize("lead_in", ["Observation:\n", "", "Call id: a\n", "<tool_response>\n", "Tool result: "])
def test_a_result_may_come_as_a_text_of_the_users(lead_in: str) -> None:
    said = {"role": "assistant", "content": "Calling tools:\n[{'id': 'a'}]"}
    content = [{"type": "text", "text": f"{lead_in}794"}]
    assert found(USER, said, {"role": "user", "content": content}) == [ok("")]
    wrong = {"role": "user", "content": f"{lead_in}Error:\nno such city"}
    assert found(USER, said, wrong) == [error("", "prefix")]
    assert found(USER, said, wrong, tools_offered=False) == [], "no tool was offered: a user speaks"


def test_a_conversation_that_begins_has_no_results_but_an_error_that_was_put_behind_its_question() -> None:
    assert found(USER) == []
    assert found({"role": "user", "content": "Error: what does it mean?"}) == []
    appended = {"role": "user", "content": "Which city is older?\nError:\nValueError: no such city\nNow let's retry"}
    assert found(appended) == [error("", "prefix")]


def test_function_call_outputs_of_the_responses_api() -> None:
    items = [
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "a", "name": "lookup"},
        {"type": "function_call_output", "call_id": "a", "output": "794"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "Error: x"}]},
    ]
    assert of_items(items) == [ok("a"), error("b", "prefix")]


@pytest.mark.parametrize("messages", [b"", b"null", b'{"a": 1}', b"[1]", b"[" * 100_000, b'[{"role": "tool"', b"\xff"])
def test_what_cannot_be_read_has_no_results(messages: bytes) -> None:
    """The upstream will say so."""
    assert of_messages(messages, tools_offered=True) == []
