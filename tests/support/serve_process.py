"""A small model of random weights, and ``shosei serve`` on it as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.message import Message
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil
import torch

from shosei.model import folder
from shosei.model.transformer import Transformer
from shosei.spec import preset
from shosei.text import Tokenizer

SHOSEI = [sys.executable, "-m", "shosei"]
CONTEXT = 128


def make_model(out: Path, context: int = CONTEXT) -> Path:
    """Export a model whose answers are nonsense of many characters, the same every time."""
    tokenizer = Tokenizer.train(["今天天气怎么样？你好，世界。", "東京の天気は？こんにちは、世界。"] * 2, 320)
    tokenizer.save(out.with_name("tokenizer"))
    spec = replace(
        preset("nano"),
        vocab_size=tokenizer.vocab_size,
        d_model=64,
        n_layers=2,
        intermediate_size=96,
        n_heads=2,
        n_kv_heads=1,
        head_dim=32,
        context_length=context,
    )
    torch.manual_seed(1)
    folder.export(Transformer(spec), spec, out.with_name("tokenizer"), out)
    return out


class Reply(NamedTuple):
    """What a server said; of an error, what stands in its body's ``error``."""

    status: int
    body: dict[str, Any]
    headers: Message


@contextmanager
def serving(
    *arguments: str | Path, stderr: IO[bytes] | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``shosei serve`` with these arguments on a free port: the process and its URL, once it is ready.

    There is no spare engine, which takes as long to start as the first, unless the arguments have ``--spare``.
    """
    command = [*SHOSEI, "serve", "--no-spare", *map(str, arguments), "--port", "0", "--json"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    ) as server:
        assert server.stdout
        try:
            yield server, json.loads(server.stdout.readline())["url"]
        finally:
            server.terminate()
            server.wait(timeout=30)


def kill(server: subprocess.Popen[Any]) -> None:
    """``kill -9`` of the server with its front and its engine."""
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(server.pid)
        for process in [top, *top.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


class Browser:
    """A client with a cookie jar of its own. ``headers`` go with each of its requests."""

    def __init__(self, url: str, **headers: str) -> None:
        self.cookies = CookieJar()
        self._url, self._headers = url, {"Content-Type": "application/json", **headers}
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def post(self, body: Any, path: str = "/v1/feedback", **headers: str) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers | headers)
        try:
            with self._opener.open(request, timeout=30) as response:
                return Reply(response.status, json.load(response), response.headers)
        except urllib.error.HTTPError as error:
            return Reply(error.code, json.load(error)["error"], error.headers)

    def ask(self, **change: Any) -> str:
        """Have something answered: the answer's id."""
        body = {"messages": [{"role": "user", "content": "你好"}], "max_tokens": 1} | change
        answer = self.post(body, "/v1/chat/completions")
        assert answer.status == 200, answer.body
        return str(answer.body["id"])


def status(url: str) -> int:
    """HTTP status of a GET; 0 where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def child(server: subprocess.Popen[str], verb: str) -> psutil.Process:
    """The supervised process that runs ``verb``."""
    return next(process for process in psutil.Process(server.pid).children() if verb in process.cmdline())
