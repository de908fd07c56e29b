"""Where a text mentions which option: each mention becomes one character, so that rules can be written over them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Private-use characters, to which the option's number is added: named by its letter, by its text; and what is added to
# a mention that the text denies, or leaves in doubt.
LETTER, TEXT, DENIED, DOUBTED = 0xE000, 0xE400, 0x800, 0x1000
MOST = TEXT - LETTER  # options that can be told apart

_PRIVATE = re.compile("[\ue000-\uf8ff]")
_MARKUP = re.compile(r"\\(?:text(?:bf|rm|it)?|math(?:rm|bf|sf)?|[()\[\]])|[*`$]|(?<!\w)_|_(?!\w)|\\(?=boxed)")
_SPACES, _BLANK_LINES = re.compile(r"[^\S\n]+"), re.compile(r"\n(?: ?\n)+")
_BRACKETS = re.compile(r"[\[\](){}【】「」『』《》〈〉〔〕\"“”‘]|'(?![a-z])")

# Words after which a small letter, or a lone A, is an option's.
_CALLED = (
    r"(?:\b(?:options?|choices?|answer|letter|is|be|choose|chose|pick|select|with)\b|[:=]|boxed\s*\{|"
    r"选项?|選択肢|择|答案是?|は|是|为)\s*\s*[(\[{\"'“「【]*"
)
# What may be said of an option called A; before any other word "A" is the article.
_PREDICATES = (
    r"is|was|are|and|or|as|because|since|but|would|looks?|seems?|matches|fits|must|should|can|cannot|can't|has|does|"
    r"doesn't|isn't|in|for|to|here|it|being|alone|only|correct|right|wrong|incorrect|not|makes?|best"
)
_ARTICLE = rf"(?:(?<![Aa])|(?![ \t]+(?:(?!(?:{_PREDICATES})\b)[a-z]|[\ue401-\ue7ff])))"
_ORDINALS = [
    ("first", "一", "1"),
    ("second", "二", "2"),
    ("third", "三", "3"),
    ("fourth", "四", "4"),
    ("fifth", "五", "5"),
]
_ORDINAL = re.compile(
    r"(?i:\bthe (first|second|third|fourth|fifth) (?:option|choice|one|answer)\b)|"
    r"第([一二三四五1-5])[个個]?(?:选项|選項|答案)|([一二三四五1-5])(?:番目|つ目)(?:の(?:選択肢|もの))?"
)


def plain(text: str) -> str:
    """A text without what only decorates it: width (NFKC), Markdown, LaTeX, runs of white space."""
    text = _MARKUP.sub("", unicodedata.normalize("NFKC", _PRIVATE.sub("", text)).replace("’", "'"))
    return _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", text))


def bare(text: str) -> str:
    """Letters and digits alone, whatever their case and width."""
    return re.sub(r"[\W_]", "", plain(text)).upper()


def option_of(mention: str) -> int:
    """The number of the option that a mention is of, denied, in doubt, or neither."""
    return (ord(mention) - LETTER) % MOST


def is_text(mention: str) -> bool:
    """Whether a mention is of an option's text, not of its letter."""
    return (ord(mention) - LETTER) % DENIED >= MOST


