"""A model on paper: shapes, presets, closed-form counts and costs, plans, and the audit of the published
tables.

In: names, numbers and shapes in files. Out: numbers. Never imports torch or any room; everyone may import it.
"""

from shosei.spec.model import ModelSpec
from shosei.spec.presets import PRESETS, preset
from shosei.spec.published import AuditRow, audit, audit_shapes

__all__ = ["PRESETS", "AuditRow", "ModelSpec", "audit", "audit_shapes", "preset"]
