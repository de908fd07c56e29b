"""The run folder: the unit of work that every verb reads from and adds to."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.files import locked, write_atomic
from shosei.log.events import RunBegin, RunEnd
from shosei.log.hardware import hardware, versions
from shosei.log.reader import attempts, read_log
from shosei.log.writer import Writer

RUN_VARIABLE = "SHOSEI_RUN"
ATTEMPT_VARIABLE = "SHOSEI_ATTEMPT"


@dataclass(frozen=True, slots=True)
class Run:
    """Paths of one run folder."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def toml(self) -> Path:
        return self.folder / "run.toml"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer"

    @property
    def suites(self) -> Path:
        return self.folder / "suites"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def begin(self, verb: str, phase: str = "", *, new_attempt: bool = False, **manifest: Any) -> Writer:
        """Open this process's segment and write ``run.begin`` with the verb's manifest (RunBegin's fields).

        A verb joins the folder's current attempt, or the one in ``SHOSEI_ATTEMPT``. If the current attempt already
        has that verb, this is a new start and begins a new attempt. The choice is made under a lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".lock"):
            given = os.environ.get(ATTEMPT_VARIABLE, "")
            if given and not given.isdigit():
                raise InputError(f"{ATTEMPT_VARIABLE}={given}: set it to the number of an attempt, or unset it")
            attempt = int(given) if given else self._attempt_for(verb, new_attempt)
            writer = Writer(self.log, self.name, attempt, phase)
            manifest.setdefault("hardware", hardware())
            manifest.setdefault("versions", versions())
            writer.emit(RunBegin(verb=verb, argv=sys.argv, **manifest))
        return writer

    def end(self, writer: Writer, verb: str, exit_code: int = 0, hashes: dict[str, str] | None = None) -> None:
        """Write ``run.end``, with the SHA-256 of what the verb made, and close the segment."""
        writer.emit(RunEnd(verb=verb, exit_code=exit_code, hashes=hashes or {}, dropped=writer.dropped))
        writer.close()

    def write(self, name: str, data: bytes | str) -> Path:
        """Write a file of the run folder atomically; return its path."""
        path = self.folder / name
        write_atomic(path, data)
        return path

    def _attempt_for(self, verb: str, new_attempt: bool) -> int:
        known = attempts(self.log) if self.log.is_dir() else []
        if not known:
            return 1
        if new_attempt:
            return known[-1] + 1
        verbs = {begin.verb for begin in read_log(self.log, known[-1]).of(RunBegin)}
        return known[-1] + 1 if verb in verbs else known[-1]


def open_run(folder: str | Path | None = None, *, must_exist: bool = True) -> Run:
    """The run at ``folder``, or at ``SHOSEI_RUN``. Raises InputError if it must exist and is no run folder."""
    chosen = folder or os.environ.get(RUN_VARIABLE)
    if not chosen:
        raise InputError(f"no run folder: give --run runs/NAME or set {RUN_VARIABLE}")
    run = Run(Path(chosen))
    if must_exist and not run.log.is_dir():
        raise InputError(
            f"{run.folder} is no run folder: it has no log/; 'shosei quickstart --out {run.folder}' makes one"
        )
    if run.folder.exists() and not run.folder.is_dir():
        raise InputError(f"{run.folder} is a file; a run needs a folder of its own")
    return run
