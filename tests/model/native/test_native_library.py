"""Where the library comes from: compiled once, into a folder of the user's own, or not at all and with a reason."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from native_samples import HAS_COMPILER, HAS_ZIG, HERE
from shosei.errors import InputError
from shosei.model.native import compiler, instructions, release
from shosei.model.native import library as libraries
from shosei.model.native.compiler import Compiler, Unavailable
from shosei.model.native.instructions import AVX2, AVX512

NEEDS_COMPILER = pytest.mark.skipif(not (HAS_COMPILER and HERE), reason="no C compiler, or no such processor")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOSEI_NATIVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pretended(tmp_path: Path, script: str) -> Compiler:
    """A compiler that does what ``script`` says; "$@" are the options."""
    program = tmp_path / "cc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Compiler((str(program),), False, "pretended 1.0")


COUNTING = 'echo x >> "$0.calls"; for last; do case "$before" in -o) echo made > "$last";; esac; before="$last"; done'


def test_a_library_is_compiled_once_and_for_its_owner_alone(cache: Path, tmp_path: Path) -> None:
    counting = pretended(tmp_path, COUNTING)
    first, second = (compiler.compiled(AVX2, counting) for _ in range(2))
    assert first == second
    assert first.read_bytes().startswith(b"made\n")
    assert len((tmp_path / "cc.calls").read_text().splitlines()) == 1
    assert cache.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in cache.iterdir()] == [first.name]


def test_other_options_another_compiler_and_other_sources_make_another_library(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = pretended(tmp_path, COUNTING)
    names = {compiler.compiled(target, counting).name for target in (AVX2, AVX512)}
    names.add(compiler.compiled(AVX2, Compiler(counting.command, False, "pretended 2.0")).name)
    monkeypatch.setattr(compiler, "source_hash", lambda: "other")
    names.add(compiler.compiled(AVX2, counting).name)
    assert len(names) == 4


def test_a_compilation_that_fails_leaves_nothing_and_is_quoted(cache: Path, tmp_path: Path) -> None:
    failing = pretended(
        tmp_path, 'echo "step.c:3: warning: well" >&2; echo "step.c:9: error: no such thing" >&2; exit 1'
    )
    with pytest.raises(Unavailable, match=r"the C compiler failed: step.c:9: error: no such thing"):
        compiler.compiled(AVX2, failing)
    assert not list(cache.iterdir())


def test_a_compiler_that_makes_nothing_is_the_reason_and_not_the_folder(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"^the C compiler .* made no library"):
        compiler.compiled(AVX2, pretended(tmp_path, "echo done"))
    assert not list(cache.iterdir())


@pytest.mark.parametrize("kept", [0, 4, 36])
def test_a_library_that_lacks_its_end_is_compiled_again(cache: Path, tmp_path: Path, kept: int) -> None:
    counting = pretended(tmp_path, COUNTING)
    library = compiler.compiled(AVX2, counting)
    whole = library.read_bytes()
    assert kept < len(whole)
    library.write_bytes(whole[:kept])
    assert compiler.compiled(AVX2, counting).read_bytes() == whole
    assert len((tmp_path / "cc.calls").read_text().splitlines()) == 2


@NEEDS_COMPILER
def test_half_a_library_does_not_kill_the_process_that_would_load_it(tmp_path: Path) -> None:
    program = "from shosei.model.native.library import library; print(library().name)"
    environment = os.environ | {"SHOSEI_NATIVE_CACHE": str(tmp_path / "cache"), "SHOSEI_NATIVE": ""}
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert done.stdout.startswith("native "), done.stderr
        (library,) = (tmp_path / "cache").iterdir()
        os.truncate(library, library.stat().st_size // 2)


def test_a_compiler_that_hangs_is_given_up_with_all_that_it_started(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "_SECONDS", 0.5)
    hanging = pretended(tmp_path, 'sleep 600 & echo $! > "$0.child"; wait')
    with pytest.raises(Unavailable, match="timed out"):
        compiler.compiled(AVX2, hanging)
    child = Path("/proc") / (tmp_path / "cc.child").read_text().strip() / "stat"
    assert not child.exists() or " Z " in child.read_text()  # ended, whether or not somebody has collected it
    assert not list(cache.iterdir())


def test_where_the_systems_compiler_fails_the_wheels_is_taken(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = pretended(tmp_path, 'case "$*" in --version) echo old 1.0;; *) echo "error: no AVX2" >&2; exit 1;; esac')
    monkeypatch.setattr(compiler.shutil, "which", lambda name: failing.command[0])
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="error: no AVX2"):
        compiler.compiled(AVX2)
    (tmp_path / "wheel").mkdir()
    wheels = pretended(tmp_path / "wheel", COUNTING)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(compiler, "zig", lambda: wheels)
    assert compiler.compiled(AVX2).read_bytes().startswith(b"made\n")


def test_what_killed_compilations_have_left_is_removed_in_time(cache: Path, tmp_path: Path) -> None:
    old, new = (cache / f"compiling-{name}" for name in ("old", "new"))
    for left in (old, new):
        left.mkdir(parents=True)
        (left / "half.so").touch()
    cache.chmod(0o700)
    os.utime(old, (0, 0))
    library = compiler.compiled(AVX2, pretended(tmp_path, COUNTING))
    assert {*cache.iterdir()} == {library, new}


def test_a_folder_that_cannot_be_written_is_a_reason(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(compiler.tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(Unavailable, match=f"cannot be kept in {cache}: .*Read-only file system"):
        compiler.compiled(AVX2, pretended(tmp_path, COUNTING))


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_folder_that_others_can_enter_is_refused(cache: Path, mode: int) -> None:
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(Unavailable, match=f"chmod 700 {cache}"):
        compiler.cache_folder()


def test_a_link_is_refused(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="a folder of your own"):
        compiler.cache_folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(cache: Path) -> None:
    cache.mkdir(mode=0o700)
    os.chown(cache, 12345, -1)
    with pytest.raises(Unavailable, match="a folder of your own"):
        compiler.cache_folder()


def test_the_folder_may_be_the_current_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(mode=0o700)
    monkeypatch.chdir(cache)
    monkeypatch.setenv("SHOSEI_NATIVE_CACHE", ".")
    assert str(compiler.cache_folder()) == str(cache)  # a bare name would be looked for among the system's libraries


def test_no_place_to_keep_a_library_is_a_reason(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(Unavailable, match="cannot be kept in"):
        compiler.cache_folder()


def test_without_a_compiler_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"install one, or pip install '.\[native\]'"):
        compiler.compilers()


@pytest.mark.skipif(not HAS_ZIG, reason="ziglang is not installed")
def test_without_the_systems_compiler_the_wheels_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    (only,) = compiler.compilers()
    assert only().is_zig
    assert "clang" in only().version


def test_the_switch_and_a_foreign_processor_are_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    unwrapped = libraries.library.__wrapped__
    monkeypatch.setenv("SHOSEI_NATIVE", "0")
    with pytest.raises(Unavailable, match="SHOSEI_NATIVE is 0"):
        unwrapped()
    monkeypatch.setenv("SHOSEI_NATIVE", "off")
    with pytest.raises(InputError, match="SHOSEI_NATIVE is 'off'; set it to one of 0, 1, avx512, avx2, or unset it"):
        unwrapped()
    monkeypatch.delenv("SHOSEI_NATIVE")
    monkeypatch.setattr(instructions.torch.cpu, "get_capabilities", dict)
    with pytest.raises(Unavailable, match="neither AVX2 nor AVX-512"):
        unwrapped()


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [(set(), AVX512), ({"avx512_bf16"}, AVX2), ({"avx512_vnni"}, AVX2), ({"fma3"}, None), ({"avx2"}, None)],
)
def test_the_fastest_instructions_that_are_there_are_taken(
    lacking: set[str], expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = {unit: unit not in lacking for unit in (*AVX512.units, *AVX2.units)}
    monkeypatch.setattr(instructions.torch.cpu, "get_capabilities", lambda: able)
    monkeypatch.setattr(instructions.platform, "machine", lambda: "x86_64")
    assert instructions.best() is expected
    assert instructions.best("avx2") is (expected and AVX2)  # the one that was asked for, if it is there
    assert instructions.best("1") is expected
    monkeypatch.setattr(instructions.platform, "machine", lambda: "aarch64")
    assert instructions.best() is None


def test_what_is_no_library_of_ours_is_not_loaded(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot be loaded .* SHOSEI_NATIVE_CACHE may name another folder"):
        libraries.load(AVX2, pretended(tmp_path, COUNTING))


@NEEDS_COMPILER
def test_the_smallest_numbers_stay_numbers_after_the_library_is_loaded() -> None:
    libraries.load(HERE[0])
    assert (torch.tensor([1e-40]) * 0.5).item() > 0


@pytest.mark.skipif(not HAS_ZIG or not HERE, reason="ziglang is not installed, or no such processor")
def test_a_release_carries_a_library_for_each_processor_and_old_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (compiler, release):
        monkeypatch.setattr(module, "SHIPPED", tmp_path / "lib")
    release.main()
    assert len(list((tmp_path / "lib").iterdir())) == 2
    monkeypatch.setattr(compiler, "compilers", lambda: pytest.fail("nothing is compiled where a library is shipped"))
    for target in HERE:
        shipped = libraries.load(target).functions._name
        assert Path(shipped).parent == tmp_path / "lib"
        versions = {int(found) for found in re.findall(rb"GLIBC_2\.(\d+)", Path(shipped).read_bytes())}
        assert max(versions) <= 17
    monkeypatch.setattr(compiler, "source_hash", lambda: "of other sources")
    with pytest.raises(pytest.fail.Exception):
        libraries.load(HERE[0])


def test_importing_compiles_and_loads_nothing(tmp_path: Path) -> None:
    program = "import shosei.model.native.decoder as d; print(d.__name__)"
    environment = os.environ | {"SHOSEI_NATIVE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "shosei.model.native.decoder"
    assert not (tmp_path / "cache").exists()
