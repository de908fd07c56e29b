"""Other people's engines, each in a process of its own that computes only when it is asked."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shosei.load.speed import NotMeasured
from shosei.wire.timed_stream import TimedStream

HERE = Path(__file__).parent
_NOT_THEIRS = ("PYTHONPATH", "SHOSEI_RUN")


class Peer:
    """A child that answers line by line; what ``shosei.load.speed`` measures. ``context``: tokens that fit a stream."""

    def __init__(self, name: str, process: subprocess.Popen[str], rows: int, context: int) -> None:
        self.context: int | None = context
        self._name, self._process, self._rows = name, process, rows
        self._random = random.Random(1)

    def answers(self, streams: int, prompt_tokens: int, new_tokens: int) -> Sequence[TimedStream]:
        """As ``TimedAnswers`` has it. Raises NotMeasured where the child has ended."""
        prompts = [self._random.choices(range(self._rows), k=prompt_tokens) for _ in range(streams)]
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"prompts": prompts, "new": new_tokens}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise NotMeasured(f"{self._name} ended with exit code {self._process.wait()}")
        answer = json.loads(line)
        return [TimedStream(answer["sent"], prompt_tokens, new_tokens, answer["times"]) for _ in prompts]


@contextmanager
def started(name: str, command: Sequence[str], rows: int, context: int) -> Iterator[Peer]:
    """The child for the length of the block."""
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_THEIRS}
    environment |= {"HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as process:
        try:
            yield Peer(name, process, rows, context)
        finally:
            process.terminate()
