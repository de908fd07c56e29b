"""``shosei models``: the presets, and the published tables beside what is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shosei.cli.common import JsonOption, result

if TYPE_CHECKING:
    from shosei.spec import AuditRow


def models(as_json: JsonOption = False) -> None:
    """List the presets, and compare the published shapes and parameter counts with the computed ones."""
    from shosei.spec import PRESETS, audit, audit_shapes

    presets = [
        asdict(spec) | {name: getattr(spec, name) for name in ("params", "embedding_params", "non_embedding_params")}
        for spec in PRESETS.values()
    ]
    lines = [
        f"{'preset':22}{'d_model':>8}{'layers':>7}{'feed-forward':>14}{'heads':>6}{'KV':>4}{'size':>5}{'rows':>9}"
        f"{'embedding':>15}{'non-embedding':>16}{'parameters':>16}"
    ]
    lines += [
        f"{spec.name:22}{spec.d_model:8,}{spec.n_layers:7}{spec.intermediate_size:14,}{spec.n_heads:6}"
        f"{spec.n_kv_heads:4}{spec.head_dim:5}{spec.vocab_size:9,}{spec.embedding_params:15,}"
        f"{spec.non_embedding_params:16,}{spec.params:16,}"
        for spec in PRESETS.values()
    ]
    shapes, counts = audit_shapes(), audit()
    lines += ["", *_compared("table 1, shapes", shapes), "", *_compared("table 2, counts", counts)]
    values = {"presets": presets, "shapes": _values(shapes), "audit": _values(counts)}
    result(values, lines, as_json=as_json)


def _compared(title: str, rows: Sequence[AuditRow]) -> list[str]:
    lines = [f"{title:32}{'published':>16}{'computed':>16}{'difference':>12}"]
    for row in rows:
        name = f"{row.model} {row.part}"
        lines.append(f"{name:32}{row.published:16,}{row.computed:16,}{row.difference:+12.2%}  {row.reason}")
    return lines


def _values(rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
    return [asdict(row) | {"difference": row.difference} for row in rows]
