"""The chat page: HTML, CSS and ES modules in three languages, with no build step.

In: what a person types, and what a server says over HTTP. Out: requests of the public API, and ratings. A room of
neither wing that sees HTTP only: it imports no room, and a server hosts its files as ``cli`` hands them over
(``wire/chat_page.py``). ``vendor/`` has other people's libraries, as they were published.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePosixPath

_SERVED = frozenset({".html", ".css", ".js", ".mjs", ".json", ".svg"})
_FOLDERS = ("", "texts", "vendor")


def static_files() -> dict[str, bytes]:
    """What a host serves, by path: the page itself at ``/``, the rest below ``/page/``."""
    served = {"/page/theme.css": files("shosei").joinpath("theme.css").read_bytes()}
    for folder in _FOLDERS:
        for file in files(__name__).joinpath(folder).iterdir():
            if PurePosixPath(file.name).suffix in _SERVED:
                served[f"/page/{PurePosixPath(folder, file.name)}"] = file.read_bytes()
    served["/"] = served.pop("/page/index.html")
    return served


def rating_form() -> str:
    """The form of a server whose operator gives none, as TOML."""
    return files(__name__).joinpath("rating_form.toml").read_text(encoding="utf-8")
