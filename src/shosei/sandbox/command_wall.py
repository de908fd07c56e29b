"""A wall around any command: it sees this machine's files, changes none outside one folder, and reaches nobody.

Weaker than that around programs, which see no files: a command needs its interpreter and its libraries. It has no
network, no other process, no capability, and a temporary folder of its own; of sockets that are files those in ``/run``
are hidden. Only bubblewrap can do it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from shosei.errors import InputError
from shosei.sandbox.attacks import ATTACKS
from shosei.sandbox.config import available
from shosei.sandbox.outside import Outside
from shosei.sandbox.proof import Proof

_BACKEND = "bubblewrap"
_PROOF_S = 60.0
_ANSWERS = ("connect to loopback",)  # attacks that leave no trace, and say how they went
_BEARABLE = ("send a datagram",)  # to a socket that is a file and not in /run
_WALL = (
    "exec bwrap --unshare-all --die-with-parent --new-session --cap-drop ALL --ro-bind / / --dev /dev --proc /proc "
    '--tmpfs /run --tmpfs /var/tmp --setenv TMPDIR /var/tmp --bind "${0}" "${0}" -- "$@"'
)


def walled(command: Sequence[str], folder_variable: str) -> list[str]:
    """``command`` behind the wall; it may write in the folder that the environment variable names."""
    return ["sh", "-c", _WALL.replace("${0}", f"${{{folder_variable}}}"), "wall", *command]


def prove_command_wall() -> Proof:
    """Attack the wall with all that leaves a trace outside. Raises InputError if it cannot be had or does not hold."""
    if reason := available(_BACKEND):
        raise InputError(f"no wall around a grader: {reason}; --grader-sandbox none runs it without one")
    with Outside() as outside, tempfile.TemporaryDirectory(prefix="shosei-proof-") as folder:
        known = {*outside.traces, *_ANSWERS}
        attacks = [attack for attack in ATTACKS if attack.name in known]
        broken = {attack.name for attack in attacks if not _held(attack.program, outside.arguments, folder)}
        broken = (broken & {*_ANSWERS}) | outside.touched()
    if fatal := sorted(broken - {*_BEARABLE}):
        raise InputError(f"the wall around a grader did not hold here: {', '.join(fatal)}; --grader-sandbox none")
    return Proof(_BACKEND, len(attacks), sorted(broken))


def _held(program: str, arguments: Sequence[object], folder: str) -> bool:
    """Whether the attack says that it got nowhere. Raises InputError if the wall lets no command run."""
    command = [sys.executable, "-I", "-c", f"{program}\nprint('ran', f(*{arguments!r}))"]
    environment = {**os.environ, "FOLDER": folder}
    ran = subprocess.run(
        walled(command, "FOLDER"), env=environment, capture_output=True, text=True, timeout=_PROOF_S, check=False
    )
    if not ran.stdout.startswith("ran"):
        words = ran.stderr.strip().splitlines() or ["it says nothing"]
        raise InputError(f"no wall around a grader: {_BACKEND} does not work here: {words[-1]}")
    return ran.stdout.strip() == "ran held"
