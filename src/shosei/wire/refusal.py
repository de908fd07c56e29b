"""What a server's refusal says to do: how many tokens it leaves for the answer, or how it wants to be asked."""

from __future__ import annotations

import re

# As servers word it: ours, OpenAI and vLLM, SGLang, llama.cpp, TGI.
_CONTEXT = re.compile(
    r"(?:context (?:length|size|window)|context|max_model_len|n_ctx|maximum length|`?max_total_tokens`?)\D{0,40}?(\d+)"
    r"|must be <= (\d+)",
    re.IGNORECASE,
)
# The longest answer that a server gives, or that still fits: OpenAI, Anthropic, Groq and Mistral, DeepSeek and Qwen.
_ANSWER = re.compile(
    r"at most (\d+) (?:completion|output|new) tokens"
    r"|(\d+), which is the maximum allowed number of output tokens"
    r"|max_(?:completion_)?tokens\W* must be (?:at most|less than or equal to|<=)\W*(\d+)"
    r"|range of max_(?:completion_)?tokens (?:is|should be) \[\d+, ?(\d+)\]"
    r"|(\d+) tokens (?:are )?(?:left|remain)",
    re.IGNORECASE,
)
_PROMPT = re.compile(
    r"request \((\d+) tokens\) exceeds"
    r"|(\d+) (?:tokens? )?(?:in|from|of) (?:the |your )?(?:input|prompt|messages)"
    r"|(\d+) (?:input|prompt|`inputs`)"
    r"|(?:prompt|input|messages)(?: length| tokens)?(?: has| contains| is| of|:|=)+ (\d+)",
    re.IGNORECASE,
)

_UNKNOWN_FIELD = re.compile(
    r"un(?:supported|known|recogni[sz]ed|expected)|not (?:supported|permitted|allowed)|extra (?:inputs|fields)"
    r"|invalid field|不支持|未知|サポートされて|対応して",
    re.IGNORECASE,
)
_SETTINGS = {  # by the field that is refused
    "stream_options": "usage=false",
    "max_tokens": "max_tokens_field=max_completion_tokens",
    "max_completion_tokens": "max_tokens_field=max_tokens",
    "temperature": """extra_body='{"temperature": null}'""",
}


def settings_wanted(words: str, *verbs: str) -> str:
    """A clause on how these verbs ask without a field that a server's words refuse; empty where they refuse none."""
    if not _UNKNOWN_FIELD.search(words):
        return ""
    refused = next((field for field in _SETTINGS if re.search(rf"\b{field}\b", words)), "")
    settings = " ".join(f"--set {verb}.{_SETTINGS[refused]}" for verb in verbs) if refused else ""
    return f"; ask without that field: {settings}" if refused else ""


def tokens_left(words: str, asked: int, context: int | None = None) -> int | None:
    """Tokens for an answer, where ``asked`` were too many; None: the words do not say, or nothing is left.

    ``context`` is what the server says about itself elsewhere, where the words do not. Half of a context that the words
    name is left where they do not tell how long the prompt is.
    """
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", words)
    left = _number(_ANSWER, plain) or _beside_prompt(plain, asked, context)
    return left if left and 0 < left < asked else None


def _beside_prompt(words: str, asked: int, context: int | None) -> int | None:
    named = _number(_CONTEXT, words)
    length, prompt = named or context, _number(_PROMPT, words)
    if not length:
        return None
    if prompt is None:  # some say only what prompt and answer come to
        totals = (int(total) for total in re.findall(r"\d+", words))
        prompt = next((total - asked for total in totals if total > max(length, asked)), None)
    if prompt is None:
        return named and named // 2
    return length - prompt if prompt > 0 else None


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return int(next(group for group in match.groups() if group)) if match else None
