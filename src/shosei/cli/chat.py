"""``shosei chat``: talk to a model in the terminal, or line by line from a pipe, over the same HTTP as every client."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.access import KEY_VARIABLE
from shosei.cli.common import JsonOption, require, result, run_async, say
from shosei.cli.serve import ContextOption, WeightsOption, find_model
from shosei.errors import InputError, Terminated
from shosei.progress import progress
from shosei.spec.generation import WeightFormat

if TYPE_CHECKING:
    from shosei.wire.client import Reply

Conversation = list[dict[str, str]]

_CONTINUED_TOKENS = 256
_HALF = "\ufffd"
_CONTINUE = "shosei chat --complete continues the text that you type"


def chat(
    run_or_url: Annotated[str, typer.Argument(metavar="RUN_OR_URL", help="Run or model folder, or a server's URL.")],
    system: Annotated[str, typer.Option(help="System message that the conversation begins with.")] = "",
    single_turn: Annotated[
        bool, typer.Option("--single-turn", help="Ask each line by itself, for a model that knows no conversations.")
    ] = False,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="Continue each line as it is, by itself: for a base model."),
    ] = False,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Most tokens of an answer (default: what the context leaves; with --complete {_CONTINUED_TOKENS}).",
            show_default=False,
        ),
    ] = None,
    weights: WeightsOption = WeightFormat.STORED,
    context: ContextOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Chat with a model. Ctrl-C stops an answer; /exit or Ctrl-D leaves. From a pipe, each line is one turn."""
    is_url = "://" in run_or_url
    if is_url and (context or weights is not WeightFormat.STORED):
        raise InputError("--weights and --context are for a model that is served here; leave them out with a URL")
    if complete and system:
        raise InputError("--system begins a conversation: leave it out where text is continued with --complete")
    if not is_url:
        _check_model(Path(run_or_url), complete)
    server = contextlib.nullcontext(run_or_url) if is_url else _served(run_or_url, weights, context)
    with server as url:
        asking = _Asking(url, _first_model(url), max_tokens, quiet=as_json)
        if complete:
            values = {"completions": [{"prompt": line, "text": asking.continued(line)} for line in asking.lines()]}
        else:
            values = {"messages": asking.conversation(_readable(system), single_turn)}
    if as_json:
        result({"model": asking.model, **values}, [], as_json=True)


def _check_model(path: Path, complete: bool) -> None:
    """Raise InputError before anything is loaded: no usable model there, or one that cannot chat and is to."""
    require("torch", "tokenizers")
    from shosei.text import load_chat
    from shosei.text.foreign import TEMPLATE, read_templates

    folder, _ = find_model(path)
    is_ours = load_chat(folder).tokenizer.is_ours
    if not (complete or is_ours or read_templates(folder)[TEMPLATE]):
        raise InputError(f"{path} is a base model without a chat template; {_CONTINUE}")


