"""What an exam can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from shosei.config import Config
from shosei.errors import InputError

SANDBOXES = ("auto", "bubblewrap", "sandlock", "rlimits", "none")


class ExamConfig(Config):
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
    sandbox: str = Field(
        "auto",
        description="Isolation of programs: 'auto' (bubblewrap, else sandlock, whichever holds against the attacks of "
        "the self-test), either by name, 'rlimits' (limits on CPU, memory and system calls, but no wall: a hostile "
        "program can read and write this user's files), or 'none' (programs are asked for, but not run).",
    )
    cpu_s: Annotated[int, Field(ge=1)] = Field(5, description="CPU time of one program, in seconds.")
    wall_s: Annotated[float, Field(gt=0)] = Field(60.0, description="Wall time of one program, in seconds.")
    memory_bytes: Annotated[int, Field(ge=64 << 20)] = Field(512 << 20, description="Address space of one program.")

    @property
    def executes(self) -> bool:
        """Whether programs are run at all."""
        return self.sandbox != "none"

    @field_validator("sandbox")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SANDBOXES:
            raise InputError(f"sandbox '{value}' is not known: choose one of {', '.join(SANDBOXES)}", param="sandbox")
        return value
