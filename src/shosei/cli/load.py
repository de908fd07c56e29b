"""``shosei load``: offer an endpoint an open-loop load, and record every request."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from shosei.cli.common import JsonOption, ProfileOption, RunOption, fast_loop, result, run_async
from shosei.errors import EXIT_INVALID, EXIT_OK
from shosei.progress import Progress, progress

if TYPE_CHECKING:
    from shosei.cli.options import Given
    from shosei.load import LoadConfig, Tally
    from shosei.profile.profile import Profile

T = TypeVar("T")

_BETWEEN_NOTES_S = 2.0


def load(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="An OpenAI-compatible server, such as http://127.0.0.1:8000")],
    run: RunOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Send requests on a schedule, whether or not earlier ones came back; latency runs from the schedule.

    A profile's load stands where nothing else is said. Exit code 5 if not one request was answered.
    """
    from shosei.config import save
    from shosei.load import Tally, check, run_load
    from shosei.load.prompts import digest, prompts_of
    from shosei.log import open_run
    from shosei.profile.profile import read_profile

    folder = open_run(run, must_exist=False)
    chosen = read_profile(profile) if profile else None
    settings = _settings(context.obj, chosen)
    if settings.suite is None and settings.prompt_characters is None and folder.suites.is_dir():
        settings = settings.model_copy(update={"suite": folder.suites})
    settings = run_async(check(settings, url))
    tally = Tally()
    with folder.recording(
        "load",
        "inference",
        argv=settings.recordable_words(sys.argv),
        config=settings.recordable().model_dump(mode="json"),
        seeds={"load": settings.seed},
        hashes={"prompts": digest(prompts_of(settings))},
        arrival=settings.arrival,
        profile=chosen.name if chosen else "",
    ) as record:
        save(folder.toml, "load", settings.recordable())
        work = run_load(settings, url, record.writer, tally, chosen.service_level if chosen else None)
        try:
            run_async(_with_progress(work, tally), fast_loop())
        finally:
            tally.dropped += record.writer.dropped
            _report(folder.folder, record.writer.attempt, tally, as_json)
        record.exit_code = EXIT_OK if tally.answered and not tally.dropped else EXIT_INVALID
    return record.exit_code


def load_worker() -> int:
    """Take a share of a load, as another process orders over standard input."""
    from shosei.load.team import work

    return EXIT_INVALID if run_async(work(), fast_loop()) else EXIT_OK


def _settings(given: Given, profile: Profile | None) -> LoadConfig:
    """The load's settings. Places without a rate, from wherever one may come, are a closed loop."""
    from shosei.load import LoadConfig

    defaults = profile.load_settings() if profile else None
    implied = "trace" if "trace" in given.flags else "ramp" if "rate_to" in given.flags else None
    settings = given.load(LoadConfig, defaults, **({"arrival": implied} if implied else {}))
    if settings.concurrency and not settings.model_fields_set & {"rate", "arrival"}:
        return given.load(LoadConfig, defaults, arrival="closed")
    return settings


def _report(folder: Path, attempt: int, tally: Tally, as_json: bool) -> None:
    from shosei.wire.refusal import settings_wanted

    lines = [f"load: {tally.line()}"]
    lines += [f"  {count} x {error}" for error, count in tally.errors.most_common()]
    remedy = settings_wanted(tally.first_error, "load")
    lines += [f"  the first said: {tally.first_error}{remedy}"] if tally.first_error else []
    if tally.dropped:
        lines.append(f"{tally.dropped:,} events could not be written (see above), so the card lacks them")
    lines += [tally.client] if tally.client else []
    lines += [f"highest rate that was kept: {tally.max_rate:g} requests/s"] if tally.max_rate else []
    lines.append(f"a read-out of the whole run, warm-up included; the measurement is the card: shosei card {folder}")
    values = {
        "run": str(folder),
        "attempt": attempt,
        "sent": tally.sent,
        "answered": tally.answered,
        "failed": dict(tally.errors),
        "latency_ms": tally.percentiles_ms(),
        "client": tally.client,
        "dropped": tally.dropped,
        "max_rate": tally.max_rate,
    }
    result(values, lines, as_json=as_json)


async def _with_progress(work: Coroutine[Any, Any, T], tally: Tally) -> T:
    """Do ``work`` and show the tally."""
    import asyncio

    async def note(shown: Progress) -> None:
        while True:
            await asyncio.sleep(_BETWEEN_NOTES_S)
            shown.note = tally.line()

    with progress("load") as shown:
        noting = asyncio.create_task(note(shown))
        try:
            return await work
        finally:
            noting.cancel()