@dataclass(frozen=True, slots=True)
class _Asking:
    """A server's model and how it is asked; answers are printed as they come, unless ``quiet``."""

    url: str
    model: str
    max_tokens: int | None
    quiet: bool

    def lines(self) -> Iterator[str]:
        """What the user types, until /exit or the end of input. Raises InputError for what is not UTF-8."""
        if sys.stdin.isatty():
            import readline  # noqa: F401 (gives input() editing and history)

            say(f"{self.model}: /exit or Ctrl-D leaves, Ctrl-C stops an answer")
        while True:
            try:
                line = input("> ") if sys.stdin.isatty() else input()
            except EOFError:
                return
            if line.strip() == "/exit":
                return
            if line.strip():
                yield _readable(line)

    def conversation(self, system: str, single_turn: bool) -> Conversation:
        """The user's turns with the model's; in ``single_turn``, none knows of those before."""
        messages: Conversation = [{"role": "system", "content": system}] if system else []
        opening = len(messages)
        for line in self.lines():
            messages.append({"role": "user", "content": line})
            asked = [*messages[:opening], messages[-1]] if single_turn else messages
            messages.append({"role": "assistant", "content": self.answer(asked)})
        return messages

    def answer(self, messages: Conversation) -> str:
        """The model's next turn. The oldest turns are dropped where the context is too small."""
        limit = {"max_tokens": self.max_tokens} if self.max_tokens else {}
        reply, text = self._stream("/v1/chat/completions", {"messages": messages, **limit})
        if reply and reply.error == "context limit" and _forget_oldest(messages):
            return self.answer(messages)
        self._check(reply)
        return text

    def continued(self, text: str) -> str:
        """What the model puts behind ``text``; less of it where the context is too small."""
        from shosei.wire.refusal import tokens_left

        limit = self.max_tokens or _CONTINUED_TOKENS
        reply, continuation = self._stream("/v1/completions", {"prompt": text, "max_tokens": limit})
        if reply and reply.error in ("4xx", "context limit") and (left := tokens_left(reply.message, limit)):
            reply, continuation = self._stream("/v1/completions", {"prompt": text, "max_tokens": left})
        self._check(reply)
        return continuation

    def _stream(self, path: str, body: dict[str, Any]) -> tuple[Reply | None, str]:
        """Ask and print; the reply, unless the user has stopped it, and the text that came."""
        from shosei.wire.client import Client

        answer = _Answer(self.quiet)

        async def ask() -> Reply:
            async with Client(self.url) as client:
                wanted = {"model": self.model, "stream": True, "temperature": 0, **body}
                return await client.ask(path, wanted, on_text=answer.add)

        try:
            reply = run_async(ask())
        except KeyboardInterrupt as stop:
            if isinstance(stop, Terminated) or not sys.stdin.isatty():
                raise
            reply = None
        answer.end(reply)
        return reply, answer.text

    def _check(self, reply: Reply | None) -> None:
        if not (reply and reply.error):
            return
        if "chat template" in reply.message:  # as ours, transformers and vLLM say it of a base model
            raise InputError(f"{self.model} did not answer ({reply.error}): {reply.message}; {_CONTINUE}")
        raise InputError(f"{self.url} did not answer ({reply.error}): {reply.message}")


class _Answer:
    """An answer as it comes, printed unless ``quiet``. What may be half a character waits for its other half: where the
    tokens run out before it comes, the server sends a mark in its place, which is nobody's word."""

    def __init__(self, quiet: bool) -> None:
        self.text, self._waiting, self._quiet = "", "", quiet

    def add(self, piece: str) -> None:
        piece = self._waiting + piece
        whole = piece.removesuffix(_HALF)
        self._waiting = piece[len(whole) :]
        self._print(whole)

    def end(self, reply: Reply | None) -> None:
        """``reply``: how it ended; None: the user has stopped it."""
        if reply and reply.finish_reason != "length":
            self._print(self._waiting)
        if self.text or not (reply and reply.error):
            self._print("\n", kept=False)

    def _print(self, piece: str, *, kept: bool = True) -> None:
        self.text += piece if kept else ""
        if not self._quiet:
            print(piece, end="", flush=True)


def _readable(text: str) -> str:
    """``text``, if it was UTF-8: Python lets other bytes through as lone surrogates, which no server takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("the input is not UTF-8; convert it first, for example with iconv -f GBK -t UTF-8") from None
    return text


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

    command = [sys.executable, "-m", "shosei", "serve", folder, "--no-spare", "--port", "0", "--slots", "1", "--json"]
    command += ["--weights", weights, "--context", str(context), "--no-run"]
    # It is nobody else's: no key is asked for.
    environment = {name: value for name, value in os.environ.items() if name not in (RUN_VARIABLE, KEY_VARIABLE)}
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
            with progress(f"loading {folder}"):
                url = _url(server, messages)
            yield url
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
