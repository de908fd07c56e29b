"""The licence of a model: what its makers state, kept with it from import to export, and never made up."""

from __future__ import annotations

import re
from pathlib import Path

from shosei.errors import InputError
from shosei.folder_files import is_there, read_text

CARD = "README.md"
# Names under which folders have the text of a licence.
_TEXTS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
_MOST_BYTES = 1_000_000
_IDENTIFIER = re.compile(r"[a-z0-9.+-]+")
_FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)\n---", re.DOTALL)


def is_identifier(licence: object) -> bool:
    """Whether hubs would take it, such as ``apache-2.0``."""
    return isinstance(licence, str) and _IDENTIFIER.fullmatch(licence) is not None


def stated_licence(folder: Path) -> str | None:
    """The identifier in the card of the model's makers; ``other``, as hubs say it, where there is only a text; None
    if nothing is stated that hubs would take."""
    try:
        header = _FRONT_MATTER.match(read_text(folder, CARD) or "")
    except InputError:  # a card that cannot be read states nothing
        header = None
    stated = re.search(r"^license:[ \t]*[\"']?([^\s\"'#]+)", header[1], re.MULTILINE) if header else None
    identifier = stated[1].lower() if stated else ""
    return identifier if is_identifier(identifier) else ("other" if licence_texts(folder) else None)


def licence_texts(folder: Path) -> dict[str, bytes]:
    """The files that hold the text of the licence. Raises InputError for one that leads out of the folder."""
    there = [name for name in _TEXTS if is_there(folder, name)]
    return {name: (folder / name).read_bytes() for name in there if (folder / name).stat().st_size <= _MOST_BYTES}


def licence_lines(licence: str | None, folder: Path) -> list[str]:
    """The lines of a card's front matter; none where no licence is known."""
    texts = list(licence_texts(folder)) if licence == "other" else []
    return [*([f"license: {licence}"] if licence else []), *(f"license_link: {name}" for name in texts[:1])]


def licence_files(folder: Path) -> dict[str, bytes]:
    """What states the licence of the model in ``folder``, by names of files: a card with nothing else, and texts."""
    lines = licence_lines(stated_licence(folder), folder)
    card = {CARD: "\n".join(["---", *lines, "---", ""]).encode()} if lines else {}
    return card | licence_texts(folder)
