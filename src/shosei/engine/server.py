"""The engine process: one model, one socket, any number of clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket as sockets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec
import torch

from shosei.checksums import remembered_sha256
from shosei.cores import usable_cores
from shosei.engine import loading
from shosei.engine.engine import Engine, Event, answer_greedily
from shosei.engine.grammar import Grammars
from shosei.engine.protocol import ClientMessage, Failed, FrameDecoder, Hello, ProtocolError, Submit, frame, is_last
from shosei.errors import InputError
from shosei.log.run import RUN_VARIABLE, recording_if_asked
from shosei.log.training_events import Section
from shosei.memory import give_back_free_memory
from shosei.model import folder
from shosei.model.device import choose, free_memory
from shosei.model.linear import bound_products
from shosei.model.transformer import Transformer
from shosei.progress import progress
from shosei.spec import ModelSpec, preset
from shosei.spec.generation import BLOCK_TOKENS, WeightFormat, cache_blocks, slot_context

_READ_BYTES = 1 << 16
# Linux allows a Unix socket's path 108 bytes, the closing zero included; macOS 104.
_MAX_SOCKET_PATH_BYTES = 103
# Below this many matmul parameters a second thread costs more in waiting than it brings.
_ONE_THREAD_PARAMETERS = 20_000_000


def serve_engine(
    model_folder: Path,
    socket: Path,
    slots: int,
    weights: WeightFormat = WeightFormat.STORED,
    context: int = 0,
    prefix_reuse: bool = True,
    speculate: bool = True,
    native: bool = True,
) -> None:
    """Load the model, listen on ``socket``, answer until SIGTERM, SIGINT or SIGHUP; then remove the socket and return.

    Each of ``slots`` may take ``context`` tokens, prompt and answer together; all of the model, if that is 0.
    The cache has room for all of them, or for as many as the memory holds. C functions compute where they can, unless
    ``native`` is false. The rest is as ``Engine`` has it.
    Writes ``run.begin``, the section ``load`` and ``run.end`` to the run in ``SHOSEI_RUN``, if that is set. Raises
    InputError: unusable model folder, more than the memory holds, a socket path that is too long or in use.
    """
    _claim(socket)
    begin_ns = time.monotonic_ns()
    bound_products(slots)
    spec = folder.read_spec(model_folder)
    context = slot_context(spec, context)
    device = choose()
    if "OMP_NUM_THREADS" not in os.environ:  # torch takes all cores it sees, whatever time a container gives it
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
    stored_bytes = folder.stored_type(model_folder).itemsize
    blocks = cache_blocks(spec, slots, context, weights, free_memory(device), stored_bytes)
    loaded = loading.load(model_folder, weights, device, native)
    model, spec = loaded.model, loaded.spec
    if spec.matmul_params < _ONE_THREAD_PARAMETERS:
        torch.set_num_threads(1)
    with progress("first step"):  # which is slow: let no client wait for it
        answer_greedily(model, spec, [[0]], [2], [])
    give_back_free_memory()  # what packing took beside the weights
    manifest = {
        "config": {
            "slots": slots,
            "threads": torch.get_num_threads(),
            "weights": weights,
            "context": context,
            "cache_tokens": blocks * BLOCK_TOKENS,
            "prefix_reuse": prefix_reuse,
            "speculate": speculate,
            "device": str(device),
            "kernels": loaded.kernels,
        },
        "model": asdict(spec) | {"params": spec.params, "embedding_params": spec.embedding_params},
        "hashes": {folder.WEIGHTS: remembered_sha256(*folder.weight_files(model_folder))}
        if os.environ.get(RUN_VARIABLE)
        else {},
    }
    with recording_if_asked("engine", "inference", **manifest) as record:
        if record:
            record.writer.emit(Section(name="load", begin_ns=begin_ns, end_ns=time.monotonic_ns()))
        grammars = Grammars(model_folder, spec.vocab_size)
        engine = Engine(model, spec, slots, context, grammars, blocks=blocks, reuse=prefix_reuse, speculate=speculate)
        asyncio.run(_EngineServer(engine, spec).serve(socket))


def rehearse() -> None:
    """Have torch import, in a spare, what it imports only as the first model is loaded and steps."""
    spec = replace(preset("nano"), vocab_size=8, d_model=16, intermediate_size=16, n_layers=1)
    with torch.device("meta"):
        Transformer(spec)
    answer_greedily(Transformer(spec).eval(), spec, [[0]], [2], [])


@dataclass(eq=False)
class _Connection:
    writer: asyncio.StreamWriter
    numbers: dict[int, int] = field(default_factory=dict)  # the client's id of a request -> the engine's


class _EngineServer:
    """Between the sockets and the engine. Steps run in a thread, so the sockets are served meanwhile; grammars are
    compiled in another, so that no step waits for one."""

    def __init__(self, engine: Engine, spec: ModelSpec) -> None:
        self._engine = engine
        self._hello = Hello(spec.name, spec.vocab_size, engine.max_length, engine.slots, engine.cache_tokens)
        self._numbers = itertools.count()
        self._owners: dict[int, tuple[_Connection, int]] = {}  # the engine's id -> whose it is, and the client's id
        self._work = asyncio.Event()
        self._compiling = ThreadPoolExecutor(1, "grammars")

    async def serve(self, path: Path) -> None:
        stepping = asyncio.create_task(self._step_forever())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, stepping.cancel)
        server = await asyncio.start_unix_server(self._talk, path)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await stepping
        finally:
            server.close()
            path.unlink(missing_ok=True)
            self._compiling.shutdown(wait=False, cancel_futures=True)

    async def _step_forever(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "engine") as thread:
            while True:
                await self._work.wait()
                self._work.clear()
                while self._engine.busy:
                    self._deliver(await loop.run_in_executor(thread, self._engine.step))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its greeting until it hangs up or breaks the protocol; its requests end with it."""
        connection = _Connection(writer)
        decoder = FrameDecoder[ClientMessage](ClientMessage)
        try:
            writer.write(frame(self._hello))
            while data := await reader.read(_READ_BYTES):
                for message in decoder.feed(data):
                    self._take(connection, message)
        except (ProtocolError, OSError, asyncio.CancelledError):
            pass  # cancelled: the process is ending
        finally:
            for number in connection.numbers.values():
                self._cancel(number)
            writer.close()

    def _take(self, connection: _Connection, message: ClientMessage) -> None:
        if not isinstance(message, Submit):
            if (number := connection.numbers.pop(message.id, None)) is not None:
                self._cancel(number)
            return
        if message.id in connection.numbers:
            raise ProtocolError(f"request id {message.id} is in use")
        number = next(self._numbers)
        connection.numbers[message.id] = number
        self._owners[number] = connection, message.id
        request = msgspec.structs.replace(message, id=number)
        if request.grammar is None:
            self._engine.submit(request)
            self._work.set()
        else:
            compiled = asyncio.get_running_loop().run_in_executor(self._compiling, self._submit, request)
            compiled.add_done_callback(lambda _: self._work.set())

    def _submit(self, request: Submit) -> None:
        if request.id in self._owners:  # nobody has cancelled it while others were compiled
            self._engine.submit(request)
        if request.id not in self._owners:  # cancelled while its own grammar was compiled
            self._engine.cancel(request.id)

    def _cancel(self, number: int) -> None:
        del self._owners[number]
        self._engine.cancel(number)
        self._work.set()

    def _deliver(self, events: list[Event]) -> None:
        """Send each client its events of one step, in one write."""
        outgoing: dict[_Connection, list[bytes]] = {}
        for event in events:
            if event.id not in self._owners:
                continue  # cancelled while the step ran
            connection, theirs = self._owners[event.id]
            ends = is_last(event)
            try:
                data = frame(msgspec.structs.replace(event, id=theirs))
            except ProtocolError as error:  # its request ends, and nobody else's
                data = frame(Failed(theirs, f"the answer does not fit a message: {error}", "engine_error"))
                self._engine.cancel(event.id)
                ends = True
            if ends:
                del self._owners[event.id], connection.numbers[theirs]
            outgoing.setdefault(connection, []).append(data)
        for connection, frames in outgoing.items():
            connection.writer.write(b"".join(frames))


def _claim(path: Path) -> None:
    """Make sure that ``path`` can be listened on: remove a socket that a killed engine left, refuse a living one."""
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH_BYTES:
        raise InputError(f"--socket {path} is longer than {_MAX_SOCKET_PATH_BYTES} bytes; give a shorter path")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_socket():
        if path.exists():
            raise InputError(f"--socket {path} is a file; give another path")
        return
    with sockets.socket(sockets.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        else:
            raise InputError(f"--socket {path} is in use by a running engine; stop it or give another path")
