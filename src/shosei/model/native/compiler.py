"""Compiling the C files: with the system's compiler, else with the one in the wheel ``ziglang``."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shosei.errors import installing
from shosei.files import own_folder, user_cache
from shosei.model.native.instructions import InstructionSet
from shosei.progress import progress

SOURCES = Path(__file__).parent
SHIPPED = SOURCES / "lib"  # of a release wheel
# No -ffast-math: gcc links what sets flush-to-zero for the whole process then, and sums would lose their order. No
# contraction either: both compilers then round alike.
_FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
_OLDEST_GLIBC = ("-target", "x86_64-linux-gnu.2.17")
_SECONDS = 300


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


def find() -> Compiler:
    """``cc`` if the system has it, else the wheel's. Raises Unavailable."""
    if system := shutil.which("cc"):
        return Compiler((system,), False, _version((system, "--version")))
    if importlib.util.find_spec("ziglang"):
        return zig()
    raise Unavailable(f"there is no C compiler: install one, or {installing('native')}")


def zig() -> Compiler:
    """The compiler of the wheel ``ziglang``, which must be installed."""
    command = (sys.executable, "-m", "ziglang", "cc")
    return Compiler(command, True, _version((*command, "--version")))


def build(target: InstructionSet, compiler: Compiler, out: Path, portable: bool = False) -> None:
    """Compile all C files to the library ``out``, which is then whole or not there.

    ``portable``: for any Linux since 2012 (glibc 2.17), as a wheel wants it; only the wheel's compiler can. Raises
    Unavailable with the compiler's first complaint.
    """
    files = sorted(str(file) for file in SOURCES.glob("*.c"))
    with (
        tempfile.TemporaryDirectory(dir=out.parent) as scratch,
        progress("compiling the native products", 1, "library"),
    ):
        made = Path(scratch) / out.name
        options = [*compiler.flags(target), *(_OLDEST_GLIBC if portable else ())]
        _run([*compiler.command, *options, *files, "-o", str(made), "-lm"])
        os.replace(made, out)


def compiled(target: InstructionSet, compiler: Compiler | None = None) -> Path:
    """The library for ``target``: one shipped with this package, one compiled before, or compiled now, once.

    It is named by a hash of the sources, the options and the compiler, so that it is never another's. Raises
    Unavailable.
    """
    if compiler is None and (shipped := shipped_name(target)).exists():
        return shipped
    compiler = compiler or find()
    told = "\n".join((source_hash(), *compiler.flags(target), compiler.version))
    library = cache_folder() / f"{target.name}-{hashlib.sha256(told.encode()).hexdigest()[:24]}.so"
    if not library.exists():
        build(target, compiler, library)
    return library


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
    """Where compiled libraries are kept: ``SHOSEI_NATIVE_CACHE``, or ``shosei/native`` in the user's cache.

    What lies there is loaded into this process, so that nobody else may be able to write to it. Raises Unavailable.
    """
    named = os.environ.get("SHOSEI_NATIVE_CACHE")
    folder: Path | str = named or "the user's cache"
    try:
        folder = Path(named).expanduser() if named else user_cache() / "native"
        own_folder(folder)
    except (OSError, RuntimeError) as error:
        raise Unavailable(f"compiled libraries cannot be kept in {folder}: {error}") from None
    return folder


def _version(command: tuple[str, ...]) -> str:
    return _run(list(command)).partition("\n")[0].strip()


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the C compiler did not run: {error}") from None
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["?"]
        raise Unavailable(f"the C compiler failed: {complaints[0].strip()}")
    return done.stdout
