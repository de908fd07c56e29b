"""How byte-level BPE divides text before it joins bytes: llama.cpp's names for it, and the form of ``tokenizer.json``.

llama.cpp knows each way by a name alone (``tokenizer.ggml.pre``) and computes the rest itself, so that both directions
go by this table: its names from ``llama-vocab.cpp``, and for each the steps of the folders that it was made for.
"""

from __future__ import annotations

from typing import Any

from shosei.text.tokenizer import QWEN2_PATTERN

Steps = list[dict[str, Any]]

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
_GPT2 = _BYTES | {"use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}
_LLAMA3_PATTERN = QWEN2_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_DEEPSEEK_CJK = "[一-龥ࠀ-一가-\ud7ff]+"
# Letters with two cases, as DeepSeek's first tokenizer lists them.
_DEEPSEEK_LETTERS = (
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼι"
    r"ῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-"
    r"𞥃]+"
)
_DEEPSEEK3_WORDS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)


def _split(*patterns: str) -> Steps:
    return [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in patterns
    ]


_WAYS: dict[str, Steps] = {
    "gpt-2": [_GPT2],
    "smollm": [_DIGITS, _GPT2],
    "qwen2": [*_split(QWEN2_PATTERN), _BYTES],
    "llama-bpe": [*_split(_LLAMA3_PATTERN), _BYTES],
    "smaug-bpe": [*_split(_LLAMA3_PATTERN), _BYTES],
    "deepseek-llm": [
        *_split("[\r\n]", _DEEPSEEK_LETTERS, "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", _DEEPSEEK_CJK),
        _DIGITS,
        _BYTES,
    ],
    "deepseek-coder": [*_split("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_CJK), _DIGITS, _BYTES],
    "deepseek-v3": [*_split(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", _DEEPSEEK3_WORDS), _BYTES],
}
# Names of other models' for the same.
_ALIASES = {
    "starcoder": "smollm",
    "refact": "smollm",
    "command-r": "smollm",
    "deepseek-r1-qwen": "qwen2",
    "megrez": "qwen2",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "dbrx": "smaug-bpe",
}
# Llama 3 takes a word that is a token whole, whatever its merges.
_WHOLE_WORDS = ("llama-bpe",)
NAMES = (*_WAYS, *_ALIASES)


def pre_tokenizer(name: str) -> dict[str, Any]:
    """What ``tokenizer.json`` calls the way of this name, one of ``NAMES``."""
    return {"type": "Sequence", "pretokenizers": _WAYS[_ALIASES.get(name, name)]}


def takes_whole_words(name: str) -> bool:
    """Whether a word that is a token is taken whole: ``ignore_merges`` of ``tokenizer.json``."""
    return _ALIASES.get(name, name) in _WHOLE_WORDS


def begins_texts(name: Any) -> bool:
    """Whether llama.cpp puts the begin token before a text where a file does not say."""
    return name in NAMES and _ALIASES.get(name, name) == "llama-bpe"


def name_of(tokenizer: dict[str, Any]) -> str | None:
    """llama.cpp's name for what the contents of a ``tokenizer.json`` do; None if it has none that is known here."""
    steps = _flattened(tokenizer.get("pre_tokenizer") or {})
    whole_words = bool(tokenizer["model"].get("ignore_merges"))
    same = [name for name, way in _WAYS.items() if _flattened({"type": "Sequence", "pretokenizers": way}) == steps]
    return next((name for name in same if takes_whole_words(name) == whole_words), None)


def _flattened(step: dict[str, Any]) -> Steps:
    """The steps one after the other, without what changes no token."""
    if step.get("type") == "Sequence":
        return [inner for part in step["pretokenizers"] for inner in _flattened(part)]
    defaults = {"use_regex": True} if step.get("type") == "ByteLevel" else {}
    return [defaults | {key: value for key, value in step.items() if key != "trim_offsets"}]
