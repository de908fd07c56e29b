"""An engine process of its own, as ``shosei serve`` starts it, that is timed over its socket."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shosei.verbs import VerbFailed, command, printed

if TYPE_CHECKING:
    from shosei.engine.timed_client import EngineStream, TimedClient

_READY_S = 600.0
_STOP_S = 30.0


class TimedEngine:
    """What ``load.speed`` measures, with prompts of random tokens. ``pid``: of the engine's process."""

    def __init__(self, client: TimedClient, pid: int) -> None:
        self.client, self.pid = client, pid
        self.context: int | None = client.hello.context_length
        self._random = random.Random(0)

    def prompts(self, count: int, tokens: int) -> list[list[int]]:
        """So many prompts, each unlike all before."""
        rows = range(self.client.hello.vocab_size)
        return [self._random.choices(rows, k=tokens) for _ in range(count)]

    def answers(self, streams: int, prompt_tokens: int, new_tokens: int) -> Sequence[EngineStream]:
        """As ``load.speed.TimedAnswers`` has it. Raises NotMeasured."""
        from shosei.engine.client import GenerationFailed
        from shosei.load.speed import NotMeasured

        try:
            return self.client.answers(self.prompts(streams, prompt_tokens), new_tokens)
        except GenerationFailed as failure:
            raise NotMeasured(str(failure)) from None


@contextmanager
def engine_of(model: Path, *options: str) -> Iterator[TimedEngine]:
    """The engine of a model folder, with these options of ``shosei engine``, for the length of the block.

    It records nothing. Raises VerbFailed where it ends: it has said why.
    """
    from shosei.engine.client import EngineLost
    from shosei.engine.timed_client import TimedClient
    from shosei.lineage import PARENT_VARIABLE
    from shosei.log.run import RUN_VARIABLE
    from shosei.serve.config import private_folder

    environment = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    with private_folder() as private:
        words = ["engine", "--model", str(model), "--socket", str(private / "engine.sock"), *options]
        process = subprocess.Popen(
            command(*words), env=environment | {PARENT_VARIABLE: str(os.getpid())}, stdout=sys.__stderr__
        )
        try:
            with TimedClient.connect(private / "engine.sock", lambda: process.poll() is None, _READY_S) as client:
                yield TimedEngine(client, process.pid)
        except EngineLost:
            raise VerbFailed(printed(*words), process.wait(_STOP_S) or 1) from None
        finally:
            process.terminate()
            process.wait(_STOP_S)
