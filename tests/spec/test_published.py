"""Why the published counts cannot be those of the published shapes: each claim as arithmetic on the tables alone."""

from __future__ import annotations

from itertools import product

import pytest

from shosei.spec import preset
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


# How the shape table could be counted; the product of the choices are 3,072 readings.
READINGS = {
    "matrices": (1, 2, 3),  # of the feed-forward network: one, in and out, or gated
    "fused": (1, 2),  # branches that its printed width stands for
    "grouped": (False, True),  # keys and values by KV heads, or by heads
    "own_heads": (False, True),  # attention as wide as heads times head size, or as d_model
    "attention_bias": (False, True),
    "feed_forward_bias": (False, True),
    "norms": (0, 1, 2, 4),  # a layer
    "final_norm": (False, True),
    "norm_bias": (False, True),  # LayerNorm instead of RMSNorm
    "head": (False, True),  # an output table that counts as no embedding
}


def counted(
    name: str,
    matrices: int,
    fused: int,
    grouped: bool,
    own_heads: bool,
    attention_bias: bool,
    feed_forward_bias: bool,
    norms: int,
    final_norm: bool,
    norm_bias: bool,
    head: bool,
) -> int:
    """Non-embedding parameters under one reading of the shape table."""
    d_model, layers, width, heads, kv_heads, head_size, vocabulary = SHAPES[name]
    f = width // fused
    attended = heads * head_size if own_heads else d_model
    keys = attended * (kv_heads if grouped else heads) // heads
    norm = d_model * (2 if norm_bias else 1)
    layer = 2 * d_model * (attended + keys) + matrices * d_model * f + norms * norm
    layer += attention_bias * (attended + 2 * keys + d_model) + feed_forward_bias * ((matrices - 1) * f + d_model)
    return layers * layer + final_norm * norm + head * vocabulary * d_model


def test_the_presets_are_one_of_the_readings() -> None:
    ours = (3, 2, True, True, False, False, 2, True, False, False)
    for name in NAMES:
        assert counted(name, *ours) == preset(name).non_embedding_params


def test_no_reading_of_the_shapes_gives_the_published_counts() -> None:
    readings = list(product(*READINGS.values()))
    assert len(readings) == 3072
    for reading in readings:
        errors = [abs(counted(name, *reading) / PUBLISHED[name][1] - 1) for name in NAMES]
        assert min(errors) > 0  # not one count of one model
        assert sum(error < 0.01 for error in errors) <= 1  # nor two of them nearly
        assert max(errors) > 0.45
