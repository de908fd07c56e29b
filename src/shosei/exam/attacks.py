"""Programs that attack their sandbox: ``f(secret, port)`` answers "held" if it got nowhere, else what it got.

``secret`` is the path of a file outside that holds a word, ``port`` a port of this machine's loopback on which a server
listens.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple


class Attack(NamedTuple):
    """``outcomes``: those that show that the sandbox held."""

    name: str
    program: str
    outcomes: tuple[str, ...] = ("pass",)


_ENDED = ("pass", "sandbox violation")


def _tries(body: str) -> str:
    """A program whose ``f`` is held if ``body`` raises an error, or comes to its end without an answer."""
    body = textwrap.indent(textwrap.dedent(body).strip(), "        ")
    return (
        "import ctypes, os, resource, socket\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def f(secret, port):\n"
        f"    try:\n{body}\n"
        "    except (OSError, ValueError):\n"
        "        pass\n"
        "    return 'held'\n"
    )


_SIGNALS = """
for pid in (-1, 0, os.getppid(), *range(2, 64)):
    try:
        if pid != os.getpid():
            os.kill(pid, 0)
            return f"reached {pid}"
    except OSError:
        pass
"""
_DESCRIPTORS = """
own = 0
for fd in range(3, 4096):
    try:
        os.fstat(fd)
        own += 1
    except OSError:
        pass
if own > 1:
    return f"{own} descriptors"
"""
_ENVIRONMENT = """
if unknown := set(os.environ) - {"PYTHONHASHSEED", "LANG", "LC_CTYPE", "PATH", "PWD"}:
    return str(unknown)
"""
_FORK_BOMB = """
while True:
    if os.fork() == 0:
        os._exit(0)
    return "forked"
"""
_DISK = """
for number in range(256):
    with open(f"big{number}", "wb") as file:
        file.write(bytes(1 << 19))
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
    Attack("leave a survivor", _tries("os.posix_spawn('/proc/self/exe', ['python'], {}); return 'spawned'")),
    Attack("run another program", _tries("os.execv('/bin/sh', ['sh', '-c', 'exit 0'])")),
    Attack("take shared memory", _tries("if libc.shmget(0, 1 << 20, 0o1600) >= 0: return 'taken'")),
    Attack("raise its limits", _tries("resource.setrlimit(resource.RLIMIT_CPU, (999, 999)); return 'raised'")),
    Attack("make a user namespace", _tries("if not libc.unshare(0x10000000): return 'made'"), _ENDED),
    Attack("allocate 10 GB", "def f(secret, port):\n    return len(bytearray(10 << 30))", ("out of memory",)),
    Attack("fill the disk", _tries(_DISK)),
    Attack("loop without end", "while True: pass", ("cpu timeout",)),
    Attack("print without end", "while True: print('x' * 65536, flush=True)", ("cpu timeout",)),
]

# Run one after the other in one sandbox: what the first leaves, the second must not find.
LEAVES = _tries("open('left', 'w').close()")
FINDS = _tries("if os.listdir(): return 'found'")
