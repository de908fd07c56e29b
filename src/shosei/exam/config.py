"""What an exam can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shosei.sandbox.config import SandboxConfig


class ExamConfig(SandboxConfig):
    """How tasks are asked, and how programs among the answers are run."""

    model: str = Field("", description="Name of the served model; empty: the first that the server lists.")
    concurrency: Annotated[int, Field(ge=1)] = Field(8, description="Requests in flight at most.")
    samples: Annotated[int, Field(ge=1)] = Field(1, description="Answers asked for each task.")
    prompting: Literal["chat", "completion"] = Field(
        "chat", description="Ask over /v1/chat/completions, or over /v1/completions with a text to go on with."
    )
    shots: Annotated[int, Field(ge=0)] = Field(0, description="Worked examples before each question.")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy.")
    max_tokens: Annotated[int, Field(ge=1)] = Field(1024, description="Caps what a task asks for, in tokens.")
    timeout_s: Annotated[float, Field(gt=0)] = Field(120.0, description="For one request, in seconds.")
