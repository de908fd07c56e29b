"""What an answer may hold, token by token: llguidance's grammars. Imports no torch, for the process that tries them."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shosei.engine.protocol import Grammar
from shosei.errors import InputError, installing

# What one mask may cost, lest one answer hold up the step of all. On a busy machine an ambiguous grammar took 44 ms a
# token at 5,000 items, 240 ms at 10,000 and 430 ms at the library's 50,000; an object of 480 optional properties, near
# the most that the library follows, needs fewer than 5,000. A lexer's state takes 1 to 2 kB.
_LIMITS = {"step_max_items": 5_000, "step_lexer_fuel": 100_000, "max_lexer_states": 20_000, "verbose_errors": False}
_MOST_CHARACTERS = 300  # of an error, which may quote the whole grammar


class Constraint:
    """How far one answer has come in its grammar. Before the trigger, where the grammar has one, all is allowed."""

    def __init__(self, matcher: Any, trigger: int | None) -> None:
        self._matcher, self._trigger = matcher, trigger
        self._active = trigger is None

    def allowed(self) -> NDArray[np.bool_] | None:
        """Which tokens may come next, (V,); None: any. Raises InputError where the grammar is too complex to say."""
        if not self._active:
            return None
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise InputError(f"the grammar cannot be followed: {_reason(self._matcher.get_error())}")
        return np.unpackbits(bits, bitorder="little").view(np.bool_)

    def take(self, token: int) -> None:
        """``token`` was chosen; where it is not allowed, ``allowed`` raises from then on."""
        self._active = self._active or token == self._trigger
        if self._active:
            self._matcher.consume_token(token)


class Grammars:
    """Compiles grammars for the tokens of one model folder; ``rows`` is the number of logits, unless it is that of the
    tokenizer's entries. Belongs to one thread. ``kept`` of those that were compiled last are not compiled again."""

    def __init__(self, folder: Path, rows: int | None = None, kept: int = 64) -> None:
        self._folder, self._rows, self._most_kept = folder, rows, kept
        self._compiled: OrderedDict[str, Any] = OrderedDict()

    def constraint(self, grammar: Grammar) -> Constraint:
        """An answer's constraint before its first token. Raises InputError: no llguidance, no or bad grammar.

        A grammar may take any time and memory, which ``grammar_process`` therefore tries first; others run meanwhile.
        """
        matcher = self._compiled.pop(grammar.lark, None) or self._compile(grammar.lark)
        self._compiled[grammar.lark] = matcher
        if len(self._compiled) > self._most_kept:
            self._compiled.popitem(last=False)
        return Constraint(matcher.deep_copy(), grammar.trigger)

    def check(self, lark: str) -> None:
        """Do what an answer of this grammar needs first. Raises InputError as ``constraint``, and where that fails."""
        self.constraint(Grammar(lark)).allowed()

    def _compile(self, lark: str) -> Any:
        library = _llguidance()
        limits = library.LLParserLimits(**_LIMITS)
        try:
            matcher = library.LLMatcher(self._tokens, lark, log_level=0, limits=limits)
        except (InputError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in Rust is one, and a client waits for what becomes of its grammar
            raise InputError(f"the grammar cannot be compiled: {_one_line(str(error))}") from None
        if matcher.is_error():
            raise InputError(f"not a grammar: {_reason(matcher.get_error())}")
        return matcher

    @cached_property
    def _tokens(self) -> Any:
        from shosei.text import Tokenizer  # of which an engine without grammars has no use

        library, ends = _llguidance(), Tokenizer.load(self._folder).end_ids
        try:
            return library.LLTokenizer(str(self._folder / "tokenizer.json"), n_vocab=self._rows, eos_token=ends)
        except Exception as error:  # whatever its reader of foreign tokenizers raises
            raise InputError(f"llguidance cannot use this model's tokenizer: {_one_line(str(error))}") from None


def lark_of(text: str) -> str:
    """A grammar in llama.cpp's GBNF, or in Lark, as Lark. Raises InputError: without llguidance, or for neither."""
    _llguidance()
    from llguidance.gbnf_to_lark import any_to_lark

    try:
        return str(any_to_lark(text))
    except Exception as error:  # its parser raises what it likes
        raise InputError(f"the grammar is neither GBNF nor Lark: {_one_line(str(error))}") from None


def require_library() -> None:
    """Raise InputError unless llguidance is installed, which is not loaded for that."""
    if find_spec("llguidance") is None:
        raise InputError(f"tools and structured answers need llguidance: {installing('structured')}")


def _llguidance() -> ModuleType:
    require_library()
    import llguidance

    return llguidance


def _reason(text: str) -> str:
    """What the library says of an error, without the place where it says that it does not say more."""
    return _one_line(text.partition("<non-verbose")[0])


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else line[:_MOST_CHARACTERS] + "…"
