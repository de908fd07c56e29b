"""Compiling the C files: with the system's compiler, else with the one in the wheel ``ziglang``."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shosei.errors import installing
from shosei.files import own_folder, remove, user_cache
from shosei.model.native.instructions import InstructionSet
from shosei.progress import progress

SOURCES = Path(__file__).parent
SHIPPED = SOURCES / "lib"  # of a release wheel
# No -ffast-math: gcc links what sets flush-to-zero for the whole process then, and sums would lose their order. No
# contraction either: both compilers then round alike.
_FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
CACHE_VARIABLE = "SHOSEI_NATIVE_CACHE"  # the variable that names the folder for compiled libraries
_OLDEST_GLIBC = ("-target", "x86_64-linux-gnu.2.17")
_SECONDS, _VERSION_SECONDS = 300, 30
_SCRATCH = "compiling-"


class Unavailable(Exception):
    """There is no native library here; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """``command`` begins a compilation; ``version`` is the first line of what it says of itself."""

    command: tuple[str, ...]
    is_zig: bool
    version: str

    def flags(self, target: InstructionSet) -> tuple[str, ...]:
        """All options, of which the library is named after."""
        return (*_FLAGS, *((*target.zig, "-g0") if self.is_zig else target.gcc))


def compilers() -> list[Callable[[], Compiler]]:
    """The system's ``cc``, then the wheel's, for where that one fails or is missing; a call asks it for its version.

    Raises Unavailable if there is neither."""
    compilers: list[Callable[[], Compiler]] = []
    if system := shutil.which("cc"):
        compilers.append(lambda: Compiler((system,), False, _version((system, "--version"))))
    if importlib.util.find_spec("ziglang"):
        compilers.append(zig)
    if not compilers:
        raise Unavailable(f"there is no C compiler: install one, or {installing('native')}")
    return compilers


def zig() -> Compiler:
    """The compiler of the wheel ``ziglang``, which must be installed."""
    command = (sys.executable, "-m", "ziglang", "cc")
    return Compiler(command, True, _version((*command, "--version")))


def build(target: InstructionSet, compiler: Compiler, out: Path, portable: bool = False) -> None:
    """Compile all C files to the library ``out``, which is then whole or not there, and ends with a hash of itself.

    ``portable``: for any Linux since 2012 (glibc 2.17), as a wheel wants it; only the wheel's compiler can. Raises
    Unavailable with the compiler's first complaint, or with what is wrong with the folder.
    """
    files = sorted(str(file) for file in SOURCES.glob("*.c"))
    with _scratch(out.parent) as scratch, progress("compiling the native products", 1, "library"):
        made = scratch / out.name
        options = [*compiler.flags(target), *(_OLDEST_GLIBC if portable else ())]
        # Whatever else it writes it leaves there, too: a home may be read-only, and a killed one does not clean up.
        its_folders = dict.fromkeys(("TMPDIR", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), str(scratch))
        _run([*compiler.command, *options, *files, "-o", str(made), "-lm"], _SECONDS, its_folders)
        if not made.exists():
            raise Unavailable("the C compiler ended well but made no library")
        _seal(made)
        os.replace(made, out)


def compiled(target: InstructionSet, compiler: Compiler | None = None) -> Path:
    """The library for ``target``: one shipped with this package, one compiled before, or compiled now, once.

    It is named by a hash of the sources, the options and the compiler, so that it is never another's. Where the
    system's compiler fails, that of the wheel is tried. Raises Unavailable.
    """
    if compiler is None and (shipped := shipped_name(target)).exists():
        return shipped
    folder, reasons = cache_folder(), list[str]()
    for compiler_of in compilers() if compiler is None else [lambda: compiler]:
        try:
            return _compiled_by(compiler_of(), target, folder)
        except Unavailable as reason:
            reasons.append(str(reason))
    raise Unavailable("; ".join(reasons))


def _compiled_by(compiler: Compiler, target: InstructionSet, folder: Path) -> Path:
    told = "\n".join((source_hash(), *compiler.flags(target), compiler.version))
    library = folder / f"{target.name}-{hashlib.sha256(told.encode()).hexdigest()[:24]}.so"
    if not is_whole(library):
        build(target, compiler, library)
    return library


def _seal(file: Path) -> None:
    """Write behind ``file`` the hash of what is in it, and have it on the disk."""
    with open(file, "r+b") as opened:
        opened.write(hashlib.sha256(opened.read()).digest())
        opened.flush()
        os.fsync(opened.fileno())


def is_whole(library: Path) -> bool:
    """Whether a library is there as it was compiled: one that lacks its end would kill the process that loads it."""
    try:
        held = library.read_bytes()
    except OSError:
        return False
    end = len(held) - hashlib.sha256().digest_size
    return hashlib.sha256(held[:end]).digest() == held[end:]


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder within ``folder`` for one compilation; what killed ones have left there is removed. Raises Unavailable
    where something cannot be written."""
    try:
        for left in folder.glob(f"{_SCRATCH}*"):
            with suppress(FileNotFoundError):  # another process has just removed it
                if time.time() - left.stat().st_mtime > 2 * _SECONDS:
                    remove(left)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise _no_place(folder, error) from None


def shipped_name(target: InstructionSet) -> Path:
    """Where a release wheel has the library for ``target``; of other sources than these it is not taken."""
    return SHIPPED / f"{target.name}-{source_hash()}.so"


def source_hash() -> str:
    """Of all C files."""
    digest = hashlib.sha256()
    for file in sorted(SOURCES.glob("*.[ch]")):
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:24]


def cache_folder() -> Path:
    """Where compiled libraries are kept: ``CACHE_VARIABLE``, or ``shosei/native`` in the user's cache.

    What lies there is loaded into this process, so that nobody else may be able to write to it. Raises Unavailable.
    """
    named = os.environ.get(CACHE_VARIABLE)
    folder: Path | str = named or "the user's cache"
    try:
        folder = Path(named).expanduser().absolute() if named else user_cache() / "native"
        own_folder(folder)
    except (OSError, RuntimeError) as error:
        raise _no_place(folder, error) from None
    return folder


def _no_place(folder: Path | str, error: Exception) -> Unavailable:
    return Unavailable(f"compiled libraries cannot be kept in {folder}: {error}; {CACHE_VARIABLE} may name another")


def _version(command: tuple[str, ...]) -> str:
    return _run(list(command), _VERSION_SECONDS).partition("\n")[0].strip()


def _run(command: list[str], seconds: float, variables: Mapping[str, str] | None = None) -> str:
    try:
        done = _finished(command, seconds, {**os.environ, **(variables or {})})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the C compiler did not run: {error}") from None
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["?"]
        raise Unavailable(f"the C compiler failed: {complaints[0].strip()}")
    return done.stdout


def _finished(command: list[str], seconds: float, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run``, which would leave behind the processes that a compiler has started."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        process_group=0,
    ) as process:
        try:
            out, complaints = process.communicate(timeout=seconds)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, complaints)
