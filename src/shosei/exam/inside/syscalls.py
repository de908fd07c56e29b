"""The system calls that a program is not given, as a seccomp filter (man 2 seccomp; x86-64 and arm64).

A fork would escape the limits on CPU time and memory, which hold for one process, and outlive the program: threads are
given, processes are not. With them go the network, other programs, other processes' memory and signals, memory that
no limit counts, and the corners of the kernel that only administrators and attackers visit.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

# name: number on x86-64, on arm64; None where there is none. A program that tries one of these gets an error ...
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "socket": (41, 198), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "setrlimit": (160, 164),
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    "sched_setattr": (314, 274), "sched_setscheduler": (144, 119), "personality": (135, 92),
}  # fmt: skip
# ... and one that tries one of these is ended: no solution of a task has a use for it.
_FATAL: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272), "migrate_pages": (256, 238),
    "move_pages": (279, 239), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171), "sethostname": (170, 161),
    "setdomainname": (171, 162), "vhangup": (153, 58),
}  # fmt: skip
# Given with conditions on their arguments.
_CLONE, _CLONE3, _KILL, _TGKILL, _PRCTL, _PRLIMIT = (56, 220), (435, 435), (62, 129), (234, 131), (157, 167), (302, 261)
_NEWEST = 452  # a number above is a call that this table does not know

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
_CLONE_THREAD = 0x10000
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 1, 22, 38, 2

# <linux/filter.h>, <linux/seccomp.h>
_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def supported() -> bool:
    """Whether the table has this processor's numbers."""
    return os.uname().machine in _ARCHITECTURES


def refuse(libc: ctypes.CDLL) -> None:
    """Install the filter for this process, for good. Raises OSError where the kernel has none."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _filter(os.getpid()))
    program = _Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


def _filter(pid: int) -> list[Instruction]:
    column, architecture = _ARCHITECTURES[os.uname().machine]
    refused = _give(_ERRNO | errno.EPERM)
    code = [
        _load(_ARCHITECTURE_AT), (_EQUAL, 1, 0, architecture), *_give(_KILL_PROCESS),
        _load(_NUMBER_AT), (_ABOVE, 0, 1, _NEWEST), *_give(_ERRNO | errno.ENOSYS),
        *_on(_CLONE3[column], _give(_ERRNO | errno.ENOSYS)),  # its flags are in memory; callers fall back to clone
        *_on(_CLONE[column], [_load(_ARGUMENTS_AT), (_ANY_BIT, 0, 1, _CLONE_THREAD), *_give(_ALLOW), *refused]),
        *_on(_PRCTL[column], [_load(_ARGUMENTS_AT), (_EQUAL, 1, 0, _PR_SET_PDEATHSIG), *_give(_ALLOW), *refused]),
        *_on(_PRLIMIT[column], _if_no_pointer(_ARGUMENTS_AT + 2 * 8, refused)),
    ]  # fmt: skip
    for number in (_KILL[column], _TGKILL[column]):
        code += _on(number, [_load(_ARGUMENTS_AT), (_EQUAL, 0, 1, pid), *_give(_ALLOW), *refused])
    for calls, action in ((_REFUSED, refused), (_FATAL, _give(_KILL_PROCESS))):
        for call in [pair[column] for pair in calls.values()]:
            code += [] if call is None else _on(call, action)
    return [*code, *_give(_ALLOW)]


def _load(offset: int) -> Instruction:
    return _LOAD, 0, 0, offset


def _give(action: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, action)]


def _on(number: int, body: list[Instruction]) -> list[Instruction]:
    """``body``, which ends the filter, for this system call."""
    return [(_EQUAL, 0, len(body), number), *body]


def _if_no_pointer(offset: int, otherwise: list[Instruction]) -> list[Instruction]:
    return [
        _load(offset), (_EQUAL, 0, 3, 0), _load(offset + 4), (_EQUAL, 0, 1, 0), *_give(_ALLOW), *otherwise,
    ]  # fmt: skip
