"""A whole load: the steady window and, where it is asked for, the search for the highest rate."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from shosei.load.config import LoadConfig
from shosei.load.prompts import prompts_of
from shosei.load.schedule import arrivals
from shosei.load.share import Share
from shosei.load.stage import Stage
from shosei.load.tally import Tally
from shosei.load.team import Team
from shosei.load.watch import ClientVerdict
from shosei.log import Writer
from shosei.wire.client import Client

if TYPE_CHECKING:
    from shosei.metrics.service_level import ServiceLevel


async def check(config: LoadConfig, url: str) -> LoadConfig:
    """Make sure that the load can begin, and return the configuration with the served model's name filled in.

    Raises InputError: prompts or a trace that cannot be read, a schedule with no request, no OpenAI-compatible server
    at ``url``, or no model in it. Call it before the run begins, so that a failed start leaves nothing in the log.
    """
    prompts_of(config)
    arrivals(config)
    async with Client(url, timeout_s=config.timeout_s, headers=config.headers) as client:
        return config.model_copy(update={"model": await client.model(config.model, "--model NAME")})


async def run_load(
    config: LoadConfig,
    url: str,
    writer: Writer,
    tally: Tally | None = None,
    service_level: ServiceLevel | None = None,
) -> Tally:
    """Offer the load, with a configuration from ``check``; return the counts, which ``tally`` shows while it runs.

    Every request becomes one ``request`` event with purpose ``load``, answered or not; what the limit of the drain
    leaves unanswered is a timeout. Cancelling keeps what was measured: requests under way are recorded as cancelled,
    those still to come not at all, and the windows are closed. The search for the highest rate, if the configuration
    asks for it, keeps to ``service_level``; its requests have purpose ``probe``.
    """
    tally = tally or Tally()
    await _offer(config, url, writer, tally, "load")
    if config.find_max:
        from shosei.load.search import find_max  # the metrics are slow to import

        tally.max_rate = await find_max(
            config, writer, service_level, lambda probe: _offer(probe, url, writer, tally, "probe")
        )
    return tally


async def _offer(config: LoadConfig, url: str, writer: Writer, tally: Tally, purpose: str) -> None:
    """Offer one stage of load, by this process or by workers, and write its windows."""
    tally.scheduled += len(arrivals(config))
    async with contextlib.AsyncExitStack() as stack:
        sender = (
            Share(config, url, writer, tally)
            if config.workers == 1
            else await stack.enter_async_context(Team(config, url, writer, tally))
        )
        stage = Stage.soon(config, purpose)

        def watched(verdict: ClientVerdict) -> None:
            tally.client = verdict.line
            stage.close_steady(writer, verdict)

        try:
            await sender.send(stage, watched)
        finally:
            stage.close_drain(writer)
