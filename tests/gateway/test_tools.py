"""Arguments of tool calls against the schemas of the tools: the library's verdict, at a cost that has an end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shosei.gateway.tools import checked, schemas

NODE = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}
DOUBLING = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n - 1}"}, {"$ref": f"#/$defs/a{n - 1}"}]} for n in range(1, 60)}


def verdict(parameters: Any, arguments: Any) -> str:
    offered = schemas(json.dumps([{"type": "function", "function": {"name": "f", "parameters": parameters}}]).encode())
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return checked("call-1", "f", text, offered).error


@pytest.mark.parametrize(
    ("parameters", "good", "bad"),
    [
        ({"properties": {"unit": {"enum": ["日", "月"]}}}, {"unit": "日"}, {"unit": "年"}),
        ({"properties": {"at": {"properties": {"day": {"const": 3}}}}}, {"at": {"day": 3}}, {"at": {"day": "3"}}),
        ({"properties": {"days": {"items": {"type": "integer"}}}}, {"days": [1, 2.0]}, {"days": [1, "2"]}),
        ({"properties": {}, "additionalProperties": False}, {}, {"x": 1}),
        ({"properties": {"date": {"pattern": r"^\d{4}-\d{2}$"}}}, {"date": "2026-11"}, {"date": "November"}),
        ({"properties": {"x": {"type": ["string", "null"]}}}, {"x": None}, {"x": 1}),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, {"next": {"next": None}}, {"next": {"next": 1}}),
        ({}, {"x": 1}, ["x"]),
        (None, {}, "{"),
    ],
)
def test_the_whole_schema_counts(parameters: Any, good: Any, bad: Any) -> None:
    assert verdict(parameters, good) == ""
    assert verdict(parameters, bad) == "invalid arguments"


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "strnig"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/absent"},
        {"properties": {"x": {"pattern": r"^(a+)+\1$"}}},
        {"$ref": "#/$defs/a59", "$defs": {"a0": {}, **DOUBLING}},
        {"description": "x" * (1 << 19)},
        {"properties": {f"x{n}": {"pattern": "a"} for n in range(1000)}},
        {"allOf": [{}] * 30_000},
    ],
)
def test_a_schema_that_cannot_be_used_checks_for_an_object_alone(parameters: Any) -> None:
    # Where doubling or backtracking took its time, this test would not end.
    assert verdict(parameters, {"x": "a" * 40}) == ""
    assert verdict(parameters, [1]) == "invalid arguments"


def test_arguments_nested_too_deep_are_no_arguments() -> None:
    recursive = {"properties": {"c": {"$ref": "#"}}}
    for depth in (1_000, 200_000):
        assert verdict(recursive, '{"c":' * depth + "1" + "}" * depth) == "invalid arguments"
