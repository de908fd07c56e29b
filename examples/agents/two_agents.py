"""What the three examples share: the task, what each agent is told, and the calculator."""

from __future__ import annotations

import ast
import json
import operator
import os
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

TRIES = 2  # of the solver: a checker that is never content must not keep it for ever
CALLS = 4  # to the model, for one answer: a weak one may call the calculator for ever
RETRIES = 5  # of a call that the server refuses or cuts off
MAX_TOKENS = 48  # of an answer: a weak model may never stop


def setting(name: str, default: str) -> str:
    """What this run tells the agents otherwise: a file of the folder that ``shosei agents run --settings`` names."""
    file = Path(os.environ.get("SHOSEI_SETTINGS") or os.devnull, f"{name}.txt")
    return file.read_text(encoding="utf-8") if file.is_file() else default


SOLVE = {
    "zh": setting("solve_zh", "用工具，只答结果。"),
    "ja": setting("solve_ja", "道具を使い、結果だけ答えよ。"),
    "en": setting("solve_en", "Use the tools. Reply with the result only."),
}
CHECK = {
    "zh": setting("check_zh", "答案对吗？对就答OK，不对就说明原因。"),
    "ja": setting("check_ja", "答えは正しいか。正しければOK、違えば理由を答えよ。"),
    "en": setting("check_en", "Is the answer right? Reply OK, or say what is wrong."),
}

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-"})


@dataclass(frozen=True)
class Task:
    """A question in a language (zh, ja or en) for a model, and the OpenAI-compatible server that has it."""

    id: str
    question: str
    lang: str
    model: str
    base_url: str


def read_task() -> Task:
    """The JSON object on standard input, which may have more fields than a system needs."""
    given = json.load(sys.stdin)
    return Task(**{field.name: given[field.name] for field in fields(Task)})


def approves(verdict: str) -> bool:
    """Whether the checker is content."""
    return verdict.strip().upper().startswith("OK")


def calculator(expression: str) -> str:
    """Evaluates arithmetic."""
    text = unicodedata.normalize("NFKC", expression).translate(_SIGNS).replace(",", "")
    try:
        return str(_value(ast.parse(text.strip(), mode="eval").body))
    except (ArithmeticError, SyntaxError, ValueError) as error:
        return f"Error: {error}"


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
    raise ValueError("only numbers, + - * / and parentheses")
