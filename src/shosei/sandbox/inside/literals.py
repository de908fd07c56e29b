"""Plain values as JSON: how arguments go to a candidate, and results come back, between two sandboxes."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from typing import Any

_JSON_INTEGER = 1 << 53
_AS_DICT = (dict, Counter, OrderedDict, defaultdict)  # equal to the dict of the same items, and read as it
_GROUPS: dict[str, type] = {"tuple": tuple, "set": set, "frozenset": frozenset}


DEEPEST = 200  # values within values; what one side takes, the other must be able to send back


class NotPlain(TypeError):
    """A value that is not a literal: a function, a generator, an instance of a class, a subclass of a plain type."""


class TooDeep(NotPlain):
    """A value that holds values deeper than ``DEEPEST``."""


def encode(value: Any, depth: int = 0) -> Any:
    """``value`` as something that JSON can carry without loss of type. Raises NotPlain, TooDeep."""
    kind = type(value)
    if depth > DEEPEST:
        raise TooDeep(kind.__name__)
    if value is None or kind in (bool, str, float):
        return value
    if kind is int:
        return value if -_JSON_INTEGER < value < _JSON_INTEGER else {"int": hex(value)}
    if kind is list:
        return [encode(each, depth + 1) for each in value]
    if kind.__name__ in _GROUPS and kind is _GROUPS[kind.__name__]:
        return {kind.__name__: [encode(each, depth + 1) for each in value]}
    if kind in _AS_DICT:
        return {"dict": [[encode(key, depth + 1), encode(each, depth + 1)] for key, each in dict.items(value)]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    raise NotPlain(kind.__name__)


def decode(value: Any, depth: int = 0) -> Any:
    """The inverse of ``encode``: only ever exact plain types. Raises ValueError, TypeError, OverflowError, TooDeep."""
    if depth > DEEPEST:
        raise TooDeep
    if type(value) is list:
        return [decode(each, depth + 1) for each in value]
    if type(value) is not dict:
        return value
    ((kind, inner),) = value.items()
    match kind:
        case "int":
            return int(inner, 16)
        case "dict":
            return {decode(key, depth + 1): decode(each, depth + 1) for key, each in inner}
        case "bytes":
            return bytes.fromhex(inner)
        case "complex":
            return complex(*inner)
        case _ if kind in _GROUPS:
            return _GROUPS[kind](decode(each, depth + 1) for each in inner)
    raise ValueError(f"no kind of literal: {kind}")


def same(expected: Any, actual: Any) -> bool:
    """Whether two values are the same in type and value: True is not 1, 1 is not 1.0, -0.0 is not 0.0, nan is nan.

    The representation of a float says exactly which it is.
    """
    if type(expected) is not type(actual):
        return False
    if isinstance(expected, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, dict):
        return expected.keys() == actual.keys() and all(same(expected[key], actual[key]) for key in expected)
    if isinstance(expected, float):
        return repr(expected) == repr(actual)
    return bool(expected == actual)
