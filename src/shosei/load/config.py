"""What a load can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shosei.errors import InputError
from shosei.wire.extras import Extras

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class LoadConfig(Extras):
    """How many requests are offered, when, and what they ask."""

    rate: Positive = Field(8.0, description="Requests offered per second, on average; where a ramp begins.")
    arrival: Literal["poisson", "constant", "ramp", "trace", "closed"] = Field(
        "poisson",
        description="When requests are due: independent arrivals; evenly; at a rate that rises or falls through the "
        "steady window; as a trace says. Closed: each place asks again once it was answered.",
    )
    rate_to: Positive | None = Field(None, description="Where a ramp ends, in requests per second.")
    trace: Path | None = Field(
        None, description="Arrivals, one a line: seconds, or JSON with 'at' in seconds. The earliest is the beginning."
    )
    seconds: Positive = Field(30.0, description="Length of the steady window, the one that is measured.")
    warmup_s: Annotated[float, Field(ge=0)] = Field(3.0, description="Load before the steady window, in seconds.")
    drain_s: Positive = Field(30.0, description="Limit of the wait for answers after the steady window, in seconds.")
    timeout_s: Positive = Field(120.0, description="For one request, in seconds.")
    seed: int = Field(
        0, ge=0, lt=1 << 63, description="Of the schedule, of the order of the prompts, and of generated ones."
    )
    model: str = Field("", description="Name of the served model; empty: the first that the server lists.")
    suite: Path | None = Field(
        None,
        description="Prompts: JSON Lines with 'messages' (suites have them), or a folder of them. None: the run's.",
    )
    prompt_characters: Count | None = Field(
        None, description="Generate prompts of this length instead, in Chinese and Japanese."
    )
    continue_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Share of requests that go on with a conversation, its answer included, where one is at hand."
    )
    max_turns: Annotated[int, Field(ge=2)] = Field(4, description="Questions in a conversation at most.")
    max_tokens: Count = Field(64, description="Longest answer asked for, in tokens.")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy.")
    stream: bool = Field(True, description="Ask for streamed answers, so that the first token has a time.")
    usage: bool = Field(True, description="Ask streams for their counts of tokens; off for a server that refuses it.")
    concurrency: Count | None = Field(
        None,
        description="Requests in flight at most; the wait for a free place counts into latency. None: no limit. "
        "Closed arrival, which is what it means without a rate: the number of places.",
    )
    workers: Count = Field(1, description="Processes that share the load, each with its own log segment.")
    find_max: bool = Field(False, description="Afterwards search for the highest rate that keeps the limits.")
    probe_s: Positive = Field(5.0, description="Length of one probe of that search, in seconds; 60 requests at least.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Raise InputError where two settings contradict each other."""
        for key, arrival in (("rate_to", "ramp"), ("trace", "trace")):
            if (getattr(self, key) is not None) != (self.arrival == arrival):
                raise InputError(f"load.{key} and load.arrival = '{arrival}' need each other")
        if self.arrival == "closed" and self.concurrency is None:
            raise InputError("load.arrival = 'closed' needs load.concurrency: the number of places")
        if self.concurrency is not None and self.concurrency < self.workers:
            raise InputError(f"load.concurrency {self.concurrency} is less than load.workers: each needs a place")
        if self.suite is not None and self.prompt_characters is not None:
            raise InputError("load.suite or load.prompt_characters: prompts are read or generated, not both")
        if self.find_max and self.arrival not in ("poisson", "constant"):
            raise InputError(f"load.find_max offers rates: it needs arrival poisson or constant, not {self.arrival}")
        return self
