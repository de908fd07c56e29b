"""Answers without their markup: width, signs, LaTeX and Markdown folded, so that a number can be read."""

from __future__ import annotations

import re
import unicodedata

BOX, BOX_END = "\u27e6", "\u27e7"  # what \boxed{} becomes
FACTORIAL = "\u00a1"  # what a ! becomes that is none of a sentence

_SUPERSCRIPT = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207b]+")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")
_CIRCLED = re.compile("[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793]")
_MILLIONS = re.compile(r"(?<=\d)(?:(M)|(?<=\.\d)B)(?![A-Za-z\d])")  # of 1.2M; 5m is a length
_DASH = re.compile(r"(?:^|(?<=[:=,(「$是为は]))([ \t]*)[—―─ー](?=[\d.])", re.M)  # — is a minus at the beginning only
_SIGNS = str.maketrans(
    {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63", "-"), "\u2019": "'", "\u301c": "~", "\u2715": "\u00d7"}
)
_BY = re.compile(r"(?<=\d)\s?(?:[x*]|\\times|\\cdot)\s?(?=[-$¥€\d])")
_BRACE = re.compile(r"\\(?:boxed|fbox)\{|[{}]")
_IS_FACTORIAL = re.compile(r"(?<=\d)!(?=\s*[)$×÷/*=+\u27e7-])")
_ONLY_FACTORIAL = re.compile(r"\s*\d+!\s*")
_COMPUTED = re.compile(r"<<[^<>\n]*>>")
_NO_BOUND = r"(?!\A[ \t]*>[ \t]*[-$¥\d].*\Z)"  # an answer that is “> 10” and nothing else quotes nothing
_MARKDOWN = re.compile(
    rf"\*\*|__|```\w*|`|^{_NO_BOUND}[ \t]*(?:>[ \t]*)+|^[ \t]*#{{1,3}}[ \t]|(?<![\w)])\*(?=\S)|(?<=[\w.!。])\*(?!\w)",
    re.M,
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
    (re.compile(r"\\(?:leq?|geq?|lt|gt)(?![a-zA-Z])"), "\u2264"),
    (re.compile(r"\\pi(?![a-zA-Z])"), "\u03c0"),
    (re.compile(r"\\(log|ln|lg|exp|sin|cos|tan|gcd|lcm)(?![a-zA-Z])"), r" \1 "),
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
    text = text if text.isascii() else _folded(text)
    text = _MILLIONS.sub(lambda scale: " million" if scale[1] else " billion", text).lower()
    if "\\" in text or "{" in text:
        text = _without_latex(text)
    text = _BY.sub("\u00d7", text)
    if "<<" in text:
        text = _COMPUTED.sub("", text)
    if any(mark in text for mark in "*`#>_"):
        text = _MARKDOWN.sub("", text)
    if "!" in text:
        text = text.replace("!", FACTORIAL) if _ONLY_FACTORIAL.fullmatch(text) else _IS_FACTORIAL.sub(FACTORIAL, text)
    return _BULLET.sub("", text) if "\n" in text.strip() else text


def _folded(text: str) -> str:
    text = _SUPERSCRIPT.sub(lambda power: "^" + unicodedata.normalize("NFKC", power[0]), text)
    text = _VULGAR.sub(lambda part: " " + unicodedata.normalize("NFKC", part[0]).replace("\u2044", "/"), text)
    text = _CIRCLED.sub("\n", text)
    text = text.replace("！", "。")  # the full-width one is never a factorial
    return _DASH.sub(r"\1-", unicodedata.normalize("NFKC", text)).translate(_SIGNS)


def _without_latex(text: str) -> str:
    text = _boxes_marked(text)
    for pattern, replacement in _LATEX[:2]:
        text = pattern.sub(replacement, text)
    text = _FRACTION.sub(_fraction, text)
    for pattern, replacement in _LATEX[2:]:
        text = pattern.sub(replacement, text)
    return text


def _boxes_marked(text: str) -> str:
    """Each ``\\boxed{...}``, up to the brace that closes it or the end, between the marks of a box."""
    open_braces: list[bool] = []  # whether each began a box

    def marked(brace: re.Match[str]) -> str:
        if brace[0] != "}":
            open_braces.append(brace[0] != "{")
            return BOX if open_braces[-1] else "{"
        return BOX_END if open_braces and open_braces.pop() else "}"

    return _BRACE.sub(marked, text) + BOX_END * sum(open_braces)


def _fraction(match: re.Match[str]) -> str:
    above, below = (match[1] or match[2] or "").strip(), (match[3] or match[4] or "").strip()
    after_digit = match.string[: match.start()].rstrip()[-1:].isdigit()
    return f"{' ' * after_digit}{above}/{below}"
