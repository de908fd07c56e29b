"""Large files are hashed once, and again as soon as anything was written to them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_display import Recorder
from shosei import checksums
from shosei.checksums import remembered_sha256
from shosei.progress import shown_on


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/shosei/checksums"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two of them, that nobody has written to for long."""
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(file.name.encode() * 5000)
    monkeypatch.setattr(checksums, "_SETTLED_NS", -1 << 62)
    return files


@pytest.fixture
def shown() -> Iterator[Recorder]:
    recorder = Recorder()
    with shown_on(recorder):
        yield recorder


def of_their_bytes(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_unchanged_files_are_read_once(files: list[Path], shown: Recorder) -> None:
    assert [remembered_sha256(*files) for _ in range(3)] == [of_their_bytes(files)] * 3
    assert len(shown.names) == 1
    assert remembered_sha256(*files[::-1]) == of_their_bytes(files[::-1])


def test_what_was_written_is_seen_even_if_size_and_time_are_put_back(files: list[Path]) -> None:
    before, times = remembered_sha256(*files), files[1].stat()
    time.sleep(0.05)  # longer than the kernel's clock of files takes to move on
    with files[1].open("r+b") as file:
        file.write(b"x")
    os.utime(files[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert remembered_sha256(*files) == of_their_bytes(files) != before


def test_another_file_of_the_same_name_is_another(files: list[Path], tmp_path: Path) -> None:
    remembered_sha256(*files)
    (tmp_path / "new").write_bytes(b"c" * files[0].stat().st_size)
    os.replace(tmp_path / "new", files[0])
    assert remembered_sha256(*files) == of_their_bytes(files)


def test_files_written_a_moment_ago_are_not_remembered(
    files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent.parent))
    files[0].touch()
    assert remembered_sha256(*files) == of_their_bytes(files)
    assert not cache.exists() or not list(cache.iterdir())


def test_a_memory_that_others_could_have_written_is_not_believed(
    files: list[Path], cache: Path, shown: Recorder
) -> None:
    remembered_sha256(*files)
    for remembered in cache.iterdir():
        remembered.write_text("0" * 64)
    cache.chmod(0o777)
    assert remembered_sha256(*files) == of_their_bytes(files)


def test_damage_and_a_full_memory_cost_no_more_than_reading(
    files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_KEPT", 2)
    for count in (1, 2, 1, 2):
        remembered_sha256(*files[:count])
        remembered_sha256(*files[:count], files[0])
    assert len(list(cache.iterdir())) == 2
    for remembered in cache.iterdir():
        remembered.write_bytes(b"\xff\x00")
    assert remembered_sha256(*files) == of_their_bytes(files)


def test_without_a_place_to_remember_they_are_read(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(files[0]))
    assert remembered_sha256(*files) == of_their_bytes(files)
