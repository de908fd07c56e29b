"""Models that other programs have downloaded: the local caches of the Hugging Face hub and of ModelScope."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from shosei.errors import InputError
from shosei.wrong_path import MODEL, advice, wrong_path

_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)

# With licence and size of the download, for who has no checkpoint yet.
SMALL_MODELS = (
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "English, 0.3 GB, Apache-2.0"),
    ("Qwen/Qwen2.5-0.5B-Instruct", "Chinese, Japanese and others, 1 GB, Apache-2.0"),
    ("Qwen/Qwen3-0.6B", "the same languages, thinks and calls tools, 1.5 GB, Apache-2.0"),
)


def find_checkpoint(source: Path) -> Path:
    """``source`` if it exists, or else the folder in which a cache holds the model of that name, ``ORG/NAME``.

    Nothing is downloaded. Raises InputError, with the commands that download the model, if no cache has it whole, or
    with its GGUF files, if there is nothing else of it; a path of another form is the caller's to refuse.
    """
    name = source.as_posix()
    if source.exists() or not _NAME.fullmatch(name):
        return source
    folders = [*_hub_snapshots(name), *_modelscope_folders(name)]
    for weights in ("*.safetensors", "*.bin"):  # pickled ones are refused by name
        for folder in folders:
            if (folder / "config.json").is_file() and any(folder.glob(weights)):
                return folder
    if files := sorted(file for folder in folders for file in folder.glob("*.gguf")):
        raise InputError(f"{name} is in the cache as GGUF; import the file: shosei import {files[0]}")
    if advice(source, MODEL):
        raise wrong_path(source, MODEL)
    raise InputError(
        f"no folder '{name}' here, and no whole model of that name in the hub's or ModelScope's cache; download it, "
        "and import it again:",
        commands=_downloads(name),
    )


def _downloads(name: str) -> list[str]:
    small = [f"  {model:<36} {what}" for model, what in SMALL_MODELS]
    return [
        f"  hf download {name}",
        f"  HF_ENDPOINT=https://MIRROR hf download {name}      # where the hub is not reached, from a mirror of it",
        f"  modelscope download --model {name}                 # most names are the hub's",
        "small models to begin with:",
        *small,
    ]


def _hub_snapshots(name: str) -> Iterator[Path]:
    """Where the hub's client keeps ``name``: first what ``main`` was when it was downloaded, then any other snapshot,
    newest first."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    home = Path(os.environ.get("HF_HOME") or home)
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    model = cache / f"models--{name.replace('/', '--')}"
    main = model / "refs" / "main"
    if main.is_file():
        yield model / "snapshots" / main.read_text(encoding="utf-8").strip()
    yield from sorted((model / "snapshots").glob("*"), key=lambda folder: folder.stat().st_mtime, reverse=True)


def _modelscope_folders(name: str) -> Iterator[Path]:
    """Where ModelScope's client keeps ``name``, in its versions; folders have ``___`` for a full stop."""
    given = os.environ.get("MODELSCOPE_CACHE")
    cache = Path(given).expanduser() if given else Path.home() / ".cache" / "modelscope"
    organisation, model = name.split("/")
    for root in (cache / "models", cache / "hub" / "models", cache / "hub"):
        for spelling in (model.replace(".", "___"), model):
            yield root / organisation / spelling
