"""``shosei chat``: talk to a model in the terminal, or line by line from a pipe, over the same HTTP as every client."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Annotated

import typer

from shosei.cli.common import JsonOption, result, run_async, say
from shosei.cli.serve import ContextOption, WeightsOption
from shosei.errors import InputError, Terminated
from shosei.spec.generation import WeightFormat

Conversation = list[dict[str, str]]


def chat(
    run_or_url: Annotated[str, typer.Argument(metavar="RUN_OR_URL", help="Run or model folder, or a server's URL.")],
    system: Annotated[str, typer.Option(help="System message that the conversation begins with.")] = "",
    single_turn: Annotated[
        bool, typer.Option("--single-turn", help="Ask each line by itself, for a model that knows no conversations.")
    ] = False,
    weights: WeightsOption = WeightFormat.STORED,
    context: ContextOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Chat with a model. Ctrl-C stops an answer; /exit or Ctrl-D leaves. From a pipe, each line is one turn."""
    messages: Conversation = [{"role": "system", "content": _readable(system)}] if system else []
    opening = len(messages)
    is_url = "://" in run_or_url
    if is_url and (context or weights is not WeightFormat.STORED):
        raise InputError("--weights and --context are for a model that is served here; leave them out with a URL")
    server = contextlib.nullcontext(run_or_url) if is_url else _served(run_or_url, weights, context)
    with server as url:
        model = _first_model(url)
        for line in _lines(model):
            messages.append({"role": "user", "content": _readable(line)})
            asked = [*messages[:opening], messages[-1]] if single_turn else messages
            answer = _answer(url, model, asked, quiet=as_json)
            messages.append({"role": "assistant", "content": answer})
    if as_json:
        result({"model": model, "messages": messages}, [], as_json=True)


def _readable(text: str) -> str:
    """``text``, if it was UTF-8: Python lets other bytes through as lone surrogates, which no server takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("the input is not UTF-8; convert it first, for example with iconv -f GBK -t UTF-8") from None
    return text


def _lines(model: str) -> Iterator[str]:
    """The user's turns, until /exit or the end of input."""
    if sys.stdin.isatty():
        import readline  # noqa: F401 (gives input() editing and history)

        say(f"{model}: /exit or Ctrl-D leaves, Ctrl-C stops an answer")
    while True:
        try:
            line = input("> ") if sys.stdin.isatty() else input()
        except EOFError:
            return
        if line.strip() == "/exit":
            return
        if line.strip():
            yield line


def _answer(url: str, model: str, messages: Conversation, *, quiet: bool) -> str:
    """Ask, print the answer as it comes, return it. The oldest turns are dropped where the context is too small."""
    from shosei.wire.client import Client, Reply

    parts: list[str] = []

    def show(text: str) -> None:
        parts.append(text)
        if not quiet:
            print(text, end="", flush=True)

    async def ask() -> Reply:
        async with Client(url) as client:
            body = {"model": model, "messages": messages, "stream": True, "temperature": 0}
            return await client.ask("/v1/chat/completions", body, on_text=show)

    try:
        reply = run_async(ask())
    except KeyboardInterrupt as stop:
        if isinstance(stop, Terminated) or not sys.stdin.isatty():
            raise
        reply = None
    if not quiet:
        print(flush=True)
    if reply and reply.error == "context limit" and _forget_oldest(messages):
        return _answer(url, model, messages, quiet=quiet)
    if reply and reply.error:
        raise InputError(f"{url} did not answer ({reply.error}): {reply.message}")
    return "".join(parts)


def _forget_oldest(messages: Conversation) -> bool:
    """Drop the first question and its answer; False if only the newest question is left."""
    first = next(place for place, message in enumerate(messages) if message["role"] == "user")
    if first == len(messages) - 1:
        return False
    del messages[first : first + 2]
    say("(the oldest turn is forgotten: the context is full)")
    return True


def _first_model(url: str) -> str:
    from shosei.wire.client import Client

    async def ask() -> str:
        async with Client(url) as client:
            return await client.model("", "--model NAME")

    return run_async(ask())


@contextlib.contextmanager
def _served(folder: str, weights: WeightFormat, context: int) -> Iterator[str]:
    """The URL of a server of our own for the model in ``folder``, which ends with us. Raises InputError if it cannot.

    It runs in a session of its own, so that Ctrl-C reaches the answer and not the server.
    """
    from shosei.lineage import PARENT_VARIABLE
    from shosei.log.run import RUN_VARIABLE

    command = [sys.executable, "-m", "shosei", "serve", folder, "--port", "0", "--slots", "1", "--json"]
    command += ["--weights", weights, "--context", str(context)]
    environment = {key: value for key, value in os.environ.items() if key != RUN_VARIABLE}
    environment[PARENT_VARIABLE] = str(os.getpid())
    with tempfile.TemporaryFile("w+") as messages:
        server = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            start_new_session=True,
        )
        try:
            yield _url(server, messages)
        finally:
            server.terminate()
            server.wait()


def _url(server: subprocess.Popen[str], messages: IO[str]) -> str:
    assert server.stdout
    line = server.stdout.readline()
    if not line:
        server.wait()
        messages.seek(0)
        errors = [line.removeprefix("shosei: ") for line in messages if line.startswith("shosei: ")]
        raise InputError(errors[-1] if errors else "the server did not start")
    return str(json.loads(line)["url"])
