"""The four published models, their budget variants, and ``nano`` for the quickstart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shosei.errors import InputError, nearest
from shosei.spec.model import ModelSpec

_INTERNLM_TINY = ModelSpec(
    name="internlm-tiny",
    vocab_size=128_064,
    d_model=1024,
    n_layers=12,
    intermediate_size=8192,
    n_heads=4,
    n_kv_heads=1,
    head_dim=128,
    tied=False,
    rope_theta=1e6,
    context_length=4096,
)
_INTERNLM_LARGE = ModelSpec(
    name="internlm-large",
    vocab_size=128_064,
    d_model=4096,
    n_layers=24,
    intermediate_size=32_768,
    n_heads=32,
    n_kv_heads=32,
    head_dim=128,
    tied=False,
    rope_theta=1e6,
    context_length=4096,
)
_JA_SMALL = ModelSpec(
    name="ja-small",
    vocab_size=32_000,
    d_model=768,
    n_layers=6,
    intermediate_size=6144,
    n_heads=6,
    n_kv_heads=1,
    head_dim=64,
    tied=True,
    rope_theta=1e5,
    context_length=2048,
)
_JA_LARGE = ModelSpec(
    name="ja-large",
    vocab_size=32_000,
    d_model=1536,
    n_layers=12,
    intermediate_size=12_288,
    n_heads=12,
    n_kv_heads=12,
    head_dim=64,
    tied=True,
    rope_theta=1e5,
    context_length=2048,
)
_NANO = ModelSpec(
    name="nano",
    vocab_size=2048,
    d_model=192,
    n_layers=4,
    intermediate_size=512,
    n_heads=4,
    n_kv_heads=2,
    head_dim=32,
    tied=True,
    rope_theta=1e4,
    context_length=512,
)

# The shape table kept, the feed-forward width chosen so that the non-embedding count meets the published one.
_BUDGET_WIDTH = {_INTERNLM_TINY: 13_824, _INTERNLM_LARGE: 8704, _JA_SMALL: 6784, _JA_LARGE: 6144}

PRESETS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in [
        _NANO,
        *_BUDGET_WIDTH,
        *(replace(spec, name=f"{spec.name}-budget", intermediate_size=width) for spec, width in _BUDGET_WIDTH.items()),
    ]
}


def preset(name_or_file: str) -> ModelSpec:
    """The preset of that name, or the shape in a file: a path, or a name that ends in ``.toml``.

    Raises InputError that offers the nearest name, or as ``read_shape`` does.
    """
    if "/" in name_or_file or name_or_file.endswith(".toml"):
        from shosei.spec.shape import read_shape  # reads TOML by way of pydantic, which a verb's --help does without

        return read_shape(Path(name_or_file))
    if name_or_file not in PRESETS:
        raise InputError(f"unknown preset '{name_or_file}'{nearest(name_or_file, PRESETS)}")
    return PRESETS[name_or_file]