class Mentions:
    """Of options called ``letters``, one character each ("" if they have no such names), with these ``texts``."""

    def __init__(self, letters: str, texts: Sequence[str]) -> None:
        self._letters = unicodedata.normalize("NFKC", letters)
        self._by_letter = re.compile("|".join(_forms(self._letters)), re.MULTILINE) if letters else None
        self._by_text = _of_texts(texts, self._letters)
        self._several = re.compile(
            rf"(?:(?<=[是选:])|(?<=: )|(?<=is )|(?<=^))[{self._letters}\ue7ff]{{2,}}(?![A-Za-z0-9])"
        )

    def put_into(self, text: str) -> str:
        """``text``, a ``plain`` one, with its mentions replaced, and without brackets and quotes."""
        if self._by_text:
            text = self._by_text.sub(lambda match: chr(TEXT + int(str(match.lastgroup)[1:])), text)
        if self._by_letter:
            text = self._several.sub(lambda match: "、".join(match[0]), text)
            text = _ORDINAL.sub(self._ordinal, self._by_letter.sub(self._mention, text))
        return _BRACKETS.sub("", text)

    def _mention(self, match: re.Match[str]) -> str:
        """What was matched, with the mention in the place of the letter."""
        group = match.lastindex or 0
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        option = self._letters.index(match[group].upper())
        return match[0][:start] + chr(LETTER + option) + match[0][end:]

    def _ordinal(self, match: re.Match[str]) -> str:
        option = next(place for place, names in enumerate(_ORDINALS) if match[match.lastindex or 0].lower() in names)
        return chr(LETTER + option) if option < len(self._letters) else match[0]


@lru_cache(maxsize=1024)
def mentions(letters: str, texts: tuple[str, ...]) -> Mentions:
    """The same ones for all answers to a task."""
    return Mentions(letters, texts)


def _forms(letters: str) -> list[str]:
    """Patterns of an option's letter, which is a group, whatever stands around it."""
    letter, small = f"([{letters}])", f"([{letters}{letters.lower()}])"
    match letters[0]:
        case "A":
            return [
                rf"(?<=\(){small}(?=\))|^[ \t>#-]*{small}(?=[ \t]*[.):])",
                rf"(?i:{_CALLED}){small}(?![A-Za-z0-9+#-]|'[a-z]){_ARTICLE}",
                rf"(?<![A-Za-z0-9]){small}(?=です|だ|である)",
                rf"(?<![A-Za-z0-9'°&])(?!I\b){letter}(?![A-Za-z0-9'+#°]|-[a-z]){_ARTICLE}",
            ]
        case "1":  # any other digit may count something
            return [
                rf"(?<=[(\[【「]){letter}(?=[)\]】」])",
                rf"(?i:选项|選択肢|答案[是为:]|答え[は:]|正解は|第)\s*{letter}(?![\d.,]\d|\d)",
                rf"(?i:\b(?:option|choice|number|no\.|answer(?: is|:)))\s*{letter}(?![\d.,]\d|\d)",
                rf"(?<![\d.]){letter}(?=番|号|です|[.)] )",
            ]
        case "ア":
            return [rf"(?<![ァ-ヺー]){letter}(?![ァ-ヺー])"]
    return [letter]


def _of_texts(texts: Sequence[str], letters: str) -> re.Pattern[str] | None:
    """Finds texts, the longest first, as groups ``_NUMBER``; none that is a letter, or that two options have."""
    folded = [plain(text).strip() for text in texts]
    known = [text.casefold() for text in folded]
    told = [
        (text, number)
        for number, text in enumerate(folded)
        if text and text.upper() not in letters and known.count(known[number]) == 1
    ]
    told.sort(key=lambda pair: -len(pair[0]))
    forms = "|".join(f"(?P<_{number}>{_bounded(text)})" for text, number in told)
    return re.compile(forms, re.IGNORECASE) if forms else None


def _bounded(text: str) -> str:
    """A text that is not part of a longer word or number; a single character of Chinese or kana stands alone."""
    alone = len(text) == 1 and not text.isascii()
    word = r"[^\W_]" if alone else "[A-Za-z0-9]"
    before = rf"(?<!{word})(?<!')(?<!\d[.,])" if alone or re.match(r"[A-Za-z0-9]", text) else ""
    after = rf"(?!{word})(?![.,]\d)" if alone or re.search(r"[A-Za-z0-9]\Z", text) else ""
    if alone:
        before, after = (
            rf"(?:{before}|(?<=答案[是为])|(?<=答えは)|(?<=正解は)|(?<=应该是))",
            rf"(?:{after}|(?=です|だ))",
        )
    return before + r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", text))) + after
