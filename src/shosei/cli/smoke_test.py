"""Whether a model folder works, tried in a process of its own: what a foreign template, tokenizer or weights do there,
they do within limits of time and memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from shosei.cli.limited import begin_step, limited_main, note, run_limited
from shosei.engine.engine import answer_greedily
from shosei.errors import InputError
from shosei.folder_files import is_there
from shosei.memory import available_memory
from shosei.model import folder as model_folder
from shosei.quantity import shown_bytes
from shosei.text import ChatFormat, load_chat
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
    fits = size * 1.5 < available_memory()
    limit = 4 * (_TEXT_SECONDS + _seconds(size))
    notes = run_limited(__name__, [str(folder), str(size if fits else 0)], limit, within=folder)
    unheld = f"the weights were not tried: {shown_bytes(size)} are more than the memory that is free now"
    return notes + ([] if fits else [unheld])


def _seconds(size: int) -> float:
    return 60 + size / _WEIGHT_BYTES_PER_SECOND


def _try(folder: Path, size: int) -> None:
    """The child's part; ``size`` in bytes is that of the weights, 0 where they are not to be loaded."""
    torch.set_num_threads(1)
    begin_step("the tokenizer or the chat template", _TEXT_SECONDS, _TEXT_BYTES)
    chat = load_chat(folder)
    ids = chat.tokenizer.encode(_QUESTION[0]["content"])
    chat.tokenizer.decode(ids)
    if is_there(folder, TEMPLATE):
        ids = _laid_out(chat)
    else:
        note("it has no chat template, and so no chat: ask it for completions, or train it on dialogues")
    if size:
        begin_step("the weights", _seconds(size), 2 * size + _TEXT_BYTES)
        _decode_one(folder, ids)


def _laid_out(chat: ChatFormat) -> list[int]:
    """The ids of a conversation. Raises InputError if even a question is refused."""
    question = chat.render(_QUESTION)
    try:
        ids = chat.render(_CONVERSATION, _TOOLS)
    except InputError as error:
        note(f"its chat has no tool calls: {error}")
        return question
    if chat.worded_tools:
        note("its chat template has no tools: a request's tools stand in the system's words, in Hermes' form")
    elif chat.call_format is None:
        note("its chat template writes tool calls in a form that is not known here: tools are refused")
    return ids


def _decode_one(folder: Path, prompt: Sequence[int]) -> None:
    model, spec = model_folder.load(folder, None)
    ids = [row for row in prompt if row < spec.vocab_size][-min(_PROMPT_TOKENS, spec.context_length - 1) :] or [0]
    with torch.inference_mode():
        if not model.logits(model(torch.tensor([ids]))).isfinite().all():
            raise InputError("the weights give no finite numbers: they are damaged, or overflow in their type")
    answer_greedily(model, spec, [ids], [1], [])


if __name__ == "__main__":
    sys.exit(limited_main(lambda: _try(Path(sys.argv[1]), int(sys.argv[2]))))
