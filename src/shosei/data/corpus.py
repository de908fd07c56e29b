"""A run's text: documents to train on, and documents held out, as ``data/text/{train,held_out}.jsonl``."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shosei.data.config import TextConfig
from shosei.data.documents import Document, read_documents
from shosei.errors import InputError
from shosei.files import atomic_path, locked
from shosei.log import Run
from shosei.progress import Progress, progress

SPLITS = ("train", "held_out")


@dataclass(slots=True)
class CorpusCounts:
    """What was taken: documents and their characters (code points), and how many were dropped as duplicates."""

    documents: dict[str, int]
    characters: dict[str, int]
    duplicates: int = 0


def corpus_file(run: Run, split: str) -> Path:
    """Where the run's documents of ``split`` are, one ``{"text": …}`` a line."""
    return run.data / "text" / f"{split}.jsonl"


def has_text(run: Run) -> bool:
    """Whether the run has documents to train on."""
    return corpus_file(run, "train").is_file()


def take_text(run: Run, files: Sequence[Path], config: TextConfig) -> CorpusCounts:
    """Make the documents in ``files`` the run's text, whole or not at all. Memory does not grow with them.

    Which side a document is on depends on nothing but its characters; exact duplicates are dropped. Raises InputError
    as ``read_documents`` does, if nothing is left to train on, or if the run has both text and a model.
    """
    run.data.mkdir(parents=True, exist_ok=True)
    with locked(run.data / ".lock"):
        if has_text(run) and (run.model.exists() or any(run.checkpoints.glob("step-*"))):
            raise InputError(
                f"{run.folder} has text and a model that may have learnt it; take a new run folder, or remove "
                f"{corpus_file(run, 'train').parent} first"
            )
        with atomic_path(run.data / "text") as folder:
            folder.mkdir()
            counts = _write(folder, files, config)
            if not counts.documents["train"]:
                raise InputError("there is no document to train on: the files are empty, or text.held_out is too large")
    return counts


def stored_documents(file: Path, every: int = 1, work: Progress | None = None) -> Iterator[str]:
    """One in ``every`` documents of a file that ``take_text`` wrote, in order; ``work`` counts the bytes read."""
    decode = msgspec.json.Decoder(Document).decode
    with open(file, "rb") as lines:
        for number, line in enumerate(work.over(lines, len) if work else lines):
            if number % every == 0:
                yield decode(line).text


def _write(folder: Path, files: Sequence[Path], config: TextConfig) -> CorpusCounts:
    counts = CorpusCounts(dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0))
    encode = msgspec.json.Encoder().encode
    with contextlib.ExitStack() as stack:
        out = {split: stack.enter_context(open(folder / f"{split}.jsonl", "wb")) for split in SPLITS}
        seen = stack.enter_context(_Digests())
        work = stack.enter_context(progress("reading text", unit="documents"))
        for number, file in enumerate(files, 1):
            work.note = f"file {number} of {len(files)}, {file.name}"
            for text in work.over(read_documents(file)):
                digest = hashlib.sha256(text.encode()).digest()
                if not seen.add(digest):
                    counts.duplicates += 1
                    continue
                split = "held_out" if int.from_bytes(digest[:8]) < config.held_out * 2**64 else "train"
                out[split].write(encode(Document(text)) + b"\n")
                counts.documents[split] += 1
                counts.characters[split] += len(text)
    return counts


class _Digests(contextlib.AbstractContextManager["_Digests"]):
    """A set of digests that may outgrow memory: SQLite keeps it in a temporary file of its own."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA cache_size = -262144")  # KiB
        self._database.execute("CREATE TABLE digests (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, digest: bytes) -> bool:
        """Whether ``digest`` is new."""
        return self._database.execute("INSERT OR IGNORE INTO digests VALUES (?)", (digest,)).rowcount == 1
