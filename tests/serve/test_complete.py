"""``shosei chat --complete``: the text that is typed is continued as it is, as a base model was trained."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from foreign_samples import edit
from serve_process import CONTEXT, SHOSEI, make_model, serving
from verb import Shosei

TEXT = "  今天天气"
BEGIN = "<|plugin|>"
HALF = "\ufffd"  # what stands for half a character
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes die with their parent on Linux")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model of somebody else's: its tokenizer begins texts with a token, and there is no chat template."""
    folder = make_model(tmp_path_factory.mktemp("complete") / "model")
    (folder / "chat_template.jinja").unlink()
    edit(folder / "tokenizer_config.json", bos_token=BEGIN)
    serialized = json.loads((folder / "tokenizer.json").read_text())
    begin = next(token["id"] for token in serialized["added_tokens"] if token["content"] == BEGIN)
    serialized["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {BEGIN: {"id": BEGIN, "ids": [begin], "tokens": [BEGIN]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(serialized))
    return folder


@pytest.fixture(scope="module")
def url(base: Path) -> Iterator[str]:
    with serving(base) as (_, address):
        yield address


@pytest.fixture
def typed(shosei: Shosei, monkeypatch: pytest.MonkeyPatch) -> Shosei:
    """A verb to which the first argument is typed."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{arguments[0]}\n"))
        return shosei(*arguments[1:])

    return call


@functools.cache
def expected(folder: Path, text: str, tokens: int) -> str:
    """transformers' greedy continuation, without half a character at its end."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        made = model.generate(**ids, max_new_tokens=tokens, do_sample=False)[0, ids["input_ids"].shape[1] :]
    return str(tokenizer.decode(made, skip_special_tokens=True)).removesuffix(HALF)


def test_a_text_is_continued_as_it_is(base: Path, url: str, typed: Shosei) -> None:
    code, out, errors = typed(TEXT, "chat", url, "--complete", "--max-tokens", "12", "--json")
    assert code == 0, errors
    (completion,) = json.loads(out)["completions"]
    assert completion == {"prompt": TEXT, "text": expected(base, TEXT, 12)}
    assert typed(TEXT, "chat", url, "--complete", "--single-turn", "--max-tokens", "12")[1] == f"{completion['text']}\n"


class _Pieces(BaseHTTPRequestHandler):
    """A server that streams what it is asked to continue, a piece after each bar; the last is why it ends."""

    def do_GET(self) -> None:
        self._send(b'{"data": [{"id": "m"}]}', "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        *pieces, reason = asked["prompt"].split("|")
        choices = [{"index": 0, "text": piece, "finish_reason": None} for piece in pieces]
        choices.append({"index": 0, "text": "", "finish_reason": reason})
        events = [json.dumps({"id": "c", "object": "text_completion", "choices": [choice]}) for choice in choices]
        self._send("".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode(), "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def pieces() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pieces) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (f"東|京{HALF}|length", "東京"),  # no token was left for the other half
        (f"東|京{HALF}|stop", f"東京{HALF}"),  # the model itself ended there
        (f"東{HALF}|京|length", f"東{HALF}京"),
        (f"{HALF}|{HALF}|length", HALF),
        ("東|京|length", "東京"),
    ],
)
def test_what_the_limit_cuts_in_two_is_not_shown(pieces: str, typed: Shosei, asked: str, shown: str) -> None:
    assert typed(asked, "chat", pieces, "--complete")[1] == f"{shown}\n"
    completions = json.loads(typed(asked, "chat", pieces, "--complete", "--json")[1])["completions"]
    assert completions == [{"prompt": asked, "text": shown}]


def test_a_continuation_is_as_long_as_the_context_leaves(url: str, typed: Shosei) -> None:
    """The model's context is 128 tokens, fewer than are asked for."""
    code, out, errors = typed(TEXT, "chat", url, "--complete", "--max-tokens", str(CONTEXT))
    assert code == 0, errors
    assert out.strip()
    code, _, errors = typed("东" * 2 * CONTEXT, "chat", url, "--complete")
    assert code == 2
    assert "context" in errors


def test_lines_of_a_pipe_are_continued_each_by_itself(base: Path) -> None:
    done = subprocess.run(
        [*SHOSEI, "chat", str(base), "--complete", "--max-tokens", "12"],
        input=f"{TEXT}\n{TEXT}\n".encode(),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    text = expected(base, TEXT, 12)
    assert done.stdout.decode() == f"{text}\n{text}\n"


def test_a_base_model_that_is_to_chat_is_told_of(base: Path, url: str, typed: Shosei) -> None:
    for asked in (str(base), url):
        code, out, errors = typed(TEXT, "chat", asked)
        assert (code, out) == (2, "")
        assert errors.count("\n") == 1
        assert "base model" in errors
        assert "--complete" in errors


def test_a_system_message_is_for_conversations(url: str, typed: Shosei) -> None:
    code, _, errors = typed(TEXT, "chat", url, "--complete", "--system", "你是助手")
    assert code == 2
    assert "--system" in errors
