"""What an exam can be told. Alone in its file: help on the verb needs nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shosei.sandbox.config import SandboxConfig
from shosei.wire.extras import Extras


class AskingConfig(Extras):
    """How requests are sent, and sent again, that do not depend on each other."""

    concurrency: Annotated[int, Field(ge=1)] = Field(8, description="Requests in flight at most.")
    timeout_s: Annotated[float, Field(gt=0)] = Field(120.0, description="For one request, in seconds.")
    retries: Annotated[int, Field(ge=0)] = Field(
        3, description="How often a request is sent again that met no server, 429 or 5xx; the first try is what counts."
    )
    retry_wait_s: Annotated[float, Field(ge=0)] = Field(
        1.0, description="Before the first of them; twice that before the next, unless the server says when."
    )


class ExamConfig(SandboxConfig, AskingConfig):
    """How tasks are asked, and how programs among the answers are run."""

    model: str = Field("", description="Name of the served model; empty: the first that the server lists.")
    limit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Tasks of each suite at most, drawn by the seed; none: all of them."
    )
    seed: int = Field(0, description="Of the tasks that are drawn.")
    samples: Annotated[int, Field(ge=1)] = Field(1, description="Answers asked for each task.")
    prompting: Literal["chat", "completion"] = Field(
        "chat", description="Ask over /v1/chat/completions, or over /v1/completions with a text to go on with."
    )
    shots: Annotated[int, Field(ge=0)] = Field(0, description="Worked examples before each question.")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy.")
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Tokens of an answer at most, not what each task asks for; models that think need more.",
    )
