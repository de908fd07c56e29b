"""The published parameter counts beside the computed ones, with the reason for each difference."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.spec.presets import preset

# As printed in the published shape tables, in the order of _PARTS.
SHAPES: dict[str, tuple[int, ...]] = {
    "internlm-tiny": (1024, 12, 16_384, 4, 1, 128, 128_000),
    "internlm-large": (4096, 24, 65_536, 32, 32, 128, 128_000),
    "ja-small": (768, 6, 12_288, 6, 1, 64, 32_000),
    "ja-large": (1536, 12, 24_576, 12, 12, 64, 32_000),
}
_PARTS = ("d_model", "layers", "feed-forward", "heads", "KV heads", "head size", "vocabulary")

# (embedding, non-embedding), as printed in the published count tables.
PUBLISHED: dict[str, tuple[int, int]] = {
    "internlm-tiny": (262_275_072, 524_288_000),
    "internlm-large": (1_048_576_128, 4_194_304_000),
    "ja-small": (24_576_000, 98_304_000),
    "ja-large": (49_152_000, 393_216_000),
}

# Why a count differs, by a key that the card's language files share.
_REASONS = {
    "exact": "equal: the table's rows times d_model",
    "tiny": "equal: 2 x 128,064 x 1024, that is 128,000 tokens and 64 reserved rows, input and output untied",
    "large": "published is 2 x 128,000 x 4096 + 128, not a multiple of d_model: no table of rows can give it",
    "multiple": "published is a plain multiple of vocabulary x d_model and says nothing of layers, heads or width",
}
_OF_EMBEDDING = {"internlm-tiny": "tiny", "internlm-large": "large", "ja-small": "exact", "ja-large": "exact"}

_SHAPE_EQUAL = "equal"
_FUSED = "equal: the published width is that of gate and up fused, twice intermediate_size, as in Gemma-1's report"
_RESERVED = "128,000 tokens and 64 reserved rows, which the published embedding count of the small model includes"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One published number beside the computed one. ``difference`` is (computed - published) / published.

    ``key`` names the reason of a parameter count in any language.
    """

    model: str
    part: str
    published: int
    computed: int
    reason: str
    key: str = ""

    @property
    def difference(self) -> float:
        return (self.computed - self.published) / self.published


def audit() -> list[AuditRow]:
    """Two rows (embedding, non-embedding) for each of the four published models."""
    rows = []
    for name, (embedding, non_embedding) in PUBLISHED.items():
        spec = preset(name)
        key = _OF_EMBEDDING[name]
        rows.append(AuditRow(name, "embedding", embedding, spec.embedding_params, _REASONS[key], key))
        multiple = (spec.non_embedding_params, _REASONS["multiple"], "multiple")
        rows.append(AuditRow(name, "non-embedding", non_embedding, *multiple))
    return rows


def audit_shapes() -> list[AuditRow]:
    """Seven rows, one a line of the published shape table, for each of the four published models."""
    rows = []
    for name, shape in SHAPES.items():
        spec = preset(name)
        ours = (
            spec.d_model,
            spec.n_layers,
            2 * spec.intermediate_size,
            spec.n_heads,
            spec.n_kv_heads,
            spec.head_dim,
            spec.vocab_size,
        )
        for part, published, computed in zip(_PARTS, shape, ours, strict=True):
            reason = _FUSED if part == "feed-forward" else _SHAPE_EQUAL if published == computed else _RESERVED
            rows.append(AuditRow(name, part, published, computed, reason))
    return rows
