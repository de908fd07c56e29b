"""The wall around commands: attacked as it stands, and as it would be if it were none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shosei.errors import InputError
from shosei.sandbox import command_wall
from shosei.sandbox.command_wall import prove_command_wall, walled
from walls import needs_bubblewrap

pytestmark = needs_bubblewrap


def test_the_wall_holds_against_all_but_sockets_that_are_files() -> None:
    proof = prove_command_wall()
    assert proof.tried == 12
    assert set(proof.broken) <= {"send a datagram"}
    assert proof.level == f"bubblewrap {12 - len(proof.broken)}/12"


def test_what_is_no_wall_does_not_pass_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_wall, "_WALL", 'exec "$@"')
    with pytest.raises(InputError, match=r"did not hold here: .*connect to loopback.*write outside"):
        prove_command_wall()


def test_a_wall_that_lets_nothing_run_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_wall, "_WALL", "echo no rights >&2; exit 1")
    with pytest.raises(InputError, match="does not work here: no rights"):
        prove_command_wall()


def test_a_folder_s_name_is_not_read_as_words_of_the_shell(tmp_path: Path) -> None:
    folder = tmp_path / "a b; touch $(echo c)"
    folder.mkdir()
    argv = walled(["sh", "-c", 'echo written > "$PLACE/$1"', "sh", "a file"], "PLACE")
    subprocess.run(argv, env={"PLACE": str(folder), "PATH": "/usr/bin:/bin"}, check=True)
    assert (folder / "a file").read_text() == "written\n"
