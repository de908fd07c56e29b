"""Why a task failed: the one line that says so, out of all that it printed, whatever language it is written in.

The last line that looks like an exception, or else the last one that is not noise, such as ``Node.js v20.20.2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_LENGTH = 500  # characters of a reason

_MARGIN = re.compile(r"^\s*(?:\|\s?)+|^\s*\+[-+]+\s?")  # of Python's exception groups
_TRACEBACK = re.compile(r"^\s*\+?\s*(?:Exception Group )?Traceback \(most recent call last\):$")
# What runtimes write before an exception that nobody caught; Java's cause is the line that says more.
_LEAD = re.compile(
    r"^(?:Exception in thread \"[^\"]*\" |Unhandled exception\. |Caused by: |[Ee]rror: (?=Uncaught)"
    r"|(?:PHP )?Fatal error: +|Uncaught:? (?:\(in promise\):? )?(?=\w)|Unhandled \w+ )+"
)
_PLACE = r"(?:[\w$]+(?:\.|::))*"
_EXCEPTION = re.compile(
    # Python, Node, Java, C#, and a Rust main that returns an error
    rf"^{_PLACE}(?:[A-Z_][\w$]*(?:Interrupt|Failure|Exit|Group)|(?:[A-Z_][\w$]*)?(?:Error|Exception))"
    r"(?: \[\w+\])?(?:: .*|:?$)"
    r"|^\[?Unhandled(?:Promise)?Rejection\b.*"
    r"|^(?:panic|fatal error): ."  # Go
    r"|^.+ \((?:\w+::)*\w*(?:Error|Exception)\)$"  # Ruby
)
# Rust, before 1.73 and since
_PANIC = re.compile(r"^thread '.*?'(?: \(\d+\))? panicked at (?:'(?P<old>.*)', \S+|\S+:\d+:\d+:)$")
_WHAT = re.compile(r"^\s+what\(\): +(?P<text>.+)")  # C++
_NOISE = re.compile(
    r"^\W*$"
    r"|^Node\.js v\d|^Thrown at:$|^\(Use `node "
    r"|^\s*at \S"  # frames of Node, Java, C#
    r"|^\s*\.\.\. \d+ (?:more|lines)"
    r"|^\s*File \".*\", line \d+"
    r"|^(?:goroutine \d+ |exit status \d|\s*\S+\.go:\d+)"
    r"|^\s*(?:=\s)?note: "
    r"|^(?:npm (?:error|ERR!)|sys:1: |During task with )"
    r"|^Aborted|^Segmentation fault"
)


def reason_of(printed: str) -> str:
    """The line of ``printed`` that tells why it ended; empty if none does."""
    lines = printed.splitlines()
    exceptions = list(_exceptions(lines))
    if exceptions:
        return exceptions[-1][:_LENGTH]
    said = (line.strip() for line in reversed(lines) if not _NOISE.match(line))
    return next(said, "")[:_LENGTH]


def is_exception(line: str) -> bool:
    """Whether ``line`` looks like an exception."""
    return bool(_EXCEPTION.match(line))


def _exceptions(lines: Sequence[str]) -> Iterator[str]:
    """The lines that look like an exception, without what a runtime writes before them."""
    in_traceback = False
    for place, line in enumerate(lines):
        text = _MARGIN.sub("", line).rstrip()
        if _TRACEBACK.match(text):
            in_traceback = True
        elif in_traceback and text and not text.startswith((" ", "\t")):
            in_traceback = False  # Python's frames are indented; what ends them is the exception, whatever its name
            yield text
        elif found := _exception(text, lines[place + 1 : place + 2]):
            yield found


def _exception(text: str, following: Sequence[str]) -> str:
    """``text`` if it looks like an exception; else empty. Rust may have a panic's words in the line ``following``."""
    if panic := _PANIC.match(text):
        return panic["old"] or "".join(following).strip() or text
    if what := _WHAT.match(text):
        return what["text"]
    bare = _LEAD.sub("", text)
    return bare if _EXCEPTION.match(bare) or (bare != text and ": " in bare) else ""
