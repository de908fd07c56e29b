"""The program that an answer holds, among its prose, its fences and its examples."""

from __future__ import annotations

import ast
import html
import re
import textwrap
from collections.abc import Sequence

from shosei.metrics.grading.answer import split_thought
from shosei.metrics.grading.code_blocks import (
    Block,
    Readings,
    blocks_of,
    compiled,
    fenced,
    is_empty,
    is_function,
    parsed,
    source,
    unfenced,
)

_WIDE_INDENT = re.compile(r"^[ \t]*[\u00a0\u3000][ \t\u00a0\u3000]*", re.MULTILINE)
_HTML = re.compile(r"<pre\b[^<>]*>(?:\s*<code\b[^<>]*>)?([^<]*)(?:</code>\s*)?</pre>", re.IGNORECASE)
_INLINE = re.compile(r"(?<!`)`((?:async )?def [^`\n]+)`(?!`)")
_PROMPTED = re.compile(r"^(?:>>>|\.\.\.)(?: |$)")
# A fence that shows what not to write.
_COUNTEREXAMPLE = re.compile(
    r"^[^\n]{0,80}(?:\b(?:do not|don't|never) (?:write|do|use)\b|不要这样|错误示例|错误写法|悪い例|書かないで)"
    r"[^\n]{0,80}[:：]\s*\n"
    r"(```|~~~)[^\n]*\n(?:(?!\1)[^\n]*\n)*+\1",
    re.MULTILINE | re.IGNORECASE,
)

EXTRACTION_VERSION = 2  # of ``build_program``, which decides what the exam executes


def build_program(answer: str, entry_point: str, prompt: str = "") -> str:
    """The program that an answer makes of its task's ``prompt``, or "" when there is none.

    The code that defines ``entry_point``, the last of several, with what it needs of the answer's other code, after
    what the prompt has before the function (imports, helpers). Code that does not define it goes on where the prompt
    ends, if that makes a program. The rules stand in docs/grading.md, "Programs".
    """
    text = _program_text(answer)
    blocks = blocks_of(text)
    if own := _defining(blocks, entry_point):
        return _with_preamble(_preamble(prompt, entry_point), _completed(own, blocks, entry_point))
    if prompt and (body := _continued(text, prompt, entry_point)):
        return body
    code = extract_code(answer)
    return _with_preamble(_preamble(prompt, entry_point), code) if code else ""


def extract_code(answer: str) -> str:
    """The first code of an answer that defines something, else what stands in its first fence; "" if it has neither."""
    text = _program_text(answer)
    blocks = blocks_of(text)
    defining = [block.code for block in blocks if block.defined]
    if defining:
        return defining[0]
    return next((code.strip("\n") for code in [*fenced(text), *unfenced(text)] if code.strip()), "")


def _program_text(answer: str) -> str:
    """The answer without its thoughts, in one kind of line end; nothing, if it was cut off in a thought."""
    text, _, cut = split_thought(answer)
    if cut:
        return ""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    text = _WIDE_INDENT.sub(lambda indent: indent[0].replace("\u00a0", " ").replace("\u3000", "  "), text).expandtabs(8)
    if "```" not in text:
        text = _HTML.sub(lambda code: f"\n```\n{html.unescape(code[1])}\n```\n", text)
        text = _INLINE.sub(r"\n```\n\1\n```\n", text)
    without = _COUNTEREXAMPLE.sub("", text)
    return _unprompted(without if "def " in without else text)


def _unprompted(text: str) -> str:
    """The text with a definition typed at Python's prompt as it stands in a file; examples of use stay as they are."""
    if not re.search(r"^>>> (?:def|class|async def|@)", text, re.MULTILINE):
        return text
    return "\n".join(_PROMPTED.sub("", line) for line in text.split("\n"))


def _defining(blocks: Sequence[Block], name: str) -> Block | None:
    """The last block that defines the function, or has a class with such a method; a stub only if there is no other."""
    defining = [block for block in blocks if name in block.defined or block.method(name)]
    whole = [block for block in defining if not block.is_stub(name)] or defining
    return whole[-1] if whole else None


def _completed(own: Block, blocks: Sequence[Block], entry_point: str) -> str:
    """The block's code after the definitions of other blocks that it needs, and with its method as a function."""
    helpers: list[Block] = []
    missing, others = own.missing, [block for block in reversed(blocks) if block is not own]
    while helper := next((each for each in others if each not in helpers and each.defined & missing), None):
        helpers.insert(0, helper)
        missing = (missing | helper.missing) - helper.defined
    code = "\n\n".join([*(helper.definitions() for helper in helpers), own.without_usage(entry_point)])
    if entry_point not in own.defined:
        code += f"\n\n{entry_point} = {own.method(entry_point)}().{entry_point}"
    return code


def _preamble(prompt: str, entry_point: str) -> str:
    """What the prompt has before the function."""
    start = re.search(rf"^(?:@.*\n)*(?:async )?def +{re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return prompt[: start.start()] if start else ""


def _with_preamble(preamble: str, code: str) -> str:
    """The code after the preamble, with imports from ``__future__``, which must come first, before both."""
    tree = parsed(code)
    statements = tree.body if tree else []
    future = [each for each in statements if isinstance(each, ast.ImportFrom) and each.module == "__future__"]
    if not preamble.strip() or not future:
        return preamble + code
    lines = code.split("\n")
    first = "\n".join(source(code, each) for each in future)
    for each in future:
        lines[each.lineno - 1 : each.end_lineno] = [""] * ((each.end_lineno or each.lineno) - each.lineno + 1)
    return first + "\n" + preamble + "\n".join(lines).lstrip("\n")


def _continued(text: str, prompt: str, entry_point: str) -> str:
    """The prompt with the text, or what stands in one of its fences, as the function's body; empty if it is not one.

    The first line of a text may have lost its indentation, or all lines have.
    """
    indent = _last_indent(prompt)
    programs = []
    for code in [*fenced(text), text.strip("\n")]:
        for body in (code, indent + code, textwrap.indent(code, indent)):
            programs.append(_with_body(prompt, _indented(body), entry_point))
    return max(programs, key=len)


def _with_body(prompt: str, body: list[str], entry_point: str) -> str:
    """The prompt with as many lines of the body as make a program of it; empty if they do nothing."""
    begin = prompt.rstrip().split("\n")
    readings = Readings("\n".join([*begin, *body]))
    while body:
        code = "\n".join([*begin, *body, ""])
        if not readings.left(code):
            return ""
        try:
            tree = compiled(code)
        except SyntaxError as error:  # what stands from that line on is not part of it
            wrong = (error.lineno or 0) - len(begin)
            body = body[: min(wrong, len(body)) - 1] if wrong > 0 else []
            continue
        function = next((each for each in tree.body if is_function(each, entry_point)), None) if tree else None
        return code if function and not is_empty(function) else ""
    return ""


def _indented(body: str) -> list[str]:
    """The lines up to the first that is not indented."""
    lines = body.split("\n")
    return lines[: next((number for number, line in enumerate(lines) if line[:1].strip()), len(lines))]


def _last_indent(prompt: str) -> str:
    last = prompt.rstrip().rpartition("\n")[2]
    return last[: len(last) - len(last.lstrip())] or "    "
