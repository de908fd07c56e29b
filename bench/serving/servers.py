"""Our server and other people's over HTTP: 32 requests at once, prompts included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median

import psutil

from serving.formats import Format
from serving.models import Model
from serving.peers import foreign, last_words
from shosei.load.prompts import generate
from shosei.load.speed import NotMeasured, TimedServer
from shosei.text import load_chat
from shosei.wire.endpoint import is_ready, listen
from shosei.wire.timed_stream import TimedStream

REQUESTS, PROMPT, NEW = 32, 64, 64
CONTEXT = 640
GOAL = 1.6
OURS, LLAMA_SERVER, LLAMA_CPP, VLLM = "ours", "llama-server", "llama.cpp's Python server", "vLLM"
_READY_S = 300.0  # vLLM compiles at its start
_REST_S = 6
_OF_VLLM = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1"}  # GB
_CORES = str(os.cpu_count())


@dataclass(frozen=True)
class Installed:
    """Whose servers there are: llama.cpp's own binary, interpreters that have llama-cpp-python and vLLM."""

    llama_server: str | None = None
    llama_cpp: str | None = None
    vllm: str | None = None


@dataclass
class _Server:
    """A command to which ``--port`` is added; what was measured of it, or why it was not."""

    command: list[str]
    environment: dict[str, str]
    rates: list[float] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    failure: str = ""

    def measure(self, characters: float) -> None:
        """One turn. Raises NotMeasured."""
        with _serving(self.command, self.environment, characters) as server:
            server.answers(2, PROMPT, 4)
            streams = server.answers(REQUESTS, PROMPT, NEW)
        self.rates.append(_rate(streams))
        self.first_token_s.append(median(stream.first_token_s for stream in streams))


def requests(model: Model, form: Format, rounds: int, installed: Installed) -> Iterator[str]:
    """Tokens/s of 32 answers with their prompts, and the median time to first token, by turns. Raises NotMeasured where
    ours fails; a peer that does is left out from then on."""
    servers, characters = _servers(model, form, installed), _characters_per_token(model)
    # Each runs only while it is its turn: one that waits may still take the processor.
    for _ in range(rounds):
        for name, server in servers.items():
            try:
                if not server.failure:
                    server.measure(characters)
            except NotMeasured as failure:
                if name == OURS:
                    raise
                server.failure = str(failure)
    for name, server in servers.items():
        yield f"{form.name}, {name}: {REQUESTS} requests through HTTP: {_result(server)}"
    ours, peers = servers.pop(OURS), [server for server in servers.values() if not server.failure]
    if peers:
        ratio = median(ours.rates) / max(median(peer.rates) for peer in peers)
        is_sooner = median(ours.first_token_s) < min(median(peer.first_token_s) for peer in peers)
        verdict = "reached" if ratio >= GOAL and is_sooner else "missed"
        yield f"{form.name}: {ratio:.2f} times the best (goal ≥ {GOAL}, and the first token sooner: {verdict})"


def _result(server: _Server) -> str:
    if server.failure:
        return f"not measured: {server.failure}"
    return (
        f"{median(server.rates):,.0f} tokens/s with their prompts, first token after "
        f"{median(server.first_token_s):.2f} s (p50)"
    )


def _characters_per_token(model: Model) -> float:
    """So that all are asked the same: llama.cpp's Python server counts no tokens of a stream."""
    text = generate(4096, 0)[0][0]["content"]
    return len(text) / len(load_chat(model.folder).tokenizer.encode(text))


def _rate(streams: Sequence[TimedStream]) -> float:
    """Tokens that were asked for: a server whose tokens are no text yet sends fewer pieces."""
    return len(streams) * NEW / (max(stream.times[-1] for stream in streams) - min(stream.sent for stream in streams))


def _servers(model: Model, form: Format, installed: Installed) -> dict[str, _Server]:
    """Ours; of llama.cpp's two the one that answers many at once, if it is there; vLLM has bfloat16 alone."""
    slots, context = str(REQUESTS), str(CONTEXT)
    words = [sys.executable, "-m", "shosei", "serve", str(model.folder), "--slots", slots, "--context", context]
    servers = {OURS: _Server([*words, "--weights", form.weights], {**os.environ})}
    if installed.llama_server:
        words = [installed.llama_server, "--model", str(model.files[form.file]), "--parallel", slots]
        words += ["--ctx-size", str(REQUESTS * CONTEXT), "--threads", _CORES, "--threads-batch", _CORES, "--no-webui"]
        servers[LLAMA_SERVER] = _Server(words, foreign())
    elif installed.llama_cpp:
        words = [installed.llama_cpp, "-m", "llama_cpp.server", "--model", str(model.files[form.file])]
        words += ["--n_ctx", context, "--n_threads", _CORES, "--n_threads_batch", _CORES]
        # Else a request that comes ends the stream that runs.
        servers[LLAMA_CPP] = _Server([*words, "--interrupt_requests", "false"], foreign())
    if installed.vllm and form.weights == "stored":
        words = [installed.vllm, "-m", "vllm.entrypoints.cli.main", "serve", str(model.folder), "--dtype", "bfloat16"]
        words += ["--host", "127.0.0.1", "--max-num-seqs", slots, "--max-model-len", context]
        servers[VLLM] = _Server(words, foreign() | _OF_VLLM)
    return servers


@contextmanager
def _serving(command: list[str], environment: dict[str, str], characters: float) -> Iterator[TimedServer]:
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            deadline = time.monotonic() + _READY_S
            while not is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise NotMeasured(f"no server came up: {last_words(errors)}")
                time.sleep(0.1)
            _wait_for_rest(process.pid)
            yield TimedServer(url, characters=characters)
        finally:
            process.terminate()
            process.wait()


def _wait_for_rest(pid: int) -> None:
    """Until its processes have used next to no processor for a while: ours loads a spare engine 5 s after its start."""
    rested, deadline = 0, time.monotonic() + _READY_S
    while rested < _REST_S and time.monotonic() < deadline:
        before = _cpu_s(pid)
        time.sleep(1)
        rested = rested + 1 if _cpu_s(pid) - before < 0.1 else 0


def _cpu_s(pid: int) -> float:
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    used = 0.0
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used
