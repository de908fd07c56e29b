"""Our server and llama.cpp's over HTTP: 32 requests at once, prompts included."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from serving.formats import Format
from serving.models import Model
from shosei.load.prompts import generate
from shosei.load.speed import TimedServer
from shosei.text import load_chat
from shosei.wire.endpoint import is_ready, listen
from shosei.wire.timed_stream import TimedStream

REQUESTS, PROMPT, NEW = 32, 64, 64
CONTEXT = 640
GOAL = 1.6
_READY_S = 120.0


def requests(model: Model, form: Format, rounds: int, llama_cpp: str | None) -> Iterator[str]:
    """Tokens/s of 32 answers with their prompts, and the median time to first token, by turns."""
    commands = {"ours": _ours(model, form)} | ({"llama.cpp": _theirs(model, form, llama_cpp)} if llama_cpp else {})
    rates: dict[str, list[float]] = {name: [] for name in commands}
    first: dict[str, list[float]] = {name: [] for name in commands}
    characters = _characters_per_token(model)
    # Each runs only while it is its turn: one that waits may still take the processor.
    for _ in range(rounds):
        for name, command in commands.items():
            with _serving(*command, characters) as server:
                server.answers(2, PROMPT, 4)
                streams = server.answers(REQUESTS, PROMPT, NEW)
            rates[name].append(_rate(streams))
            first[name].append(median(stream.first_token_s for stream in streams))
    for name in commands:
        yield (
            f"{form.name}, {name}: {REQUESTS} requests through HTTP, {median(rates[name]):,.0f} tokens/s with their "
            f"prompts, first token after {median(first[name]):.2f} s (p50)"
        )
    if len(commands) > 1:
        ratio = median(rates["ours"]) / median(rates["llama.cpp"])
        reached = ratio >= GOAL and median(first["ours"]) < median(first["llama.cpp"])
        verdict = "reached" if reached else "missed"
        yield f"{form.name}: {ratio:.2f} times (goal ≥ {GOAL}, and the first token sooner: {verdict})"


def _characters_per_token(model: Model) -> float:
    """So that both are asked the same: llama.cpp's server counts no tokens of a stream."""
    text = generate(4096, 0)[0][0]["content"]
    return len(text) / len(load_chat(model.folder).tokenizer.encode(text))


def _rate(streams: Sequence[TimedStream]) -> float:
    """Tokens that were asked for: a server whose tokens are no text yet sends fewer pieces."""
    return len(streams) * NEW / (max(stream.times[-1] for stream in streams) - min(stream.sent for stream in streams))


def _ours(model: Model, form: Format) -> tuple[list[str], str]:
    url, port = _address()
    words = ["serve", str(model.folder), "--port", port, "--slots", str(REQUESTS), "--context", str(CONTEXT)]
    return [sys.executable, "-m", "shosei", *words, "--weights", form.weights], url


def _theirs(model: Model, form: Format, llama_cpp: str) -> tuple[list[str], str]:
    url, port = _address()
    threads = str(os.cpu_count())
    words = ["--model", str(model.files[form.file]), "--port", port, "--n_ctx", str(CONTEXT), "--n_threads", threads]
    # Else a request that comes ends the stream that runs.
    words += ["--n_threads_batch", threads, "--interrupt_requests", "false"]
    return [llama_cpp, "-m", "llama_cpp.server", *words], url


def _address() -> tuple[str, str]:
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}", str(port)


@contextmanager
def _serving(command: list[str], url: str, characters: float) -> Iterator[TimedServer]:
    ours = command[0] == sys.executable
    environment = {name: value for name, value in os.environ.items() if ours or name != "PYTHONPATH"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _READY_S
            while not is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"no server came up: {' '.join(command)}")
                time.sleep(0.1)
            yield TimedServer(url, characters=characters)
        finally:
            process.terminate()
