"""A run's text as token ids: encoded once into files under ``data/tokens/``, mapped into memory from then on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shosei.data.corpus import SPLITS, corpus_file, stored_documents
from shosei.files import atomic_path, locked, sha256
from shosei.log import Run
from shosei.progress import BYTES, progress
from shosei.text import Tokenizer

_MANIFEST = "manifest.json"
_BATCH_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """Encoded documents: document i is ``ids[starts[i] : starts[i + 1]]``, from its begin token to its end token.

    ``ids`` (tokens,) uint16 or uint32; ``starts`` (documents + 1,) int64. ``characters`` of all the documents.
    """

    ids: NDArray[np.uint16 | np.uint32]
    starts: NDArray[np.int64]
    characters: int


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``sources`` and ``files`` are SHA-256 by name: what was encoded by which tokenizer, and what came of it."""

    version: int = 1
    dtype: str
    characters: dict[str, int]
    sources: dict[str, str]
    files: dict[str, str]


def open_tokens(run: Run, tokenizer: Tokenizer, hashes: dict[str, str]) -> dict[str, Tokens]:
    """The run's text by split, encoded with the run's ``tokenizer``; ``hashes`` are those of its ``training_files``.

    Whoever comes first encodes it, others wait. What is damaged, or of other text or another tokenizer, is replaced.
    """
    folder = run.data / "tokens"
    sources = {split: hashes[f"text:{split}"] for split in SPLITS} | {"tokenizer": hashes["tokenizer"]}
    with locked(run.data / ".lock"):
        manifest = _read_whole(folder)
        if manifest is None or manifest.sources != sources:
            with atomic_path(folder) as temporary:
                temporary.mkdir()
                manifest = _encode(run, tokenizer, sources, temporary)
        return {
            split: Tokens(
                ids=_mapped(folder / f"{split}.ids", manifest.dtype),
                starts=_mapped(folder / f"{split}.starts", "int64"),
                characters=manifest.characters[split],
            )
            for split in SPLITS
        }


def _read_whole(folder: Path) -> _Manifest | None:
    """The manifest, if its files are what it says."""
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
        whole = all(sha256(folder / name) == digest for name, digest in manifest.files.items())
    except (OSError, msgspec.DecodeError):
        return None
    return manifest if whole else None


def _encode(run: Run, tokenizer: Tokenizer, sources: dict[str, str], folder: Path) -> _Manifest:
    dtype = "uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32"
    characters = {}
    size = sum(corpus_file(run, split).stat().st_size for split in SPLITS)
    with progress("encoding the text", size, BYTES) as work:
        for split in SPLITS:
            documents = stored_documents(corpus_file(run, split), work=work)
            characters[split] = _encode_split(documents, tokenizer, dtype, folder / split)
    files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    manifest = _Manifest(dtype=dtype, characters=characters, sources=sources, files=files)
    (folder / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def _encode_split(documents: Iterable[str], tokenizer: Tokenizer, dtype: str, path: Path) -> int:
    """Write ``path``.ids and ``path``.starts; return the characters read."""
    characters, end = 0, 0
    with open(path.with_suffix(".ids"), "wb") as ids, open(path.with_suffix(".starts"), "wb") as starts:
        np.zeros(1, np.int64).tofile(starts)
        for batch in _batches(documents):
            characters += sum(map(len, batch))
            encoded = tokenizer.encode_documents(batch)
            np.concatenate([np.array(one, dtype) for one in encoded]).tofile(ids)
            ends = end + np.cumsum([len(one) for one in encoded], dtype=np.int64)
            ends.tofile(starts)
            end = int(ends[-1])
    return characters


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document)
        if characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _mapped(path: Path, dtype: str) -> NDArray[Any]:
    if not path.stat().st_size:
        return np.empty(0, dtype)  # an empty file cannot be mapped
    return np.memmap(path, dtype, mode="r")
