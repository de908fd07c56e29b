"""How many tokens a server's refusal leaves for the answer, where prompt and answer do not fit its context."""

from __future__ import annotations

import re

# As servers word it: ours, OpenAI and vLLM, SGLang, llama.cpp, TGI.
_CONTEXT = re.compile(
    r"(?:context (?:length|size|window)|context|max_model_len|n_ctx|maximum length|`?max_total_tokens`?)\D{0,40}?(\d+)"
    r"|must be <= (\d+)",
    re.IGNORECASE,
)
_PROMPT = re.compile(
    r"(\d+) (?:tokens? )?(?:in|from|of) (?:the |your )?(?:input|prompt|messages)"
    r"|(\d+) (?:input|prompt|`inputs`)"
    r"|(?:prompt|input|messages)(?: length| tokens)?(?: has| contains| is| of|:|=)+ (\d+)",
    re.IGNORECASE,
)


def tokens_left(words: str, asked: int, context: int | None = None) -> int | None:
    """Tokens for an answer, where ``asked`` were too many; None: the words do not say, or nothing is left.

    ``context`` is what the server says about itself elsewhere, where the words do not.
    """
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", words)
    length = _number(_CONTEXT, plain) or context
    prompt = _number(_PROMPT, plain)
    if prompt is None and length:  # some say only what prompt and answer come to
        totals = [int(total) for total in re.findall(r"\d+", plain) if int(total) > length]
        prompt = totals[0] - asked if totals else None
    if not length or prompt is None:
        return None
    left = length - prompt
    return left if 0 < left < asked and prompt > 0 else None


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return int(next(group for group in match.groups() if group)) if match else None
