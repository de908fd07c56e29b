"""Whether a model folder works, tried in a process of its own: what a foreign template, tokenizer or weights do there,
they do within limits of time and memory."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from shosei import proc
from shosei.engine.engine import answer_greedily
from shosei.errors import InputError
from shosei.model import folder as model_folder
from shosei.quantity import shown_bytes
from shosei.text import ChatFormat, load_chat
from shosei.text.folder_files import is_there
from shosei.text.foreign import TEMPLATE

# CPU seconds and bytes that text may take; weights take more by their size.
_TEXT_SECONDS, _TEXT_BYTES = 15, 2 << 30
# The slowest disk and core that a model is still tried on.
_WEIGHT_BYTES_PER_SECOND = 20e6
_PROMPT_TOKENS = 16

_TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Its name."}}},
        },
    }
]
_CALL: dict[str, Any] = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "東京"}'},
}
_QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "今天天气怎么样？東京の天気は？"}]
_CONVERSATION: list[dict[str, Any]] = [
    *_QUESTION,
    {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "call00001", "name": "weather", "content": '{"sky": "晴れ"}'},
]


def smoke_test(folder: Path) -> list[str]:
    """Load what is in ``folder``, tokenise, lay out a conversation with a tool call and its result, decode one token.

    Returns what a user should know: a template without tools, weights that the memory does not hold. Raises InputError,
    one line, for whatever fails, or takes longer or more memory than it may.
    """
    size = sum(file.stat().st_size for file in model_folder.weight_files(folder))
    fits = size * 1.5 < psutil.virtual_memory().available
    command = [sys.executable, "-P", "-m", __name__, str(folder), str(size if fits else 0)]
    limit = 4 * (_TEXT_SECONDS + _seconds(size))
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise InputError(f"the model was tried for {limit:.0f} s without an end; nothing is imported") from None
    lines = ended.stdout.decode("utf-8", "replace").splitlines()
    told = [line.partition(" ")[::2] for line in lines]
    if ended.returncode != 0:
        step = next((text for kind, text in reversed(told) if kind == "step"), "start of Python")
        refused = next((text for kind, text in told if kind == "refused"), _why(ended, step))
        raise InputError(f"{refused.replace(f'{folder}/', '')}; nothing is imported")
    unheld = f"the weights were not tried: {shown_bytes(size)} are more than the memory that is free now"
    return [text for kind, text in told if kind == "note"] + ([] if fits else [unheld])


def _why(ended: subprocess.CompletedProcess[bytes], step: str) -> str:
    if ended.returncode == -signal.SIGPROF:
        return f"{step}: it does not end within {_TEXT_SECONDS} s, or its size's share, of CPU time"
    last = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    reason = last[0][:200] if last else f"exit status {ended.returncode}"
    return f"{step}: it fails, or takes more than {shown_bytes(_TEXT_BYTES)} of memory ({reason})"


def _seconds(size: int) -> float:
    return 60 + size / _WEIGHT_BYTES_PER_SECOND


def _try(folder: Path, size: int) -> None:
    """The child's part; ``size`` in bytes is that of the weights, 0 where they are not to be loaded."""
    torch.set_num_threads(1)
    _limit(_TEXT_SECONDS, _TEXT_BYTES)
    _tell("step", "the tokenizer or the chat template")
    chat = load_chat(folder)
    ids = chat.tokenizer.encode(_QUESTION[0]["content"])
    chat.tokenizer.decode(ids)
    if is_there(folder, TEMPLATE):
        ids = _laid_out(chat)
    else:
        _tell("note", "it has no chat template, and so no chat: ask it for completions, or train it on dialogues")
    if size:
        _limit(_seconds(size), 2 * size + _TEXT_BYTES)
        _tell("step", "the weights")
        _decode_one(folder, ids)


def _laid_out(chat: ChatFormat) -> list[int]:
    """The ids of a conversation. Raises InputError if even a question is refused."""
    question = chat.render(_QUESTION)
    try:
        ids = chat.render(_CONVERSATION, _TOOLS)
    except InputError as error:
        _tell("note", f"its chat has no tool calls: {error}")
        return question
    if chat.worded_tools:
        _tell("note", "its chat template has no tools: a request's tools stand in the system's words, in Hermes' form")
    elif chat.call_format is None:
        _tell("note", "its chat template writes tool calls in a form that is not known here: tools are refused")
    return ids


def _decode_one(folder: Path, prompt: Sequence[int]) -> None:
    model, spec = model_folder.load(folder, None)
    ids = [row for row in prompt if row < spec.vocab_size][-min(_PROMPT_TOKENS, spec.context_length - 1) :] or [0]
    with torch.inference_mode():
        if not model.logits(model(torch.tensor([ids]))).isfinite().all():
            raise InputError("the weights give no finite numbers: they are damaged, or overflow in their type")
    answer_greedily(model, spec, [ids], [1], [])


def _limit(seconds: float, size: int) -> None:
    """So much CPU time from now on, then SIGPROF; and so much more memory than now, where the system counts it, or as
    much as it allows."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    if held := proc.numbers("/proc/self/status").get("VmData"):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = held + size if hard == resource.RLIM_INFINITY else min(held + size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _tell(kind: str, text: str) -> None:
    print(kind, " ".join(text.split())[:1000], flush=True)


def _refusal(work: Callable[[], None]) -> int:
    try:
        work()
    except InputError as error:
        _tell("refused", str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_refusal(lambda: _try(Path(sys.argv[1]), int(sys.argv[2]))))
