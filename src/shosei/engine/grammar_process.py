"""The process that tries grammars before the engine gets them, one at a time: a bad one harms this process alone.

It reads ``Trial`` after ``Trial`` from standard input and answers each with a ``Result``, one JSON text a line, once it
has said with an empty ``Result`` that it is ready. Whoever starts it ends it where that takes too long; its memory it
limits itself. Imports no torch.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path

import msgspec

from shosei.engine.grammar import Grammars, lark_of
from shosei.errors import InputError
from shosei.lineage import die_with
from shosei.proc import numbers


class Trial(msgspec.Struct, frozen=True):
    """A grammar in Lark that is to be tried, or, with ``convert``, one in GBNF or Lark that is to be had in Lark."""

    text: str
    convert: bool = False


class Result(msgspec.Struct, frozen=True):
    """What is wrong with the grammar, if anything; otherwise the Lark that was asked for."""

    fault: str = ""
    lark: str = ""


def result(trial: Trial, grammars: Grammars) -> Result:
    try:
        if trial.convert:
            return Result(lark=lark_of(trial.text))
        grammars.check(trial.text)
    except InputError as error:
        return Result(fault=str(error))
    return Result()


def main(parent: int, model_folder: Path, memory_bytes: int) -> None:
    """Answer trials until standard input ends. Each may take ``memory_bytes``, beyond which the library aborts."""
    die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    grammars = Grammars(model_folder, kept=0)
    with contextlib.suppress(InputError):  # each trial says it again
        grammars.check('start: "a"')
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Trial).decode
    answers = sys.stdout.buffer
    answers.write(encode(Result()) + b"\n")
    answers.flush()
    for line in sys.stdin.buffer:
        _limit_memory(memory_bytes)
        answers.write(encode(result(decode(line), grammars)) + b"\n")
        answers.flush()


def _limit_memory(more: int) -> None:
    """Have the process killed where it grows by more than ``more`` bytes of address space.

    Where the system does not say how large it is (off Linux) there is no limit.
    """
    if size := numbers(f"/proc/{os.getpid()}/status").get("VmSize"):
        resource.setrlimit(resource.RLIMIT_AS, (size + more, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
