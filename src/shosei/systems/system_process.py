"""The process of an agent system: loads it once and runs each task in a process of its own, so that a task fails alone.

``python -m shosei.systems.system_process [--socket PATH] [--output FILE] MODULE:FUNCTION`` (or ``--command -- CMD…``)
connects to a Unix socket and talks in lines of JSON. It is told ``{"name", "task", "environment", "answer_file"}`` to
begin a task, or ``{"kill": NAME}`` to end one; of each that ended it says ``{"name", "code", "answer"}``, or
``{"name", "code", "error", "message"}``. It ends with the connection. Without a socket it only sees whether the system
can be loaded (exit code 2 if not).
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from shosei.errors import EXIT_INPUT, InputError
from shosei.lineage import adopt_orphans, end_adopted
from shosei.systems.job import Job
from shosei.systems.stream import Stream
from shosei.wire.system import SystemFunction

_CHUNK_BYTES = 1 << 16


class SystemProcess:
    """Tasks of ``system`` as ``connection`` asks for them; what they print is appended to ``output``."""

    def __init__(self, system: SystemFunction | Sequence[str], connection: socket.socket, output: Path) -> None:
        self._system, self._connection, self._output = system, connection, output
        self._jobs: dict[str, Job] = {}
        self._received = b""
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve to the end of the connection; then end what still runs."""
        wake, woken = os.pipe()
        for end in (wake, woken):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ)
        self._selector.register(self._connection, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._connection:
                    if not self._receive():
                        return self._end()
                elif key.data is None:
                    os.read(wake, _CHUNK_BYTES)
                else:
                    self._read(*key.data)
            self._collect()

    def _receive(self) -> bool:
        """Do what the other side asks for; whether it is still there."""
        data = self._connection.recv(_CHUNK_BYTES)
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "kill" in order:
                if job := self._jobs.get(order["kill"]):
                    job.kill()
            else:
                self._begin(order)
        return bool(data)

    def _begin(self, order: dict[str, Any]) -> None:
        try:
            job = Job(order["name"], self._system, order["task"], order["environment"], Path(order["answer_file"]))
        except OSError as error:  # no process to be had, no such command
            self._tell({"name": order["name"], "error": "crashed", "message": str(error)})
            return
        self._jobs[job.name] = job
        for stream in (job.answer, job.printed):
            self._selector.register(stream.end, selectors.EVENT_READ, (job, stream))

    def _read(self, job: Job, stream: Stream) -> None:
        if not stream.read():
            self._selector.unregister(stream.end)
        if job.floods:
            job.kill()

    def _collect(self) -> None:
        """Report the jobs that have ended. Nothing that one has started outlives it, not even in a session of its own.

        Each job adopts its orphans while it lives. So whoever is our child and no job was left by one that has ended.
        """
        for job in list(self._jobs.values()):
            if not os.waitid(os.P_PID, job.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                continue
            job.kill()  # what it left behind; not yet collected, its id cannot come to name another group
            _, status = os.waitpid(job.pid, 0)
            del self._jobs[job.name]
            end_adopted({each.pid for each in self._jobs.values()})
            for stream in (job.answer, job.printed):
                if stream.end in self._selector.get_map():
                    self._selector.unregister(stream.end)
            code = os.waitstatus_to_exitcode(status)
            outcome = job.outcome(code)
            self._keep(job)
            self._tell({"name": job.name, "code": code, **outcome})

    def _keep(self, job: Job) -> None:
        if log := job.log():
            with self._output.open("ab") as file:
                file.write(f"== {job.name}\n".encode() + log.rstrip(b"\n") + b"\n")

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def _end(self) -> None:
        for job in self._jobs.values():
            job.kill()
        end_adopted(set())


def load(location: str) -> SystemFunction:
    """The function at ``module:function``. Raises InputError with the reason why there is none."""
    module, colon, name = location.partition(":")
    if not (module and colon and name):
        raise InputError(f"'{location}' names no system: write it as module:function")
    try:
        system = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise InputError(f"cannot load {location}: {type(error).__name__}: {error}") from None
    if not callable(system):
        raise InputError(f"cannot load {location}: not a function")
    return cast(SystemFunction, system)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="shosei.systems.system_process")
    parser.add_argument("--socket")
    parser.add_argument("--output", type=Path, default=Path("/dev/stderr"))
    parser.add_argument("--command", action="store_true", help="SYSTEM is a command, not a function")
    parser.add_argument("system", nargs="+")
    options = parser.parse_args()
    try:
        system = options.system if options.command else load(options.system[0])
    except InputError as error:
        print(f"shosei: {error}", file=sys.stderr)
        return EXIT_INPUT
    if options.socket:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # it ends without a word, as its supervisor wants it
        adopt_orphans()
        gc.freeze()  # what is loaded by now is shared with every task's process
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(options.socket)
            SystemProcess(system, connection, options.output).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
