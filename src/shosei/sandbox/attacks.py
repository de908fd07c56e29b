"""Programs that attack their sandbox: ``f`` answers "held" if it got nowhere, else what it got.

Its arguments are what ``outside`` makes: ``secret``, the path of a file that holds a word; ``port``, of this machine's
loopback, on which a server listens; ``process``, the number of a process of the same user; ``mailbox``, the abstract
name of a datagram socket. Another such socket is the file ``mailbox`` beside the secret.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

_ENDED = ("pass", "sandbox violation")


class Attack(NamedTuple):
    """``outcomes``: those that show that the sandbox held. Not ``essential``: a wall may let it through, and say so."""

    name: str
    program: str
    outcomes: tuple[str, ...] = ("pass",)
    essential: bool = True


_BEGIN = """
import ctypes, fcntl, os, resource, socket, stat, time
libc = ctypes.CDLL(None, use_errno=True)
arm = os.uname().machine == "aarch64"
null = os.open("/dev/null", os.O_RDWR)

def works(way):
    try:
        return way() != -1  # the C library's answer to a call that failed
    except (OSError, ValueError):
        return False

def f(secret, port, process, mailbox):
"""


def _tries(body: str) -> str:
    """A program whose ``f`` is held if ``body`` raises an error, or comes to its end without an answer."""
    body = textwrap.indent(textwrap.dedent(body).strip(), "        ")
    return f"{_BEGIN}    try:\n{body}\n    except (OSError, ValueError):\n        pass\n    return 'held'\n"


def _ways(*ways: str) -> str:
    """A program whose ``f`` is held if each of ``ways``, expressions, raises an error or is -1."""
    tried = "".join(f"    if works(lambda: {way}):\n        return {way!r}\n" for way in ways)
    return f"{_BEGIN}    here, there = os.path.dirname(secret), secret + '.spare'\n{tried}    return 'held'\n"


_SIGNALS = """
for pid in (process, -1, 0, os.getppid(), *range(2, 64)):
    try:
        if pid != os.getpid():
            os.kill(pid, 0)
            return f"reached {pid}"
    except OSError:
        pass
"""
_DESCRIPTORS = """
own = 0
for fd in set(range(3, 4096)) - {null}:
    try:
        os.fstat(fd)
        own += 1
    except OSError:
        pass
if own > 1:
    return f"{own} descriptors"
"""
_ENVIRONMENT = """
if unknown := set(os.environ) - {
    "PYTHONHASHSEED", "LANG", "LC_CTYPE", "PATH", "PWD", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"
}:
    return str(unknown)
"""
_FORK_BOMB = """
while True:
    if os.fork() == 0:
        os._exit(0)
    return "forked"
"""
_THREADS = """
attributes, thread, started = ctypes.create_string_buffer(64), ctypes.c_ulong(), 0
libc.pthread_attr_init(attributes)
libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(1 << 14))
while started < 1000 and not libc.pthread_create(ctypes.byref(thread), attributes, libc.pause, None):
    started += 1
time.sleep(0.2)
if started == 1000:
    return f"{started} threads"
"""
_DISK = """
for number in range(256):
    with open(f"big{number}", "wb") as file:
        file.write(bytes(1 << 19))
for number in range(256):
    os.unlink(f"big{number}")  # it may be a real one
