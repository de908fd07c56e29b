"""The counts of the presets, pinned to the numbers that were proved for the published tables."""

from __future__ import annotations

import pytest

from shosei.errors import InputError
from shosei.spec import PRESETS, audit, audit_shapes, preset

# preset -> (embedding, non-embedding, total)
PROVED = {
    "internlm-tiny": (262_275_072, 317_744_128, 580_019_200),
    "internlm-large": (1_049_100_288, 11_274_489_856, 12_323_590_144),
    "ja-small": (24_576_000, 89_073_408, 113_649_408),
    "ja-large": (49_152_000, 736_138_752, 785_290_752),
    "internlm-tiny-budget": (262_275_072, 525_362_176, 787_637_248),
    "internlm-large-budget": (1_049_100_288, 4_177_727_488, 5_226_827_776),
    "ja-small-budget": (24_576_000, 97_920_768, 122_496_768),
    "ja-large-budget": (49_152_000, 396_400_128, 445_552_128),
}


@pytest.mark.parametrize(("name", "counts"), PROVED.items())
def test_counts_are_the_proved_ones(name: str, counts: tuple[int, int, int]) -> None:
    spec = preset(name)
    assert (spec.embedding_params, spec.non_embedding_params, spec.params) == counts


def test_gemma_1_follows_from_the_same_formula() -> None:
    """The published tables imitate Gemma-1's report, whose published non-embedding counts the formula gives exactly."""
    from dataclasses import replace

    gemma_2b = replace(
        preset("ja-small"),
        vocab_size=256_128,
        d_model=2048,
        n_layers=18,
        intermediate_size=16_384,
        n_heads=8,
        n_kv_heads=1,
        head_dim=256,
    )
    assert gemma_2b.non_embedding_params == 1_981_884_416
    gemma_7b = replace(gemma_2b, d_model=3072, n_layers=28, intermediate_size=24_576, n_heads=16, n_kv_heads=16)
    assert gemma_7b.non_embedding_params == 7_751_248_896


def test_nano_is_in_its_range_and_has_the_same_architecture() -> None:
    nano = preset("nano")
    assert 1_500_000 <= nano.params <= 3_000_000
    assert nano.n_heads % nano.n_kv_heads == 0


def test_planning_figures_of_the_large_presets() -> None:
    """GFLOP a token and KV bytes a token, as tabled for the published models."""
    assert preset("internlm-tiny").train_flops_per_token(4096) == pytest.approx(2.844e9, rel=5e-4)
    assert preset("internlm-large").train_flops_per_token(4096) == pytest.approx(73.21e9, rel=5e-4)
    assert preset("ja-small").train_flops_per_token(2048) == pytest.approx(0.710e9, rel=1e-3)
    assert preset("ja-large").train_flops_per_token(2048) == pytest.approx(4.825e9, rel=5e-4)
    kv = {"internlm-tiny": 6144, "internlm-large": 393_216, "ja-small": 1536, "ja-large": 36_864}
    assert {name: preset(name).kv_bytes_per_token() for name in kv} == kv


def test_audit_shows_published_beside_computed() -> None:
    rows = {(row.model, row.part): row for row in audit()}
    assert len(rows) == 8
    assert rows["ja-small", "embedding"].difference == 0
    assert rows["internlm-large", "non-embedding"].difference == pytest.approx(1.688, abs=5e-4)
    assert rows["internlm-tiny", "non-embedding"].difference == pytest.approx(-0.394, abs=5e-4)


def test_the_published_shapes_are_those_of_the_presets() -> None:
    rows = audit_shapes()
    assert len(rows) == 28
    differing = {(row.model, row.part, row.computed - row.published) for row in rows if row.difference}
    assert differing == {("internlm-tiny", "vocabulary", 64), ("internlm-large", "vocabulary", 64)}
    assert all("equal" in row.reason for row in rows if not row.difference)


def test_unknown_preset_offers_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'ja-small'"):
        preset("ja-smal")
    assert "nano" in PRESETS
