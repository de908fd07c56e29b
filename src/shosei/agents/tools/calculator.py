"""Arithmetic, exactly, on fractions; the names of Python are out of its reach."""

from __future__ import annotations

import ast
import operator
import unicodedata
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction

from shosei.agents.tools.numerals import KANJI, read

_CHARACTERS = 500
_EXPONENT = 200
_DIGITS = Context(prec=12)
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "^": "**"})

_BINARY: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction | int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def calculator(expression: str) -> str:
    """Evaluates arithmetic."""
    text = unicodedata.normalize("NFKC", expression).translate(_SIGNS).replace(",", "")
    if len(text) > _CHARACTERS:
        raise ValueError(f"more than {_CHARACTERS} characters")
    text = KANJI.sub(lambda numeral: str(read(numeral[0])), text)
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
    except ZeroDivisionError:
        raise ValueError("division by zero") from None
    return str(value.numerator) if value.denominator == 1 else show(value)


def show(value: Fraction) -> str:
    """As a decimal of at most 12 significant digits, without zeros at its end."""
    number = _DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Fraction(repr(number))
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=inner):
            return _value(inner) if isinstance(sign, ast.UAdd) else -_value(inner)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base, exponent = _value(left), _value(right)
            if exponent.denominator != 1 or abs(exponent) > _EXPONENT or abs(base) > 10**9:
                raise ValueError("the power is too large, or no whole number")
            return Fraction(base**exponent.numerator)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return Fraction(_BINARY[type(sign)](_value(left), _value(right)))
    raise ValueError("only numbers, + - * / // % ** and parentheses")
