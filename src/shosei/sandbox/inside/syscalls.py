"""A program's system calls: only those that it is given, by a seccomp filter (man 2 seccomp; x86-64 and arm64).

A fork would escape the limits on CPU time and memory, which hold for one process, and outlive the program: threads are
given, processes are not. Nor are the network, other programs, other processes, memory that no limit counts, and what
walls around files do not see.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import struct
from collections.abc import Sequence
from itertools import chain

from .calls import ABSENT, CONDITIONAL, FATAL, GIVEN

_NEWEST = 452  # a number above is a call that these tables do not know: said not to exist, as on an older kernel

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2

_CLONE_THREAD, _CLONE_NEW = 0x10000, 0x7E020000  # the second: any namespace
_THREAD_NAMES = (15, 16)  # PR_SET_NAME, PR_GET_NAME
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: no locks, leases, watches, or owners to be signalled.
_FCNTL = (0, 1, 2, 3, 4, 1030)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: no attributes of files, no devices.
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_STREAMS = tuple(
    socket.SOCK_STREAM | close_on_exec | nonblocking for close_on_exec in (0, 0x80000) for nonblocking in (0, 0x800)
)
_CLOCK_OF_ANOTHER = 0x80000000

# <linux/filter.h>, <linux/seccomp.h>
_LOAD, _AND, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def supported() -> bool:
    """Whether the tables have this processor's numbers."""
    return os.uname().machine in _ARCHITECTURES


def restrict(libc: ctypes.CDLL) -> None:
    """Install the filter for this process, for good. Raises OSError where the kernel has none."""
    code = _filter(os.getpid())
    program = _Program(len(code), struct.pack("HBBI" * len(code), *chain.from_iterable(code)))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


def _filter(pid: int) -> list[Instruction]:
    column, architecture = _ARCHITECTURES[os.uname().machine]
    conditions = _conditions(pid)
    code = [
        _load(_ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        *_give(_KILL_PROCESS),
        _load(_NUMBER_AT),
        (_ABOVE, 0, 1, _NEWEST),
        *_give(_ERRNO | errno.ENOSYS),
    ]
    for table, action in ((GIVEN, _ALLOW), (ABSENT, _ERRNO | errno.ENOSYS), (FATAL, _KILL_PROCESS)):
        for pair in table.values():
            code += _on(pair[column], _give(action))
    for name, pair in CONDITIONAL.items():
        code += _on(pair[column], conditions[name])
    return [*code, *_REFUSE]


def _conditions(pid: int) -> dict[str, list[Instruction]]:
    """What decides on the arguments of each call in CONDITIONAL."""
    itself = _if_one_of(0, (0, pid))
    clock = [_argument(0), (_ANY_BIT, 0, 1, _CLOCK_OF_ANOTHER), *_REFUSE, *_give(_ALLOW)]
    return {
        "clone": [
            _argument(0),
            (_ANY_BIT, 0, 1, _CLONE_NEW),
            *_REFUSE,
            (_ANY_BIT, 0, 1, _CLONE_THREAD),
            *_give(_ALLOW),
            *_REFUSE,
        ],
        "kill": _if_own_signal(pid, 1),
        "tgkill": _if_own_signal(pid, 2),
        "prctl": _if_one_of(0, _THREAD_NAMES),
        "prlimit64": [*_refuse_if_pointer(2), *itself],
        "sched_getaffinity": itself,
        "getpgid": itself,
        "getsid": itself,
        "ioctl": _if_one_of(1, _IOCTL, _give(_ERRNO | errno.ENOTTY)),
        "fcntl": _if_one_of(1, _FCNTL),
        # A pair of datagram sockets sends to any address.
        "socketpair": [_argument(0), (_EQUAL, 1, 0, socket.AF_UNIX), *_REFUSE, *_if_one_of(1, _STREAMS)],
        "open": _if_no_truncated_reading(1),
        "openat": _if_no_truncated_reading(2),
        "clock_gettime": clock,
        "clock_getres": clock,
        "clock_nanosleep": clock,
    }


def _if_own_signal(pid: int, signal_at: int) -> list[Instruction]:
    """To itself; but SIGSYS is how the filter ends a program."""
    return [_argument(signal_at), (_EQUAL, 0, 1, signal.SIGSYS), *_REFUSE, *_if_one_of(0, (pid,))]


def _if_no_truncated_reading(flags_at: int) -> list[Instruction]:
    """A file that is opened without the right to write must not be truncated by it: older walls let that through."""
    return [
        _argument(flags_at),
        (_ANY_BIT, 1, 0, os.O_TRUNC),
        *_give(_ALLOW),
        (_AND, 0, 0, os.O_ACCMODE),
        *_among((os.O_WRONLY, os.O_RDWR)),
        *_REFUSE,
    ]


def _load(offset: int) -> Instruction:
    return _LOAD, 0, 0, offset


def _argument(position: int) -> Instruction:
    """The lower half: the whole of an int."""
    return _load(_ARGUMENTS_AT + 8 * position)


def _give(action: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, action)]


_REFUSE = _give(_ERRNO | errno.EPERM)


def _on(number: int | None, body: list[Instruction]) -> list[Instruction]:
    """``body``, which ends the filter, for this system call."""
    return [] if number is None else [(_EQUAL, 0, len(body), number), *body]


def _among(values: Sequence[int]) -> list[Instruction]:
    """Allow, if one of ``values`` is loaded."""
    return [step for value in values for step in ((_EQUAL, 0, 1, value), *_give(_ALLOW))]


def _if_one_of(position: int, values: Sequence[int], otherwise: list[Instruction] = _REFUSE) -> list[Instruction]:
    return [_argument(position), *_among(values), *otherwise]


def _refuse_if_pointer(position: int) -> list[Instruction]:
    low = _ARGUMENTS_AT + 8 * position
    return [_load(low), (_EQUAL, 1, 0, 0), *_REFUSE, _load(low + 4), (_EQUAL, 1, 0, 0), *_REFUSE]
