"""The texts of one page, each distinct one once and in every language, so that the page can switch without asking."""

from __future__ import annotations

import msgspec
from markupsafe import Markup

from shosei.card.numbers import cell
from shosei.card.words import LANGUAGES, say
from shosei.metrics.metric import Text, text


class Phrases:
    """Hands out HTML in ``language`` that names its phrase by index; ``said`` is the list of phrases for the script."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.said: list[list[str]] = []  # each in the order of LANGUAGES
        self._index: dict[bytes, int] = {}

    def index(self, phrase: Text) -> int:
        """The phrase's place in ``said``."""
        index = self._index.setdefault(msgspec.json.encode(phrase), len(self.said))
        if index == len(self.said):
            self.said.append([say(phrase, language) for language in LANGUAGES])
        return index

    def html(self, value: object) -> Markup:
        """A phrase to be switched, or a value that is the same in every language. Foreign text is of no known one."""
        said = cell(value)
        if isinstance(said, Text):
            return Markup('<span data-t="{}">{}</span>').format(self.index(said), self.plain(said))
        return Markup('<span lang="">{}</span>').format(said) if isinstance(value, str) else Markup.escape(said)

    def attribute(self, name: str, phrase: object) -> Markup:
        """``name="..."`` for a tag, such as ``title`` or ``aria-label``."""
        if not isinstance(phrase, Text):
            return Markup(' {}="{}"').format(name, self.plain(phrase))
        return Markup(' {0}="{1}" data-t-{0}="{2}"').format(name, self.plain(phrase), self.index(phrase))

    def term(self, key: str) -> Markup:
        """The card's own text of ``key``."""
        return self.html(text(key))

    def plain(self, value: object) -> str:
        """The words alone, in the page's first language."""
        return say(cell(value), self.language)
