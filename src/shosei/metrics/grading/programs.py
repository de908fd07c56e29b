"""The program that an answer holds."""

from __future__ import annotations

import re
import textwrap

EXTRACTION_VERSION = 1  # of ``build_program``, which decides what the exam executes

_FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_FIRST_CODE_LINE = re.compile(r"^(?:(?:async )?def +\w+ *\(|import +\w|from +[\w.]+ +import\b)", re.MULTILINE)
_PROSE_LINE = re.compile(r"^[^\x00-\x7f]", re.MULTILINE)


def build_program(answer: str, entry_point: str, prompt: str = "") -> str:
    """The program that an answer makes of its task's ``prompt``, or "" when there is none.

    Code that defines ``entry_point`` stands after what the prompt has before it (imports, helpers). Other code in a
    fence, and an answer that begins with an indented line, goes on where the prompt ends, up to the first line that is
    not indented. Without a prompt it is ``extract_code``.
    """
    code = extract_code(answer)
    defined = re.compile(rf"^(?:async )?def +{re.escape(entry_point)}\b|^{re.escape(entry_point)} *=", re.MULTILINE)
    if not prompt or defined.search(code):
        start = defined.search(prompt)
        return prompt[: start.start()] + code if prompt and start else code
    answer = answer.replace("\r\n", "\n")
    if fenced := _FENCED.search(answer):
        body = textwrap.indent(textwrap.dedent(fenced[1]), _last_indent(prompt)) if code else ""
    else:
        body = answer.lstrip("\n")
    if not body[:1].isspace():
        return code
    end = re.search(r"^\S", body, re.MULTILINE)
    return prompt + body[: end.start() if end else None].rstrip() + "\n"


def _last_indent(prompt: str) -> str:
    last = prompt.rstrip().rpartition("\n")[2]
    return last[: len(last) - len(last.lstrip())]


def extract_code(answer: str) -> str:
    """The Python program in an answer, or "" when there is none.

    The first fenced block, if there is one (up to the end of the answer, if the fence was never closed). Otherwise the
    text from its first ``def``, ``import`` or ``from … import`` line up to an unindented line in Chinese or Japanese.
    """
    answer = answer.replace("\r\n", "\n")
    if fenced := _FENCED.search(answer):
        return textwrap.dedent(fenced[1]).strip("\n")
    if not (first := _FIRST_CODE_LINE.search(answer)):
        return ""
    code = answer[first.start() :]
    prose = _PROSE_LINE.search(code)
    return code[: prose.start() if prose else None].rstrip()
