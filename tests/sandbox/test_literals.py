"""What crosses the pipe between a program and its tests: plain values with their types, and nothing else."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.sandbox.inside.literals import NotPlain, decode, encode, same

LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=10,
)


@given(LITERALS)
def test_a_literal_crosses_the_pipe_with_its_type(value: Any) -> None:
    assert repr(decode(json.loads(json.dumps(encode(value))))) == repr(value)


@pytest.mark.parametrize("value", [{1, 2}, frozenset({(1,)}), {(1, 2): {3}}, 10**6000, -(10**6000), set()], ids=type)
def test_so_do_sets_and_large_numbers(value: Any) -> None:
    assert decode(json.loads(json.dumps(encode(value)))) == value


class Everything(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value", [Everything(), [Everything()], print, int, object(), iter([]), range(3), {1: Everything()}]
)
def test_what_is_no_literal_does_not_cross(value: Any) -> None:
    with pytest.raises(NotPlain):
        encode(value)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_reply_is_a_plain_value_or_refused(value: Any) -> None:
    try:
        plain = decode(value)
    except (ValueError, TypeError):
        return
    assert same(decode(encode(plain)), plain)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON_VALUES)
def test_a_value_is_the_same_after_its_way_through_the_pipe(value: Any) -> None:
    assert same(value, json.loads(json.dumps(value)))


@given(JSON_VALUES, JSON_VALUES)
def test_same_values_have_the_same_literal(left: Any, right: Any) -> None:
    def ordered(value: Any) -> str:
        return json.dumps(value, sort_keys=True)

    assert same(left, right) == (ordered(left) == ordered(right))


@pytest.mark.parametrize(
    ("left", "right"), [(True, 1), (1, 1.0), (0.0, -0.0), (0, False), ("1", 1), ([], {}), (None, False), ([1], [1, 2])]
)
def test_equal_is_not_the_same(left: Any, right: Any) -> None:
    assert not same(left, right)
    assert not same(right, left)


def test_nan_is_itself() -> None:
    assert same(math.nan, math.nan)
