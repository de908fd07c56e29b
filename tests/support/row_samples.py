"""Training rows, and files of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

ASKED, ANSWERED = {"role": "user", "content": "你好"}, {"role": "assistant", "content": "再见"}
GOOD = {"messages": [ASKED, ANSWERED]}
SYSTEM = {"role": "system", "content": "短く。"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}

# Any JSON, and more often than not of the words that rows are made of.
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "messages",
                    "conversations",
                    "role",
                    "content",
                    "from",
                    "value",
                    "type",
                    "text",
                    "tools",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "weight",
                    "instruction",
                    "input",
                    "output",
                    "prompt",
                    "completion",
                    "history",
                    "system",
                    "id",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def answering(**message: Any) -> dict[str, Any]:
    return {"messages": [ASKED, {"role": "assistant", **message}]}


def write_rows(file: Path, *rows: Any) -> Path:
    """``rows`` as JSON Lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
