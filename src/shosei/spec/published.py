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

_EMBEDDING_EXACT = "equal: the table's rows times d_model"
_EMBEDDING_TINY = "equal: 2 x 128,064 x 1024, that is 128,000 tokens and 64 reserved rows, input and output untied"
_EMBEDDING_LARGE = "published is 2 x 128,000 x 4096 + 128, not a multiple of d_model: no table of rows can give it"
_MULTIPLE_OF_VD = "published is a plain multiple of vocabulary x d_model and says nothing of layers, heads or width"

_REASONS: dict[str, tuple[str, str]] = {
    "internlm-tiny": (_EMBEDDING_TINY, _MULTIPLE_OF_VD),
    "internlm-large": (_EMBEDDING_LARGE, _MULTIPLE_OF_VD),
    "ja-small": (_EMBEDDING_EXACT, _MULTIPLE_OF_VD),
    "ja-large": (_EMBEDDING_EXACT, _MULTIPLE_OF_VD),
}

_SHAPE_EQUAL = "equal"
_FUSED = "equal: the published width is that of gate and up fused, twice intermediate_size, as in Gemma-1's report"
_RESERVED = "128,000 tokens and 64 reserved rows, which the published embedding count of the small model includes"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One published number beside the computed one. ``difference`` is (computed - published) / published."""

    model: str
    part: str
    published: int
    computed: int
    reason: str

    @property
    def difference(self) -> float:
        return (self.computed - self.published) / self.published


def audit() -> list[AuditRow]:
    """Two rows (embedding, non-embedding) for each of the four published models."""
    rows = []
    for name, (embedding, non_embedding) in PUBLISHED.items():
        spec = preset(name)
        reasons = _REASONS[name]
        rows.append(AuditRow(name, "embedding", embedding, spec.embedding_params, reasons[0]))
        rows.append(AuditRow(name, "non-embedding", non_embedding, spec.non_embedding_params, reasons[1]))
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
