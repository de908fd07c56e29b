"""What an answer may hold, token by token: llguidance's grammars. Imports no torch, so that the front can check one."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shosei.engine.protocol import Grammar
from shosei.errors import InputError, installing
from shosei.text import Tokenizer


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
            raise InputError(f"the grammar cannot be followed: {_one_line(self._matcher.get_error())}")
        return np.unpackbits(bits, bitorder="little").view(np.bool_)

    def take(self, token: int) -> None:
        """``token`` was chosen; where it is not allowed, ``allowed`` raises from then on."""
        self._active = self._active or token == self._trigger
        if self._active:
            self._matcher.consume_token(token)


class Grammars:
    """Compiles grammars for the tokens of one model folder; ``rows`` is the number of logits."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder, self._rows = folder, rows

    def constraint(self, grammar: Grammar) -> Constraint:
        """An answer's constraint before its first token. Raises InputError: no llguidance, no or bad grammar."""
        matcher = _llguidance().LLMatcher(self._tokens, grammar.lark, log_level=0)
        if matcher.is_error():
            raise InputError(f"not a grammar: {_one_line(matcher.get_error())}")
        return Constraint(matcher, grammar.trigger)

    @cached_property
    def _tokens(self) -> Any:
        ends = Tokenizer.load(self._folder).end_ids
        return _llguidance().LLTokenizer(str(self._folder / "tokenizer.json"), n_vocab=self._rows, eos_token=ends)


def schema_fault(schema: str) -> str:
    """Why answers cannot be held to a JSON schema, if so. Raises InputError without llguidance."""
    matcher = _llguidance().LLMatcher
    try:
        return _one_line(matcher.validate_grammar(matcher.grammar_from_json_schema(schema)))
    except ValueError as error:
        return _one_line(str(error))


def grammar_fault(lark: str) -> str:
    """Why a grammar is none, if so. Raises InputError without llguidance."""
    return _one_line(_llguidance().LLMatcher.validate_grammar(lark))


def lark_of(text: str, param: str) -> str:
    """A grammar in llama.cpp's GBNF, or in Lark, as Lark. Raises InputError: without llguidance, or, about the field
    ``param``, for neither."""
    _llguidance()
    from llguidance.gbnf_to_lark import any_to_lark

    try:
        return str(any_to_lark(text))
    except Exception as error:  # its parser raises what it likes
        raise InputError(f"the grammar is neither GBNF nor Lark: {_one_line(str(error))}", param=param) from None


def _llguidance() -> ModuleType:
    try:
        import llguidance
    except ImportError:
        raise InputError(f"tools and structured answers need llguidance: {installing('structured')}") from None
    return llguidance


def _one_line(text: str) -> str:
    return " ".join(text.split())
