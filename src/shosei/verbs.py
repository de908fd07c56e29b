"""Public verbs in processes of their own, each told before it runs: what quickstart, alternate and tune are made of."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from shosei.errors import EXIT_OK, InputError, nearest

if TYPE_CHECKING:
    from shosei.config import Config

_STOP_S = 30.0


class VerbFailed(Exception):
    """A verb ended badly. ``code`` is the exit code that its ``status`` makes ours.

    A status is negative after a signal.
    """

    def __init__(self, command: str, status: int) -> None:
        super().__init__(command)
        self.command, self.code = command, status if status >= 0 else 128 - status


class NotReady(VerbFailed):
    """Its server did not answer within so many ``seconds``."""

    def __init__(self, command: str, seconds: float) -> None:
        super().__init__(f"{command} (not ready after {seconds:g} s)", 1)
        self.seconds = seconds


class Verbs:
    """Runs verbs that record into one attempt of a run, and that end with this process.

    ``environment`` is theirs beside this process's own. What they print, with their command lines, goes to the file
    ``output``, or to standard error: standard output is for the result of the verb that runs them. ``recordable`` takes
    out of a command line what may be a secret.
    """

    def __init__(
        self,
        attempt: int,
        environment: Mapping[str, str] = MappingProxyType({}),
        output: Path | None = None,
        recordable: Callable[[Sequence[str]], Sequence[str]] = tuple,
    ) -> None:
        from shosei.lineage import PARENT_VARIABLE
        from shosei.log.run import ATTEMPT_VARIABLE

        own = {PARENT_VARIABLE: str(os.getpid()), ATTEMPT_VARIABLE: str(attempt)}
        self._environment = {**os.environ, **environment, **own}
        self._output, self._recordable = output, recordable

    def run(self, name: str, *arguments: str, fine: Collection[int] = (EXIT_OK,)) -> float:
        """Run a verb to its end; return the seconds it took. Raises VerbFailed unless its exit code is ``fine``."""
        start = time.monotonic()
        self._announce(name, arguments)
        with self._started(arguments) as process:
            if (status := process.wait()) not in fine:
                raise VerbFailed(printed(*arguments), status)
        return time.monotonic() - start

    @contextmanager
    def serving(self, url: str, ready_s: float, *arguments: str) -> Iterator[float]:
        """A verb whose server answers at ``url`` for the length of the block; yields the seconds until it did."""
        from shosei.wire.endpoint import is_ready

        start = time.monotonic()
        self._announce("serve", arguments)
        with self._started(arguments) as server:
            while not is_ready(url):
                if server.poll() is not None:
                    raise VerbFailed(printed(*arguments), server.returncode or 1)
                if time.monotonic() - start > ready_s:
                    raise NotReady(printed(*arguments), ready_s)
                time.sleep(0.1)
            yield time.monotonic() - start

    def serving_command(
        self, url: str, ready_s: float, words: Sequence[str], run: str, *supervise: str
    ) -> AbstractContextManager[float]:
        """The same for any server's command, under the meters of ``run``; ``supervise``: options of that verb."""
        if is_ours(words):  # it supervises itself
            return self.serving(url, ready_s, *words[1:], "--run", run)
        metered = ("supervise", "--run", run, "--phase", "inference", "--name", "server", *supervise, "--")
        return self.serving(url, ready_s, *metered, *words)

    @contextmanager
    def _started(self, arguments: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        """A verb in a process of its own. If it still runs at the end of the block, it is told to stop."""
        with self._opened() as output:
            errors = output if self._output else None
            process = subprocess.Popen(command(*arguments), env=self._environment, stdout=output, stderr=errors)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _announce(self, name: str, arguments: tuple[str, ...]) -> None:
        with self._opened() as output:
            print(
                f"\n── {name} " + "─" * (70 - len(name)) + f"\n$ {printed(*self._recordable(arguments))}",
                file=output,
                flush=True,
            )

    def _opened(self) -> AbstractContextManager[TextIO | None]:
        return open(self._output, "a") if self._output else nullcontext(sys.__stderr__)


def is_ours(words: Sequence[str]) -> bool:
    """Whether the words of a command start a server of ours."""
    return list(words[:2]) == ["shosei", "serve"]


def by_step(overrides: Iterable[str], kinds: Mapping[str, type[Config]]) -> dict[str, list[str]]:
    """``--set`` options, by the step that reads their section. Raises InputError for one that no step would take."""
    from shosei.config import load

    steps: dict[str, list[str]] = {section: [] for section in kinds}
    for override in overrides:
        section = override.partition(".")[0]
        if section not in steps:
            raise InputError(f"--set {override}: no step reads section '{section}'{nearest(section, steps)}")
        load(kinds[section], section, overrides=[override])  # wrong: better now than after the steps before
        steps[section] += ["--set", override]
    return steps


def code_of(steps: Callable[[], object]) -> int:
    """Take ``steps``; name the one that failed. Return its exit code, or 0."""
    try:
        steps()
    except VerbFailed as failure:
        print(f"\nshosei: a step ended with exit code {failure.code}: {failure.command}", file=sys.stderr, flush=True)
        return failure.code
    return 0


def command(*arguments: str) -> list[str]:
    """A verb's command line as this program was called; else by its module."""
    program = [sys.argv[0]] if Path(sys.argv[0]).name == "shosei" else [sys.executable, "-m", "shosei"]
    return [*program, *arguments]


def printed(*arguments: str) -> str:
    """The command line of a verb, quoted for a shell in which the environment is active."""
    return shlex.join(command(*arguments)).replace(shlex.join(command()), "shosei")


def activation() -> str:
    """The command that makes ``shosei`` be found, where it is not."""
    activate = Path(sys.prefix, "bin", "activate")
    if shutil.which("shosei") or not activate.exists():
        return ""
    near = activate.is_relative_to(Path.cwd())
    return shlex.join([".", str(activate.relative_to(Path.cwd()) if near else activate)])
