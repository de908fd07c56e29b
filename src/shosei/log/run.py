"""The run folder: the unit of work that every verb reads from and adds to."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shosei.errors import EXIT_INVALID, EXIT_OK, InputError, exit_code_of_error
from shosei.files import locked, write_atomic
from shosei.log.events import RunBegin, RunEnd
from shosei.log.hardware import hardware, versions
from shosei.log.log import Log
from shosei.log.reader import attempts, read_log
from shosei.log.writer import Writer
from shosei.wrong_path import RUN, newest_run, wrong_path

RUN_VARIABLE = "SHOSEI_RUN"
ATTEMPT_VARIABLE = "SHOSEI_ATTEMPT"

NewAttempt = bool | Callable[[Log], bool] | None  # known beforehand, told by the current attempt, or by the verb's name


@dataclass(slots=True)
class VerbRecord:
    """A verb's record while it runs: where to emit events, and what ``run.end`` will say."""

    writer: Writer
    exit_code: int = EXIT_OK
    hashes: dict[str, str] = field(default_factory=dict)  # what the verb made -> SHA-256


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
    def agent_tasks(self) -> Path:
        return self.folder / "agents" / "tasks.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @contextlib.contextmanager
    def recording(
        self, verb: str, phase: str = "", *, new_attempt: NewAttempt = None, rank: int = 0, **manifest: Any
    ) -> Iterator[VerbRecord]:
        """Keep a record of this verb for the length of the block: ``run.begin`` first, ``run.end`` last.

        ``manifest`` is RunBegin's fields. A verb joins the folder's current attempt, or the one in ``SHOSEI_ATTEMPT``;
        if the current attempt already has that verb it begins a new one. ``new_attempt`` decides that otherwise.
        ``rank`` is this process's among those that do the verb together, each of which keeps a record.
        """
        record = VerbRecord(self._begin(verb, phase, new_attempt, rank, manifest))
        try:
            yield record
        except BaseException as error:
            record.exit_code = exit_code_of_error(error)
            raise
        finally:
            writer = record.writer
            writer.flush()
            if writer.dropped and record.exit_code == EXIT_OK:
                record.exit_code = EXIT_INVALID  # what could not be recorded was not measured
            writer.emit(RunEnd(verb=verb, exit_code=record.exit_code, hashes=record.hashes, dropped=writer.dropped))
            writer.close()

    def _begin(self, verb: str, phase: str, new_attempt: NewAttempt, rank: int, manifest: dict[str, Any]) -> Writer:
        """Open this process's segment in the right attempt; chosen under a lock, so that no two starts share one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".lock"):
            given = os.environ.get(ATTEMPT_VARIABLE, "")
            if given and not (given.isdecimal() and int(given) >= 1):
                raise InputError(f"{ATTEMPT_VARIABLE}={given}: set it to the number of an attempt, from 1, or unset it")
            attempt = int(given) if given else self._attempt_for(verb, new_attempt)
            writer = Writer(self.log, self.name, attempt, phase, rank)
            manifest.setdefault("hardware", hardware())
            manifest.setdefault("versions", versions())
            manifest.setdefault("argv", sys.argv)
            writer.emit(RunBegin(verb=verb, **manifest))
        return writer

    @contextlib.contextmanager
    def alone(self, verb: str, beside: str = "") -> Iterator[None]:
        """Hold the folder for one ``verb`` for the length of the block; keep out ``beside``, which it would disturb.

        Raises InputError where one of the two has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self.folder / f".{beside or verb}.lock"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(lock, wait=False))
            except BlockingIOError:
                holder = lock.read_text() or beside or verb
                other = "another " if holder == verb else ""
                raise InputError(
                    f"{other}'shosei {holder}' is at work in {self.folder}: let it end, or name another folder"
                ) from None
            with contextlib.suppress(OSError):  # a full disk, which the work itself will tell of
                lock.write_text(verb)
            yield

    def write(self, name: str, data: bytes | str) -> Path:
        """Write a file of the run folder atomically; return its path. Two verbs may write the same: they take turns."""
        path = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".lock"):
            write_atomic(path, data)
        return path

    def _attempt_for(self, verb: str, new_attempt: NewAttempt) -> int:
        known = attempts(self.log) if self.log.is_dir() else []
        if not known:
            return 1
        if new_attempt is None:
            new_attempt = verb in {begin.verb for begin in read_log(self.log, known[-1]).of(RunBegin)}
        elif not isinstance(new_attempt, bool):
            new_attempt = new_attempt(read_log(self.log, known[-1]))
        return known[-1] + 1 if new_attempt else known[-1]


@contextlib.contextmanager
def recording_if_asked(verb: str, phase: str = "", **manifest: Any) -> Iterator[VerbRecord | None]:
    """``Run.recording`` in the run of ``SHOSEI_RUN``; None where that is not set."""
    if not os.environ.get(RUN_VARIABLE):
        yield None
        return
    with open_run(must_exist=False).recording(verb, phase, **manifest) as record:
        yield record


def open_run(folder: str | Path | None = None, *, must_exist: bool = True) -> Run:
    """The run at ``folder``, or at ``SHOSEI_RUN``. Raises InputError if it must exist and is not a run folder."""
    chosen = folder or os.environ.get(RUN_VARIABLE)
    if not chosen:
        raise InputError(f"no run folder: name one, such as {newest_run() or 'runs/NAME'}, or set {RUN_VARIABLE}")
    run = Run(Path(chosen))
    if run.folder == Path() and not run.log.is_dir():
        raise InputError(
            "an empty run folder name, or the current folder, which is not a run: name one, such as runs/NAME"
        )
    if must_exist and not RUN.is_at(run.folder):
        raise wrong_path(run.folder, RUN)
    if run.folder.exists() and not run.folder.is_dir():
        raise InputError(f"{run.folder} is a file; a run needs a folder of its own")
    return run