return "filled"
"""

ATTACKS = [
    Attack("read a file outside", _tries("return open(secret).read()")),
    Attack("read a system file", _tries("return open('/etc/passwd').read()")),
    Attack("read a file by raw system call", _tries("if libc.open(secret.encode(), 0) >= 0: return 'opened'")),
    Attack("write outside", _tries("open(secret + '.written', 'w').close(); return 'written'")),
    Attack("reach the network", _tries("socket.socket(socket.AF_INET, socket.SOCK_DGRAM); return 'a socket'")),
    Attack("connect to loopback", _tries("socket.create_connection(('127.0.0.1', port), 1); return 'connected'")),
    Attack("signal other processes", _tries(_SIGNALS)),
    Attack("trace another process", _tries("if not libc.ptrace(16, os.getppid() or 1, 0, 0): return 'traced'"), _ENDED),
    Attack("read another's memory", _tries("return str(open(f'/proc/{os.getppid() or 1}/mem', 'rb').read(0))")),
    Attack("use others' descriptors", _tries(_DESCRIPTORS)),
    Attack("find secrets in the environment", _tries(_ENVIRONMENT)),
    Attack("fork bomb", _tries(_FORK_BOMB)),
    Attack("threads without end", _tries(_THREADS), _ENDED),
    Attack("leave a survivor", _tries("os.posix_spawn('/proc/self/exe', ['python'], {}); return 'spawned'")),
    Attack("run another program", _tries("os.execv('/bin/sh', ['sh', '-c', 'exit 0'])")),
    Attack("take shared memory", _tries("if libc.shmget(0, 1 << 20, 0o1600) >= 0: return 'taken'")),
    Attack("raise its limits", _tries("resource.setrlimit(resource.RLIMIT_CPU, (999, 999)); return 'raised'")),
    Attack("make a user namespace", _tries("if not libc.unshare(0x10000000): return 'made'"), _ENDED),
    Attack("allocate 10 GB", "def f(*outside):\n    return len(bytearray(10 << 30))", ("out of memory",)),
    Attack("fill the disk", _tries(_DISK)),
    Attack(
        "change a file's mode",
        _ways(
            "os.chmod(secret, 0o4777)",
            "os.chmod(secret, 0o4777, follow_symlinks=False)",
            "os.fchmod(null, stat.S_IMODE(os.fstat(null).st_mode))",
        ),
    ),
    Attack(
        "take a file",
        _ways(
            "os.chown(secret, 1, 1)",
            "os.chown(secret, os.getuid(), -1)",
            "os.lchown(secret, os.getuid(), -1)",
            "os.fchown(null, os.getuid(), -1)",
        ),
    ),
    Attack(
        "change a file's times",
        _ways(
            "os.utime(secret, (1, 1))",
            "os.utime(null)",
            "libc.utime(secret.encode(), None)",
            "libc.utimes(secret.encode(), None)",
        ),
    ),
    Attack(
        "change a file's attributes",
        _ways(
            "os.setxattr(secret, 'user.shosei', b'x')",
            "fcntl.ioctl(os.open(os.__file__, 0), 0x80086601, bytes(8))",
        ),
    ),
    Attack(
        "change a folder outside",
        _ways(
            "os.link(there, there + '.link')",
            "os.symlink(there, there + '.symlink')",
            "os.mkdir(there + '.folder')",
            "os.mkfifo(there + '.fifo')",
            "os.truncate(there, 0)",
            "os.rename(there, there + '.new')",
            "os.unlink(there)",
        ),
    ),
    Attack(
        "lock a file",
        _ways(
            "fcntl.flock(null, fcntl.LOCK_SH | fcntl.LOCK_NB)",
            "fcntl.lockf(null, fcntl.LOCK_SH | fcntl.LOCK_NB)",
            "fcntl.fcntl(os.open(os.__file__, 0), 1024, fcntl.F_RDLCK)",
        ),
    ),
    Attack(
        "watch a folder",
        _ways(
            "libc.inotify_init()",
            "libc.inotify_init1(0)",
            "libc.fanotify_init(0, 0)",
            "fcntl.fcntl(os.open(os.path.dirname(os.__file__), 0), 1026, 8)",
        ),
    ),
    Attack(
        "see that a file or process exists",
        _ways(
            "os.stat(secret)",
            "os.access(secret, 0) or -1",
            "os.stat(f'/proc/{process}')",
            "os.chdir(os.path.dirname(secret))",
        ),
        essential=False,
    ),
    Attack("see where a link leads", _ways("os.readlink('/etc/mtab')", "os.readlink(f'/proc/{process}/exe')")),
    Attack("see how full a disk is", _ways("os.statvfs(os.path.dirname(secret))")),
    Attack(
        "find a file by its handle",
        _ways(
            "libc.name_to_handle_at(-100, secret.encode(), ctypes.create_string_buffer(b'\\x80', 200), bytes(8), 0)",
        ),
        _ENDED,
    ),
    Attack(
        "renice another process",
        _ways(
            "os.setpriority(os.PRIO_PROCESS, process, 17)",
            "libc.syscall(30 if arm else 251, 1, process, 3 << 13)",
        ),
    ),
    Attack(
        "pin another process",
        _ways(
            "os.sched_setaffinity(process, {0})",
            "os.sched_setscheduler(process, os.SCHED_BATCH, os.sched_param(0))",
            "os.sched_setparam(process, os.sched_param(0))",
        ),
    ),
    Attack("limit another process", _ways("resource.prlimit(process, resource.RLIMIT_NOFILE, (64, 64))")),
    Attack(
        "see another process",
        _ways(
            "resource.prlimit(process, resource.RLIMIT_NOFILE)",
            "os.sched_getaffinity(process)",
            "os.getpriority(os.PRIO_PROCESS, process)",
            "os.getpgid(process)",
            "os.getsid(process)",
            "os.sched_getscheduler(process)",
            "time.clock_gettime(~process << 3 | 2)",
        ),
    ),
    Attack("have another process signalled", _ways("fcntl.fcntl(os.pipe()[0], 8, process)")),
    Attack(
        "send a datagram",
        _ways(
            "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', mailbox)",
            "os.chdir(here) or socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', 'mailbox')",
            "os.chdir(here) or socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', 'mailbox')",
        ),
    ),
    Attack("put descriptors in flight", _ways("socket.send_fds((pair := socket.socketpair())[0], [b'x'], [null])")),
    Attack("name the machine", _ways("socket.sethostname(socket.gethostname())"), _ENDED),
    Attack("loop without end", "while True: pass", ("cpu timeout",)),
    Attack("print without end", "while True: print('x' * 65536, flush=True)", ("cpu timeout",)),
]

# Run one after the other in one sandbox: what the first leaves, the second must not find.
LEAVES = _tries("open('left', 'w').close()")
FINDS = _tries("if os.listdir(): works(lambda: os.unlink('left')); return 'found'")
