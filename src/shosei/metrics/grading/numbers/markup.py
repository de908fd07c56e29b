"""Answers without their markup: width, signs, LaTeX and Markdown folded, so that a number can be read."""

from __future__ import annotations

import re
import unicodedata

BOX, BOX_END = "\u27e6", "\u27e7"  # what \boxed{} becomes

_SUPERSCRIPT = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207b]+")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")
_CIRCLED = re.compile("[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793]")
_SIGNS = str.maketrans(
    {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63", "-"), "\u2019": "'", "\u301c": "~", "\u2715": "\u00d7"}
)
_BY = re.compile(r"(?<=\d)\s?(?:[x*]|\\times|\\cdot)\s?(?=[-$¥€\d])")
_COMPUTED = re.compile(r"<<[^<>\n]*>>")
_MARKDOWN = re.compile(
    r"\*\*|__|```\w*|`|^[ \t]*(?:>[ \t]*)+|^[ \t]*#{1,3}[ \t]|(?<![\w)])\*(?=\S)|(?<=[\w.!。])\*(?!\w)", re.M
)
_BULLET = re.compile(r"^[ \t]*(?:[-*+•・◦][ \t]+|\(?\d{1,2}[.)、](?:[ \t]+(?=\S)|(?=[^\W\d]|[-*$¥])))", re.M)

_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_LATEX = [
    (re.compile(r"\{,\}|,\\!"), ","),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|textit|mathit|operatorname|mbox)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:times|cdot)(?![a-zA-Z])"), "\u00d7"),
    (re.compile(r"\\div(?![a-zA-Z])"), "\u00f7"),
    (re.compile(r"\\(?:approx|simeq|doteq)(?![a-zA-Z])"), "\u2248"),
    (re.compile(r"\\pm(?![a-zA-Z])"), "\u00b1"),
    (re.compile(r"\\neq?(?![a-zA-Z])"), "\u2260"),
    (re.compile(r"\\sqrt"), "\u221a"),
    (re.compile(r"\^\s*\{?\\circ\}?|\\degree"), "\u00b0"),
    (re.compile(r"\\!|\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|(?<=[\s\d])&|&(?==)"), ""),
    (re.compile(r"\\\\"), "\n"),
    (re.compile(r"\\([$%#&_{}])"), r"\1"),
    (re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}|\\[,;: ()\[\]]|~|\\[a-zA-Z]+"), " "),
    (re.compile(r"([\^_])\{([^{}]*)\}"), r"\1\2"),
    (re.compile(r"[{}]|\$\$"), " "),
]


def plain(text: str) -> str:
    """``text`` in NFKC and lower case, with one minus sign; without LaTeX, Markdown and the marks of lists.

    Superscripts become ``^2``, ½ becomes 1/2, and the content of ``\\boxed{}`` stands between ``BOX`` and ``BOX_END``.
    """
    text = (text if text.isascii() else _folded(text)).lower()
    if "\\" in text or "{" in text:
        text = _without_latex(text)
    text = _BY.sub("\u00d7", text)
    if "<<" in text:
        text = _COMPUTED.sub("", text)
    if any(mark in text for mark in "*`#>_"):
        text = _MARKDOWN.sub("", text)
    return _BULLET.sub("", text) if "\n" in text.strip() else text


def _folded(text: str) -> str:
    text = _SUPERSCRIPT.sub(lambda power: "^" + unicodedata.normalize("NFKC", power[0]), text)
    text = _VULGAR.sub(lambda part: " " + unicodedata.normalize("NFKC", part[0]).replace("\u2044", "/"), text)
    text = _CIRCLED.sub("\n", text)
    return unicodedata.normalize("NFKC", text).translate(_SIGNS)


def _without_latex(text: str) -> str:
    text = _boxes_marked(text)
    for pattern, replacement in _LATEX[:2]:
        text = pattern.sub(replacement, text)
    text = _FRACTION.sub(_fraction, text)
    for pattern, replacement in _LATEX[2:]:
        text = pattern.sub(replacement, text)
    return text


def _boxes_marked(text: str) -> str:
    """Each ``\\boxed{...}``, up to the brace that closes it, between the marks of a box."""
    while (begin := text.rfind("\\boxed{")) >= 0:
        depth, end = 1, begin + len("\\boxed{")
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        content = text[begin + len("\\boxed{") : end - (not depth)]
        text = text[:begin] + BOX + content + BOX_END + text[end:]
    return text


def _fraction(match: re.Match[str]) -> str:
    above, below = (match[1] or match[2] or "").strip(), (match[3] or match[4] or "").strip()
    after_digit = match.string[: match.start()].rstrip()[-1:].isdigit()
    return f"{' ' * after_digit}{above}/{below}"
