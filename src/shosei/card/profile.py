"""A profile: which metrics matter for a use, what they must keep, and under which load they are measured."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from shosei.config import Config
from shosei.metrics.metric import Phase
from shosei.metrics.service_level import ServiceLevel


class Requirement(Config):
    """What one metric, or one of its figures, must keep. Limits are in the metric's own unit."""

    required: bool = Field(default=True, description="Whether a missing value fails the profile.")
    min: float | None = Field(default=None, description="Lowest acceptable value.")
    max: float | None = Field(default=None, description="Highest acceptable value.")
    margin: float | None = Field(
        default=None,
        gt=0,
        description="Differences within it are equivalent: relative for speeds, times and sizes, absolute for shares.",
    )
    min_n: int = Field(default=30, ge=1, description="Independent units that the value must rest on.")


class Profile(Config):
    """Metrics chosen for a use. Keys of ``training`` and ``inference``: ``METRIC`` or ``METRIC.FIGURE``."""

    name: str = Field(description="Short name, such as chatbot.")
    description: str = Field(default="", description="Whom it is for, in a sentence.")
    load: dict[str, Any] = Field(default={}, description="Settings of 'shosei load' under which it is measured.")
    service_level: ServiceLevel = Field(
        default=ServiceLevel(), description="What one request must keep to count as goodput."
    )
    training: dict[str, Requirement] = Field(default={}, description="What training must keep.")
    inference: dict[str, Requirement] = Field(default={}, description="What inference must keep.")

    def requirements(self, phase: Phase) -> dict[str, Requirement]:
        """The requirements of one phase."""
        return self.training if phase == "training" else self.inference
