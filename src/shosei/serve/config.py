"""What a server can be told."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from shosei.spec.generation import WeightFormat
from shosei.wire.access_config import AccessConfig


class AccessLog(StrEnum):
    """The form of the access log."""

    NONE = "none"
    JSON = "json"


class ServeConfig(AccessConfig):
    """Table ``[serve]`` of the configuration: everything but the model, the run, and a key in plain text."""

    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    name: str = Field("", description="Name that clients call the model by; empty: its own.")

    slots: int = Field(16, ge=1, le=1024, description="Requests that are answered at the same time.")
    weights: WeightFormat = Field(
        WeightFormat.STORED,
        description="stored: in the type of the model's files; int4: matrices in 4 bits, the rest bf16.",
    )
    context: int = Field(0, ge=0, description="Most tokens of a prompt with its answer; 0: the model's context.")

    body_limit: int = Field(1 << 20, ge=1024, description="The largest body that a request may have, in bytes.")
    drain_s: float = Field(
        20.0, ge=0, description="Seconds that requests under way have to end when the server is to stop."
    )
    strict: bool = Field(
        False, description="Refuse a field that changes nothing here, instead of naming it in a header."
    )

    spare: bool = Field(
        True, description="Keep a second engine process that waits with torch loaded (240 MB) for a crash."
    )
    log: AccessLog = Field(
        AccessLog.NONE, description="json: a line for each request on standard error, without its words."
    )

    feedback_keys: Path | None = Field(
        None,
        description="File of keys that no request needs, one a line or as in api_keys; their holders may name the user "
        "who rates, others get a cookie.",
    )
    raters_by_address: bool = Field(
        False,
        description="Take an address for one rater, instead of a cookie: a house or an office with one address is "
        "then one.",
    )
    ratings_per_minute: int = Field(
        30, ge=1, le=100_000, description="Ratings that a rater may give in a minute; an address four times as many."
    )
    keep_rated_text: bool = Field(
        False,
        description="Write the question, the answer and the comment of each rated answer into the run's log, in plain "
        "text; without it only the rating and its tags. Tell your users.",
    )
