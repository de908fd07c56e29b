"""Files for other programs: where they can be written, and the page that GitHub shows of a job."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from shosei.cli.common import say
from shosei.errors import InputError

JunitOption = Annotated[
    Path | None,
    typer.Option(
        "--junit", metavar="FILE", help="Write what is judged as JUnit's test cases, for CI.", show_default=False
    ),
]

_JOB_SUMMARY = "GITHUB_STEP_SUMMARY"  # GitHub's runner sets it, to a file that it shows when the step ends
_MOST_BYTES = 1 << 20  # of more than that GitHub shows nothing


def check_files(files: Mapping[str, Path | None]) -> None:
    """Raises InputError where an option's file cannot be written, or is another's: better now than after the work."""
    options: dict[Path, str] = {}
    for option, file in files.items():
        if file is None:
            continue
        _check_file(option, file)
        if (other := options.setdefault(file.resolve(), option)) != option:
            raise InputError(f"{other} and {option} name the same file, {file}: give each one of its own")


def _check_file(option: str, file: Path) -> None:
    if not file.parent.is_dir():
        raise InputError(f"{option} {file}: the folder {file.parent} does not exist; make it first")
    if file.is_dir():
        raise InputError(f"{option} {file}: this is a folder; name a file in it")
    if file.is_symlink() or (file.exists() and not file.is_file()):  # such as /dev/stdout: it would be replaced
        raise InputError(f"{option} {file}: this is a link or a device; name a plain file")


def add_to_job_summary(page: str) -> None:
    """Append Markdown to the summary of a job on GitHub, if this is one. One that cannot be written is a warning."""
    if not (name := os.environ.get(_JOB_SUMMARY)):
        return
    try:
        with open(name, "ab") as file:
            text = (f"\n{page}" if file.tell() else page).encode(errors="replace")  # names of folders need not be text
            if file.tell() + len(text) > _MOST_BYTES:
                raise OSError(errno.EFBIG, "GitHub shows at most 1 MiB of a step")
            file.write(text)
    except OSError as error:
        say(f"warning: the job's summary was not written: {error.strerror or error}: {name}")
