"""What a load can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from shosei.config import Config

Positive = Annotated[float, Field(gt=0)]


class LoadConfig(Config):
    """How many requests are offered, when, and what they ask."""

    rate: Positive = Field(8.0, description="Requests offered per second, on average.")
    arrival: Literal["poisson"] = Field("poisson", description="Arrival process: independent arrivals, open loop.")
    seconds: Positive = Field(30.0, description="Length of the steady window, the one that is measured.")
    warmup_s: Annotated[float, Field(ge=0)] = Field(3.0, description="Load before the steady window, in seconds.")
    drain_s: Positive = Field(30.0, description="Limit of the wait for answers after the steady window, in seconds.")
    timeout_s: Positive = Field(120.0, description="For one request, in seconds.")
    seed: int = Field(0, ge=0, description="Of the schedule and of the order of the prompts.")
    model: str = Field("", description="Name of the served model; empty: the first that the server lists.")
    suite: Path | None = Field(
        None, description="Prompts: JSON Lines with 'messages' (suites have them), or a folder of such files."
    )
    max_tokens: Annotated[int, Field(ge=1)] = Field(64, description="Longest answer asked for, in tokens.")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy.")
    stream: bool = Field(True, description="Ask for streamed answers, so that the first token has a time.")
    concurrency: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Requests in flight at most; the wait for a free place counts into latency. None: no limit."
    )
