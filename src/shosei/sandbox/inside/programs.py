"""What a confined child does: play the candidate, or test one that lives in another sandbox, or both in one process."""

from __future__ import annotations

import builtins
import functools
import json
import re
import socket
from collections.abc import Callable
from io import BufferedRWPair
from typing import Any

from .literals import NotPlain, TooDeep, decode, encode, same

REPLY_BYTES = 1 << 20
_ENTRY_NAME = "candidate"
# Exceptions that mean something to whoever calls: the end of what it iterates over, or that a test of its own failed.
# They never stand for a candidate's failure, lest tests take that for the end of their cases.
_MISLEADING = (AssertionError, StopIteration, StopAsyncIteration)
_NOT_OF_WORDS = (UnicodeError, ExceptionGroup)  # made of more than a text


class NoReply(BaseException):
    """The candidate ended without a reply, or its reply is not one. Beyond the reach of ``except Exception``."""


class NotPlainArgument(BaseException):
    """The tests hand over an argument that is not a literal."""


class NotPlainResult(BaseException):
    """The candidate's result is not a literal."""


def run(host: socket.socket, channel: socket.socket) -> None:
    """Do what the host asks for in one line: ``role`` candidate, tests or both, ``entry_point``, and the role's own."""
    request = json.loads(host.makefile("rb").readline())
    if request["role"] == "candidate":
        host.close()
        _play(request, channel)
        return
    tell = _teller(host, request.pop("secret"))
    if request["role"] == "both":
        channel.close()
        tell(_judge_inside(request))
    else:
        tell(_judge(request, channel))


def _teller(host: socket.socket, secret: str) -> Callable[[str], None]:
    """Tells the host a verdict after the secret that it gave, so that what a program writes there is none.

    The secret came before the program was loaded and can be read from no descriptor again. Within one process it is out
    of reach only of programs that do not search their callers' frames, or memory, for it.
    """

    def tell(verdict: str) -> None:
        host.sendall(f"{secret} {verdict}\n".encode())

    return tell


def rehearse() -> None:
    """Judge a right program in this process."""
    program = {"entry_point": "f", "code": "def f(x):\n    return x"}
    here, there = socket.socketpair()
    with here, there:
        here.sendall(json.dumps(encode([[(1, "1")], {}])).encode() + b"\n")
        here.shutdown(socket.SHUT_WR)
        _play(program, there)
    tests = {"tests": [[[1], 1]], "setup": "", "test": "def check(f):\n    assert f([1.5]) == [1.5]"}
    _judge_inside({**program, **tests, "plain": True})


def _play(request: dict[str, Any], channel: socket.socket) -> None:
    """The candidate's side: load the program and say so, then answer each call, by ``[kind, value]``."""
    lines = channel.makefile("rwb")
    try:
        function = _load(request)
    except BaseException as error:
        _send(lines, _failure(error))
        return
    _send(lines, ["value", None])
    for line in lines:
        arguments, named = decode(json.loads(line))
        _send(lines, _answer(function, arguments, named))


def _send(lines: BufferedRWPair, message: Any) -> None:
    lines.write(json.dumps(message).encode() + b"\n")
    lines.flush()


def _answer(function: Callable[..., Any], arguments: list[Any], named: dict[str, Any]) -> list[Any]:
    try:
        value = function(*arguments, **named)
    except BaseException as error:
        return _failure(error)
    try:
        return ["value", encode(value)]
    except (NotPlain, RecursionError):
        return ["other", type(value).__name__]


def _failure(error: BaseException) -> list[Any]:
    try:
        words = str(error)[:500]
    except BaseException:
        words = ""
    return ["error", type(error).__name__, words]


def _judge(request: dict[str, Any], channel: socket.socket) -> str:
    """The tests' side, with a stand-in whose calls go to the candidate: the verdict."""
    lines = channel.makefile("rwb")

    def load() -> Callable[..., Any]:
        _received(lines)
        return _stand_in(lines, request["entry_point"])

    return _verdict(request, load)


def _judge_inside(request: dict[str, Any]) -> str:
    """Tests and candidate in one process, where the tests need more than literals: the verdict can be forged."""
    return _verdict(request, lambda: _honest(_load(request), request["plain"]))


