"""What a measurement of an agent system can be told. Alone in its file: help on the verb needs nothing else."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shosei.config import Config
from shosei.errors import InputError
from shosei.gateway import GatewayConfig

Count = Annotated[int, Field(ge=1)]


class AgentsConfig(Config):
    """How tasks are given to a system, and what each may spend."""

    model: str = Field("", description="Name of the served model; empty: the first that the server lists.")
    concurrency: Count = Field(1, description="Tasks under way at a time, where no rate is given.")
    rate: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Tasks submitted per second, as a Poisson process, whether or not earlier ones ended."
    )
    samples: Count = Field(1, description="How often each task is given.")
    seconds: Annotated[float, Field(gt=0)] = Field(120.0, description="A task's wall time; then it is ended.")
    calls: Count | None = Field(None, description="A task's calls to the model; one more ends it.")
    tokens: Count | None = Field(None, description="A task's tokens; the call after them ends it.")
    inject: list[str] = Field(
        [], description="Shares of calls to break on purpose: 429, 500, delay or cut, such as 429=0.1."
    )
    seed: int = Field(0, description="Of the arrivals, and of which calls are broken.")

    settings: Path | None = Field(
        None,
        description="Folder with the system's settings, a file NAME.txt each: prompts, numbers, tools' descriptions.",
    )

    record: Path | None = Field(None, description="Folder to write every answer of the model down in.")
    replay: Path | None = Field(None, description="Folder to read the model's answers from; nobody is asked.")
    keep_bodies: bool = Field(False, description="Keep questions and answers in the run folder, in plain text.")
    grade_with: str = Field(
        "", description="A command that judges each task: exit code 0 solved, 1 not solved, others no verdict."
    )
    grader_seconds: Annotated[float, Field(gt=0)] = Field(60.0, description="Wall time of one verdict.")
    grader_sandbox: Literal["none", "bubblewrap"] = Field(
        "none", description="Wall around the grader: no network, nothing written but in the task's folder."
    )
    keep_folders: bool = Field(False, description="Keep what each task leaves in its folder, in the run folder.")

    @model_validator(mode="after")
    def _grades(self) -> Self:
        """Raise InputError for settings of a grader that nobody named."""
        for name in ("grader_seconds", "grader_sandbox"):
            if not self.grade_with and getattr(self, name) != type(self).model_fields[name].default:
                raise InputError(f"{name} is of the command that judges tasks: name it with --grade-with", param=name)
        return self

    def gateway(self) -> GatewayConfig:
        """The gateway that counts and breaks as told. Raises InputError for unknown faults, or record with replay."""
        return GatewayConfig(
            port=0,
            calls=self.calls,
            tokens=self.tokens,
            inject=self.inject,
            seed=self.seed,
            record=self.record,
            replay=self.replay,
            keep_bodies=self.keep_bodies,
        )

    def setting_hashes(self) -> dict[str, str]:
        """SHA-256 of each of the system's settings. Raises InputError where there are none to be read."""
        if self.settings is None:
            return {}
        files = sorted(self.settings.glob("*.txt"))
        if not files:
            raise InputError(f"--settings {self.settings}: this folder has no settings, which are files NAME.txt")
        return {f"settings/{file.stem}": sha256(file.read_bytes()).hexdigest() for file in files}

    def of_baseline(self, tokens: int | None) -> AgentsConfig:
        """The same for a baseline that may spend ``tokens`` a task; its recording lies in the system's.

        It has settings of its own: its defaults.
        """
        record, replay = (folder and folder / "baseline" for folder in (self.record, self.replay))
        return self.model_copy(
            update={"calls": None, "tokens": tokens, "record": record, "replay": replay, "settings": None}
        )
