"""The two ways a command ends badly on purpose. Anything else that escapes is a bug of ours (exit code 1)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_BUG = 1
EXIT_INPUT = 2
EXIT_REGRESSION = 3
EXIT_INCONCLUSIVE = 4
EXIT_INVALID = 5
EXIT_INTERRUPTED = 130  # the shell's 128 + SIGINT


class InputError(Exception):
    """The user's input is wrong. The message is one line: what is wrong, and what to do. Exit code 2.

    ``param`` names the field at fault, for the HTTP API's error body.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.param = param


class MeasurementInvalid(Exception):
    """A measurement failed one of its own checks, so its numbers must not be used. Exit code 5."""


def exit_code(error: BaseException) -> int:
    """The code that a process ended by ``error`` exits with."""
    match error:
        case InputError():
            return EXIT_INPUT
        case MeasurementInvalid():
            return EXIT_INVALID
        case KeyboardInterrupt():
            return EXIT_INTERRUPTED
        case _:
            return EXIT_BUG


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest of ``choices``, or the list of them when none is close."""
    choices = sorted(choices)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(choices)}" if choices else ""
