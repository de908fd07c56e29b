"""Why the published counts cannot be those of the published shapes: each claim as arithmetic on the tables alone."""

from __future__ import annotations

from itertools import product

import pytest

from shosei.spec.published import PUBLISHED, SHAPES

NAMES = list(SHAPES)


@pytest.mark.parametrize(("name", "tables"), [("ja-small", 1), ("ja-large", 1), ("internlm-tiny", 2)])
def test_three_embedding_counts_are_whole_tables(name: str, tables: int) -> None:
    d_model, *_, vocabulary = SHAPES[name]
    rows, left = divmod(PUBLISHED[name][0], tables * d_model)
    assert (rows - vocabulary, left) == (64 if tables == 2 else 0, 0)


def test_no_table_of_rows_gives_the_large_models_embedding_count() -> None:
    d_model, *_, vocabulary = SHAPES["internlm-large"]
    assert PUBLISHED["internlm-large"][0] == 2 * vocabulary * d_model + 128
    assert PUBLISHED["internlm-large"][0] % d_model == 128


@pytest.mark.parametrize(
    ("name", "times"), [("internlm-tiny", 4), ("internlm-large", 8), ("ja-small", 4), ("ja-large", 8)]
)
def test_non_embedding_counts_are_multiples_of_vocabulary_times_width(name: str, times: int) -> None:
    d_model, *_, vocabulary = SHAPES[name]
    assert PUBLISHED[name][1] == times * vocabulary * d_model


@pytest.mark.parametrize(("name", "left"), [("internlm-tiny", 8), ("internlm-large", 16), ("ja-large", 4)])
def test_no_stack_without_biases_has_the_published_remainder(name: str, left: int) -> None:
    """Every weight of such a stack is of ``d_model`` times something, the same in each layer, and a final norm adds
    one ``d_model``: divided by d_model the count leaves 0 or 1 modulo the layers."""
    d_model, layers, *_ = SHAPES[name]
    assert PUBLISHED[name][1] % d_model == 0
    assert PUBLISHED[name][1] // d_model % layers == left not in (0, 1)


@pytest.mark.parametrize("name", ["internlm-large", "ja-large"])
def test_one_matrix_a_layer_already_exceeds_a_large_models_count(name: str) -> None:
    d_model, layers, width, *_ = SHAPES[name]
    assert layers * d_model * width > PUBLISHED[name][1]


def counted(name: str, matrices: int, halved: bool, grouped: bool, own_heads: bool, bias: bool, norms: int) -> int:
    """Non-embedding parameters under one reading of the shape table."""
    d_model, layers, width, heads, kv_heads, head_size, _ = SHAPES[name]
    f = width // 2 if halved else width
    attended = heads * head_size if own_heads else d_model
    keys = attended * (kv_heads if grouped else heads) // heads
    layer = 2 * d_model * (attended + keys) + matrices * d_model * f + norms * d_model
    biases = attended + 2 * keys + d_model + (matrices - 1) * f + d_model
    return layers * (layer + bias * biases) + (norms > 0) * d_model


def test_no_reading_of_the_shapes_gives_the_published_counts() -> None:
    readings = list(product((1, 2, 3), (False, True), (False, True), (False, True), (False, True), (0, 1, 2, 4)))
    for reading in readings:
        assert not any(counted(name, *reading) == PUBLISHED[name][1] for name in NAMES)
        errors = [counted(name, *reading) / PUBLISHED[name][1] - 1 for name in NAMES]
        assert max(map(abs, errors)) > 0.25
