"""What a run's tokenizer learns from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from shosei.data.corpus import corpus_file, has_text, stored_documents
from shosei.data.door import read_dialogues
from shosei.log import Run
from shosei.text.chat import compact

_SAMPLE_BYTES = 1 << 24  # learning merges takes some hundred times the memory of the text, and 2 s for each MB
# What operands are made of: kana, CJK punctuation, full-width forms, numerals, capitals, signs.
_OPERAND_CHARACTER = re.compile("([\u3000-\u30ff\uff01-\uff5e零一二三四五六七八九十百千万年月日A-Z#%&*/@-])")


def tokenizer_texts(run: Run) -> Iterator[str]:
    """The run's conversations, and of its text at most 16 MiB, spread evenly over the whole.

    Raises InputError if the run has neither.
    """
    texts = _sample(corpus_file(run, "train")) if has_text(run) else iter(())
    if has_text(run) and not (run.data / "train.jsonl").is_file():
        return texts
    return chain(_conversations(run), texts)


def _sample(file: Path) -> Iterator[str]:
    return stored_documents(file, every=-(-file.stat().st_size // _SAMPLE_BYTES))


def _conversations(run: Run) -> Iterator[str]:
    """The training rows' messages, tools and calls, cut so that characters of operands stand alone.

    BPE then learns one token for each of them and never a pair: a random kana word or a numeral has as many tokens
    as characters, and what was learned of a character holds wherever it stands. Words of the phrasings still merge.
    """
    for dialogue in read_dialogues(run):
        if dialogue.tools:
            yield compact([tool["function"] for tool in dialogue.tools])
        for message in dialogue.messages:
            for text in _texts(message):
                yield from filter(None, _OPERAND_CHARACTER.split(text))


def _texts(message: dict[str, Any]) -> Iterator[str]:
    header = "environment name=" if message["role"] == "tool" else message["role"]
    yield f"{header}\n{message['content'] or ''}"
    for call in message.get("tool_calls", []):
        function = call["function"]
        yield compact({"name": function["name"], "parameters": json.loads(function["arguments"])})
