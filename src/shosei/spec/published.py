"""The published parameter counts beside the computed ones, with the reason for each difference."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.spec.presets import preset

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


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One published count beside the computed one. ``difference`` is (computed - published) / published."""

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
