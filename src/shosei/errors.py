"""The two ways a command ends badly on purpose. Anything else that escapes is a bug of ours (exit code 1)."""

from __future__ import annotations

import difflib
import errno
import signal
from collections.abc import Iterable, Sequence

# The public contract: scripts rely on all of these, whether or not a verb of this version ends with each of them.
# A process that a signal ended counts as 128 + signal, as in the shell.
EXIT_OK = 0
EXIT_BUG = 1
EXIT_INPUT = 2
EXIT_REGRESSION = 3
EXIT_INCONCLUSIVE = 4
EXIT_INVALID = 5

# What keeps a whole disk, or this user's share of it, from being written.
OF_THE_DISK = {
    errno.ENOSPC: "no space left on device",
    errno.EDQUOT: "disk quota used up",
    errno.EFBIG: "file larger than allowed here",
    errno.EROFS: "read-only file system",
}

_PATH_ERRORS = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)


class InputError(Exception):
    """The user's input is wrong. The message is one line: what is wrong, and what to do. Exit code 2.

    ``param`` names the field at fault, for the HTTP API's error body. ``commands`` are lines to copy from below the
    message, where the verbs print it.
    """

    def __init__(self, message: str, *, param: str | None = None, commands: Sequence[str] = ()) -> None:
        super().__init__(" ".join(message.split()))
        self.param = param
        self.commands = tuple(commands)


class MeasurementInvalid(Exception):
    """A measurement failed one of its own checks, so its numbers must not be used. Exit code 5."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, or another ``signum`` than Ctrl-C's: it ends a verb as that does."""

    def __init__(self, signum: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signum = signum


def interruption(signum: int) -> KeyboardInterrupt:
    """What ends a verb that ``signum`` told to stop."""
    return KeyboardInterrupt() if signum == signal.SIGINT else Terminated(signum)


def exit_code_of_error(error: BaseException) -> int:
    """The code that a process ended by ``error`` exits with."""
    match error:
        case InputError():
            return EXIT_INPUT
        case MeasurementInvalid():
            return EXIT_INVALID
        case Terminated():
            return 128 + error.signum
        case KeyboardInterrupt():
            return 128 + signal.SIGINT
        case BrokenPipeError():
            return 128 + signal.SIGPIPE
        case OSError() if as_input_error(error):
            return EXIT_INPUT
        case _:
            return EXIT_BUG


def as_input_error(error: OSError) -> InputError | None:
    """One line about what the user can mend: a path that cannot be used, a full disk. None: a bug of ours."""
    of_file = f": {error.filename}" if error.filename else ""
    if error.errno in OF_THE_DISK:
        return InputError(f"{OF_THE_DISK[error.errno]}{of_file}")
    if (isinstance(error, _PATH_ERRORS) or error.errno == errno.ENAMETOOLONG) and error.filename:
        return InputError(f"{error.strerror}{of_file}")
    return None


def installing(extra: str) -> str:
    """The command that adds an extra: no package index has Shosei, so its checkout is named."""
    return f"pip install '.[{extra}]' in Shosei's checkout"


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest of ``choices``, or the list of them when none is close."""
    choices = sorted(choices)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(choices)}" if choices else ""
