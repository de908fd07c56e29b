"""What a judging can be told. Alone in its file: help on the verb needs nothing else."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shosei.exam.config import AskingConfig, ExamConfig


class JudgeConfig(AskingConfig):
    """How a judge is asked."""

    model: str = Field("", description="Name of the judge; empty: the first model that its server lists.")
    votes: Annotated[int, Field(ge=1)] = Field(
        1, description="Verdicts asked of each answer, each with a seed of its own; what most of them say counts."
    )
    seed: int = Field(0, description="Of an answer's first vote; the next has the next number.")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy.")
    max_tokens: Annotated[int, Field(ge=1)] = Field(
        1024, description="Tokens of what a judge says at most; models that think need more."
    )

    def of_vote(self, vote: int) -> ExamConfig:
        """How the requests of a vote are sent."""
        shared = self.model_dump(exclude={"votes", "seed", "extra_body"})
        return ExamConfig.model_validate({**shared, "extra_body": {**self.extra_body, "seed": self.seed + vote}})

    @property
    def decoding(self) -> dict[str, object]:
        """What decides on a verdict beside the judge, its rubric and the answer."""
        return self.model_dump(include={"seed", "temperature", "max_tokens", "extra_body"})
