"""How a child loses what it is not to have before it runs a program: namespaces, capabilities, limits, calls."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Sequence
from typing import Any

from . import syscalls

FOLDER = "/tmp"  # the program's own, where there are namespaces
FILE_BYTES = 1 << 20
OPEN_FILES = 32

_FOLDER_OPTIONS = b"size=16m,nr_inodes=1024,mode=0700"
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWPID = 0x00020000, 0x08000000, 0x20000000
_MS_NOSUID, _MS_NODEV = 2, 4
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 1, 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)  # before any fork: loading is not safe after one


def prepare() -> None:
    """Put the children that this process will have into a process namespace of their own, this process not among them.

    Its first process, which no signal from inside reaches, does nothing but be there: a program that kills itself is to
    find its end. The kernel ends all others when that one ends, which it does with this process.
    """
    _call("unshare", _CLONE_NEWPID)
    if os.fork() == 0:
        try:
            _end_with(os.getppid())
            _close_all_but(())
            while True:
                signal.pause()
        finally:
            os._exit(1)


def confine(settings: dict[str, Any], channels: Sequence[int]) -> None:
    """In the child: keep ``channels`` and nothing else that could reach beyond it. There is no way back.

    Settings: ``namespaces``, ``cpu_s`` of processor time, ``memory_bytes`` of address space.
    """
    _end_with(os.getppid())
    os.setsid()
    _close_all_but(channels)
    if settings["namespaces"]:
        _call("unshare", _CLONE_NEWNS | _CLONE_NEWIPC)
        _call("mount", b"tmpfs", FOLDER.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, _FOLDER_OPTIONS)
        os.chdir(FOLDER)
    _drop_capabilities()
    for kind, limit in (
        (resource.RLIMIT_AS, settings["memory_bytes"]),
        (resource.RLIMIT_CPU, 2 * settings["cpu_s"] + 1),  # should the zygote, which counts better, be gone
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    syscalls.restrict(_libc)


def _end_with(parent: int) -> None:
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _close_all_but(channels: Sequence[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    first = 3
    for fd in sorted(channels):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, 4096)


def _drop_capabilities() -> None:
    """Root's powers over files, processes and limits that are not its own, where the sandbox was started by root."""
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    capability = 0
    while not _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):  # until there are no more, or it may drop none
        capability += 1
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)
