"""GGUF files that are damaged, or made to do harm."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gguf_samples import write
from llama_cpp import NANO
from model_samples import ROWS, save_tokenizer
from verb import Shosei


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nano")
    return write(NANO, save_tokenizer(root / "tokenizer", ROWS - 20), root)


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.parametrize("size", [0, 3, 40, 5000])
def test_a_damaged_file_is_one_line(size: int, nano: Path, tmp_path: Path, shosei: Shosei) -> None:
    (tmp_path / "cut.gguf").write_bytes(nano.read_bytes()[:size])
    code, _, err = shosei("import", tmp_path / "cut.gguf", "--out", tmp_path / "run")
    assert code == 2
    assert "is not a GGUF file, or is damaged" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("counts", [(1 << 60, 1), (1, 1 << 60), (1, 50_000_000)], ids=["keys", "beyond", "vast"])
def test_counts_that_no_model_has_are_one_line(
    counts: tuple[int, int], nano: Path, tmp_path: Path, shosei: Shosei
) -> None:
    """Of keys, and of the numbers in a list, each of which Python would keep as objects."""
    content, (keys, numbers) = nano.read_bytes(), counts
    entry = struct.pack("<Q", 5) + b"a.key" + struct.pack("<IIQ", 9, 0, numbers)
    keys += int.from_bytes(content[16:24], "little")
    with (tmp_path / "vast.gguf").open("wb") as file:
        file.write(content[:16] + struct.pack("<Q", keys) + entry)
        file.seek(min(numbers, 50_000_000), 1)
        file.write(content[24:])
    code, _, err = shosei("import", tmp_path / "vast.gguf", "--out", tmp_path / "run")
    assert (code, err.count("shosei: ")) == (2, 1)  # beside how far it is
    assert "vast.gguf is not a GGUF file, or is damaged" in err
    assert not (tmp_path / "run/model").exists()
