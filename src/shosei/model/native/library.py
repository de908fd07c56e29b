"""The compiled library, found or made at first use, never at import."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache

from shosei.errors import InputError
from shosei.model.native import structs
from shosei.model.native.compiler import CACHE_VARIABLE, Compiler, Unavailable, compiled
from shosei.model.native.instructions import INSTRUCTION_SETS, InstructionSet, best

SWITCH_VARIABLE = "SHOSEI_NATIVE"


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """``native.h``'s functions for one instruction set, typed for ctypes; they let go of Python's lock."""

    target: InstructionSet
    functions: ctypes.CDLL

    @property
    def name(self) -> str:
        """As the log and ``--explain`` name it."""
        return f"native {self.target.name}"


@cache
def library() -> Library:
    """The one for this processor; that of a lesser instruction set, where the variable ``SHOSEI_NATIVE`` names it.
    Raises Unavailable, with the reason, where there can be none, and where the variable is 0; InputError where it is
    neither that nor 1."""
    switch = os.environ.get(SWITCH_VARIABLE) or None
    if switch == "0":
        raise Unavailable(f"{SWITCH_VARIABLE} is 0")
    choices = ["0", "1", *(each.name for each in INSTRUCTION_SETS)]
    if switch and switch not in choices:
        raise InputError(f"{SWITCH_VARIABLE} is '{switch}'; set it to one of {', '.join(choices)}, or unset it")
    target = best(switch)
    if target is None:
        raise Unavailable("this processor has neither AVX2 nor AVX-512, or not the one that was chosen")
    return load(target)


def load(target: InstructionSet, compiler: Compiler | None = None) -> Library:
    """The library for ``target``, compiled by ``compiler``, or as ``compiled`` chooses. Raises Unavailable."""
    path = compiled(target, compiler)
    try:
        functions = ctypes.CDLL(str(path))
        functions.native_memory.restype = c_int64
        functions.native_memory.argtypes = [c_void_p, c_void_p]
        functions.native_step.restype = functions.native_product.restype = functions.native_pack_int4.restype = None
        functions.native_step.argtypes = [c_void_p] * 5
        functions.native_product.argtypes = [c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p]
        functions.native_pack_int4.argtypes = [c_int64, c_int64, c_void_p, c_void_p, c_int64]
        _require_same_structs(functions)
    except (OSError, AttributeError) as error:
        raise Unavailable(f"{path} cannot be loaded ({error}); {CACHE_VARIABLE} may name another folder") from None
    return Library(target, functions)


def _require_same_structs(functions: ctypes.CDLL) -> None:
    sizes = (c_int64 * len(structs.STRUCTS))()
    functions.native_sizes(byref(sizes))
    if list(sizes) != [ctypes.sizeof(each) for each in structs.STRUCTS]:
        raise OSError("its structs are others")
