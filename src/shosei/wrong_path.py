"""What is said of a path that leads to nothing of the kind that is wanted: what lies around it and may be meant."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from shosei.errors import InputError

# All questions here are os.path's, which answers no where pathlib raises: names too long, folders of others.
_RUNS = Path("runs")
_LOOKED_AT = 2000  # entries of a folder: a wrong path may lie beside anything
_ANCESTORS = 4
SUITE_ENDINGS = (".jsonl", ".csv", ".tsv", ".json", ".jsonl.gz", ".csv.gz", ".tsv.gz", ".json.gz")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True, slots=True)
class PathKind:
    """What a verb wants of a path. ``fault`` follows the path where it is not, ``remedy`` where nothing near is."""

    is_at: Callable[[Path], bool]
    within: Callable[[Path], list[Path]]  # those that a folder of another kind holds
    fault: str
    remedy: str
    newest: Callable[[], Path | None] = lambda: None  # what is most often meant


def wrong_path(path: Path, kind: PathKind) -> InputError:
    """The error of a verb that was given ``path``, which is not of the ``kind``."""
    missing = "" if os.path.exists(path) else " (there is no such path)"
    return InputError(f"{path} {kind.fault}{missing}; {_instead(path, kind) or advice(path, kind) or kind.remedy}")


def advice(path: Path, kind: PathKind) -> str:
    """Which path of the ``kind`` may be meant instead, as a question; empty where none is near."""
    candidates = [*kind.within(path), *_spelt_alike(path, kind), *_around(path, kind)]
    if candidates:
        return f"did you mean {candidates[0]}?"
    newest = kind.newest()
    return f"did you mean {newest}, the newest?" if newest else ""


def unreadable(path: Path, error: OSError) -> InputError:
    """The error of a file that cannot be read."""
    near = advice(path, FILE) if isinstance(error, FileNotFoundError) else ""
    return InputError(f"cannot read {path}: {'; '.join(filter(None, [error.strerror or str(error), near]))}")


def newest_run() -> Path | None:
    """The run below ``runs/``, or else here, that was written to last."""
    return _newest(_runs_in)


def _instead(path: Path, kind: PathKind) -> str:
    """What can be done with a path of another kind, where that is better than another path."""
    is_file_of_model = os.path.isfile(path) and path.suffix.lower() == ".gguf" and kind in (RUN, MODEL, MODEL_OR_RUN)
    if is_file_of_model or (kind is RUN and _is_model(path) and not any(map(_is_run, path.parents))):
        return f"it is a model: 'shosei import {path} --out runs/NAME' makes a run of it"
    if kind in (MODEL, MODEL_OR_RUN) and _is_run(path) and not _is_model(path / "model"):
        return f"it is a run in which no training has ended: 'shosei train --run {path}' makes its model"
    return ""


def _around(path: Path, kind: PathKind) -> Iterator[Path]:
    """The folders that the path leads through, and what lies in a run among them."""
    for parent in islice(path.parents, _ANCESTORS):
        if parent.name and kind.is_at(parent):
            yield parent
        elif _is_run(parent):
            yield from kind.within(parent)


def _spelt_alike(path: Path, kind: PathKind) -> Iterator[Path]:
    """What lies beside it, below ``runs/`` or here, under nearly the same name."""
    for folder in dict.fromkeys([path.parent, _RUNS, Path()]):
        there = {entry.name: entry for entry in _entries(folder) if entry.name != path.name or folder != path.parent}
        near = difflib.get_close_matches(path.name, there, n=3)
        yield from (there[name] for name in near if kind.is_at(there[name]))


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(islice(folder.iterdir(), _LOOKED_AT))
    return []


def _is_run(path: Path) -> bool:
    return os.path.isdir(path / "log")


def _is_model(path: Path) -> bool:
    return os.path.isfile(path / "config.json") or any(any(path.glob(pattern)) for pattern in _WEIGHTS)


def _is_suite(path: Path) -> bool:
    if os.path.isdir(path):
        return any(entry.name.endswith(SUITE_ENDINGS) for entry in _entries(path)) and not _is_run(path)
    return path.name.endswith(SUITE_ENDINGS) and os.path.isfile(path)


def _runs_in(folder: Path) -> list[Path]:
    """Newest first."""
    runs = [path for path in _entries(folder) if _is_run(path)]
    return sorted(runs, key=lambda run: (run / "log").stat().st_mtime, reverse=True)


def _models_in(folder: Path) -> list[Path]:
    return [folder / "model"] if _is_model(folder / "model") else sorted(folder.glob("*.gguf"))


def _served_in(folder: Path) -> list[Path]:
    return [run for run in _runs_in(folder) if _is_model(run / "model")]


def _suites_in(folder: Path) -> list[Path]:
    return [folder / "suites"] if _is_suite(folder / "suites") else []


def _newest(within: Callable[[Path], list[Path]]) -> Path | None:
    return next((path for folder in (_RUNS, Path()) for path in within(folder)), None)


RUN = PathKind(
    _is_run,
    _runs_in,
    "is not a run folder",
    "a run begins with a verb that is given --run, such as 'shosei data --run runs/NAME'",
    newest_run,
)
MODEL = PathKind(
    _is_model, _models_in, "is not a model folder", "name a folder that has config.json and model.safetensors"
)
MODEL_OR_RUN = PathKind(
    lambda path: _is_model(path) or _is_model(path / "model"),
    _served_in,
    "has no model",
    "name a model folder, or a run folder in which 'shosei train' has ended",
    lambda: _newest(_served_in),
)
SUITE = PathKind(
    _is_suite,
    _suites_in,
    "is not a suite",
    "name a file of tasks (*.jsonl, *.csv, *.tsv, *.json), or a folder of them",
    lambda: _newest(lambda folder: [suites for run in _runs_in(folder) for suites in _suites_in(run)]),
)
FILE = PathKind(os.path.isfile, lambda path: [], "is not a file", "name a file")
