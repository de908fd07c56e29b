"""What a sandbox is worth on this machine: attacked at the start of an exam, before a foreign program runs in it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.sandbox.attacks import ATTACKS, FINDS, LEAVES, Attack
from shosei.sandbox.config import WALLS, SandboxConfig, available
from shosei.sandbox.outside import Outside
from shosei.sandbox.runner import Runner
from shosei.sandbox.sandbox import SandboxError
from shosei.wire.suite import Task

_PROOF_CPU_S = 1
_SEQUELS = ("find what another program left",)
_BEARABLE = {attack.name for attack in ATTACKS if not attack.essential}


class Proof(msgspec.Struct, frozen=True):
    """``held`` of ``tried`` attacks were; ``broken`` are the names of the others. ``packages`` were allowed."""

    backend: str
    tried: int
    broken: list[str]
    packages: str = ""

    @property
    def level(self) -> str:
        """For the log and the card: ``bubblewrap 40/40``, or ``bubblewrap 40/40 + numpy 2.4.6``."""
        held = f"{self.backend} {self.tried - len(self.broken)}/{self.tried}"
        return f"{held} + {self.packages}" if self.packages else held

    @property
    def fatal(self) -> list[str]:
        """Those of ``broken`` that no wall may let through."""
        return [name for name in self.broken if name not in _BEARABLE]

    def __str__(self) -> str:
        """For people, with the names of what was let through."""
        return f"{self.level} (let through: {', '.join(self.broken)})" if self.broken else self.level


async def choose(config: SandboxConfig) -> Proof:
    """The strongest sandbox that works here and held against the attacks, or the one that was asked for by name.

    Raises InputError: none does, or that one does not. A wall holds if it lets through none but attacks that are not
    essential; they lower its level. ``rlimits`` may let through any: who asks for it by name knows that it has no wall.
    """
    reasons = []
    for backend in WALLS if config.sandbox == "auto" else (config.sandbox,):
        reason = available(backend)
        if not reason:
            try:
                proof = await prove(config, backend)
            except SandboxError as error:
                reason = f"it does not work here: {error}"
            else:
                if not proof.fatal or backend == "rlimits":
                    return proof
                reason = f"it did not hold here: {', '.join(proof.fatal)}"
        reasons.append(f"{backend}: {reason}")
    hint = "" if config.sandbox == "rlimits" else "; --sandbox rlimits runs programs without a wall, if you trust them"
    raise InputError(f"no sandbox for programs ({'; '.join(reasons)}){hint}, --sandbox none leaves them out")


async def prove(config: SandboxConfig, backend: str) -> Proof:
    """Attack ``backend`` with everything in ``attacks``. Raises SandboxError if not even a right program passes."""
    config = config.model_copy(update={"cpu_s": _PROOF_CPU_S})
    broken: set[str] = set()
    async with contextlib.AsyncExitStack() as stack:
        outside = stack.enter_context(Outside())
        task = _task(outside.arguments)
        attacks = iter(ATTACKS)

        async def attack(runner: Runner) -> None:
            for each in attacks:
                if not await _held(runner, each, task):
                    broken.add(each.name)

        runners = [await stack.enter_async_context(Runner(config, backend)) for _ in range(2)]
        imports = "".join(f"import {name}\n" for name in runners[0].packages.named)
        right = await runners[0].execute(f"{imports}def f(*outside):\n    return 'held'", task)
        if right.outcome != "pass":
            raise SandboxError(f"a right program ended as '{right.outcome}'; try a larger exam.memory_bytes")
        await runners[0].execute(LEAVES, task)
        if (await runners[0].execute(FINDS, task)).outcome != "pass":
            broken.update(_SEQUELS)
        await asyncio.gather(*map(attack, runners))
        broken |= outside.touched()
    return Proof(backend, len(ATTACKS) + len(_SEQUELS), sorted(broken), str(runners[0].packages))


async def _held(runner: Runner, attack: Attack, task: Task) -> bool:
    return (await runner.execute(attack.program, task)).outcome in attack.outcomes


def _task(arguments: list[Any]) -> Task:
    return Task(
        id="",
        suite="",
        lang="",
        cluster="",
        messages=[],
        grader="python",
        truth="",
        entry_point="f",
        tests=[(arguments, "held")],
    )