def _honest(function: Callable[..., Any], plain: bool) -> Callable[..., Any]:
    """The function, raising nothing that tests could take for something else than its failure. A class stays one.

    With ``plain`` it returns only literals: an object of its own could say that it equals whatever is expected.
    """
    if isinstance(function, type):
        return function

    @functools.wraps(function, updated=())
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            value = function(*arguments, **named)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, _MISLEADING):
                raise
            raise RuntimeError(type(error).__name__) from None
        if plain:
            _check_plain(value)
        return value

    return call


def _check_plain(value: Any) -> None:
    try:
        encode(value)
    except (NotPlain, RecursionError):
        raise NotPlainResult from None


def _load(request: dict[str, Any]) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"__name__": _ENTRY_NAME}
    exec(compile(request["code"], _ENTRY_NAME, "exec", dont_inherit=True), namespace)
    function: Callable[..., Any] = namespace[request["entry_point"]]
    return function


def _verdict(request: dict[str, Any], load: Callable[[], Callable[..., Any]]) -> str:
    """``untested`` where the tests would pass any program, as they never call it."""
    calls: list[None] = []
    try:
        candidate = _counted(load(), calls)
        for arguments, expected in request["tests"]:
            if not same(expected, candidate(*arguments)):
                return "wrong"
        _run_source(request, candidate)
    except AssertionError:
        return "wrong"
    except MemoryError:
        return "out of memory"
    except NoReply:
        return "no reply"
    except NotPlainArgument:
        return "not plain argument"
    except NotPlainResult:
        return "not plain result"
    except ModuleNotFoundError as error:
        return _needs(error)
    except BaseException:
        return "exception"
    return "pass" if calls else "untested"


def _needs(error: ModuleNotFoundError) -> str:
    """``needs`` and the top-level module that was not found, which may be the candidate's word; else ``exception``."""
    found = re.fullmatch(r"No module named '(\w{1,64})(\.[\w.]*)?'", str(error))
    return f"needs {found[1]}" if found else "exception"


def _counted(function: Callable[..., Any], calls: list[None]) -> Callable[..., Any]:
    """The function, adding to ``calls`` when it is called. A class stays one, and counts as called."""
    if isinstance(function, type):
        calls.append(None)
        return function

    @functools.wraps(function, updated=())
    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(None)
        return function(*arguments, **named)

    return call


def _run_source(request: dict[str, Any], candidate: Callable[..., Any]) -> None:
    """HumanEval's ``check(candidate)``, or MBPP's bare asserts, which call the function by its own name."""
    entry_point = request["entry_point"]
    namespace: dict[str, Any] = {"__name__": "tests"}
    exec(compile(request["setup"], "setup", "exec", dont_inherit=True), namespace)
    namespace[entry_point] = candidate
    exec(compile(request["test"], "tests", "exec", dont_inherit=True), namespace)
    if "check" in namespace and entry_point != "check":
        namespace["check"](candidate)


def _stand_in(lines: BufferedRWPair, name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            message = encode([list(arguments), named])
        except (TooDeep, RecursionError):  # so deep is only what the candidate gave, or what a reference shows
            raise NotPlainResult from None
        except NotPlain:
            raise NotPlainArgument from None
        try:
            _send(lines, message)
        except OSError:
            raise NoReply from None
        return _received(lines)

    call.__name__ = name
    return call


def _received(lines: BufferedRWPair) -> Any:
    """The value in the candidate's next message, or what it raised. Raises NoReply, NotPlainResult."""
    try:
        kind, *said = json.loads(lines.readline(REPLY_BYTES))
        if kind == "value":
            return decode(said[0])
    except TooDeep:
        raise NotPlainResult from None
    except (OSError, ValueError, TypeError, LookupError, RecursionError, OverflowError):
        raise NoReply from None
    if kind == "other":
        raise NotPlainResult
    raise _raised(said)


def _raised(said: list[Any]) -> Exception:
    """The candidate's exception, if it is one of Python's own, so that tests can expect it."""
    name, words = (*map(str, said), "", "")[:2]
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, (*_MISLEADING, *_NOT_OF_WORDS)):
        return kind(words)
    return RuntimeError(f"{name}: {words}")
