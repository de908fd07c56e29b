"""Other people's engines, each in a process of its own that computes only when it is asked."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from shosei.load.speed import NotMeasured
from shosei.wire.timed_stream import TimedStream

HERE = Path(__file__).parent
_NOT_THEIRS = ("PYTHONPATH", "SHOSEI_RUN")


class Peer:
    """A child that answers line by line; what ``shosei.load.speed`` measures. ``context``: tokens that fit a stream."""

    def __init__(self, name: str, process: subprocess.Popen[str], errors: IO[str], rows: int, context: int) -> None:
        self.context: int | None = context
        self._name, self._process, self._errors, self._rows = name, process, errors, rows
        self._random = random.Random(1)

    def answers(self, streams: int, prompt_tokens: int, new_tokens: int) -> Sequence[TimedStream]:
        """As ``TimedAnswers`` has it. Raises NotMeasured where the child has ended."""
        prompts = [self._random.choices(range(self._rows), k=prompt_tokens) for _ in range(streams)]
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            print(json.dumps({"prompts": prompts, "new": new_tokens}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise NotMeasured(f"{self._name} ended with exit code {self._process.wait()}: {last_words(self._errors)}")
        answer = json.loads(line)
        return [TimedStream(answer["sent"], prompt_tokens, new_tokens, answer["times"]) for _ in prompts]


@contextmanager
def started(name: str, command: Sequence[str], rows: int, context: int) -> Iterator[Peer]:
    """The child for the length of the block."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=foreign(), text=True
        )
        try:
            yield Peer(name, process, errors, rows, context)
        finally:
            process.terminate()
            process.wait()


def foreign() -> dict[str, str]:
    """The environment of what is not ours."""
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_THEIRS}
    return environment | {"HF_HUB_OFFLINE": "1"}


def last_words(errors: IO[str]) -> str:
    """The last line of what a process has said on its standard error."""
    errors.seek(0)
    return (errors.read().strip().splitlines() or ["without a word"])[-1]
