"""Small logs of answers, with the texts that a hostile model, or the author of a hostile suite, could send."""

from __future__ import annotations

from typing import Any

from markdown_it import MarkdownIt

from shosei.log import Event, Log, Score

SCRIPT = '</td></table></script><script>alert("x")</script><img src=//evil.example/x onerror=alert(1)>|`*@everyone'
BIDI = "safe \u202eevil\u202c \u2066isolated\u2069 end"
ESCAPES = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J bell\x07 back\x08 nul\x00 end"
PILE = "Z" + "\u0335\u0321\u0489\u036b" * 200 + "algo"
SURROGATE = "half \ud83d pair"
LONG_LINE = "x" * 1_000_000
HOSTILE = {
    "script": SCRIPT,
    "bidi": BIDI,
    "escapes": ESCAPES,
    "pile": PILE,
    "surrogate": SURROGATE,
    "long line": LONG_LINE,
}

# Characters that steer a terminal, or turn the direction of what follows them.
STEERING = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - {"\n", "\t"}
STEERING |= set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def score(item: str, answer: str, truth: str = "7", **changes: Any) -> Score:
    """An answer to one question of the suite ``sums``; ``changes`` to its fields."""
    given: dict[str, Any] = {
        "suite": "sums",
        "item": item,
        "cluster": item,
        "grader": "exact",
        "truth": truth,
        "answer": answer,
        "lang": "en",
        "question": f"Question {item}?",
        "phase": "inference",
    }
    return Score(**given | changes)


def log_of(*events: Event) -> Log:
    """The log of one attempt."""
    log = Log(1)
    for event in events:
        log.events.setdefault(type(event), []).append(event)  # type: ignore[union-attr]
    return log


def hostile_scores() -> list[Score]:
    """Answers all of whose texts are hostile, each in another way; all are wrong."""
    return [
        score(name, words, question=words, suite="sums" if name != "script" else words)
        for name, words in HOSTILE.items()
    ]


def markup(report: str) -> set[str]:
    """What a parser of CommonMark finds in a report beside plain text and code: tags, links, emphasis, lists."""
    blocks = MarkdownIt("commonmark").enable("table").parse(report)
    inline = [part for block in blocks for part in block.children or []]
    assert not any("@everyone" in part.content for part in inline if part.type == "text"), "somebody would be told"
    tags = {block.content.split()[0] for block in blocks if block.type == "html_block"}
    return tags | {block.type for block in blocks} | {part.type for part in inline if part.type != "code_inline"}
