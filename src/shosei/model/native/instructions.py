"""The instruction sets that the C files are written for, and which of them this processor has."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """``units`` are torch's names of what the processor must have; ``gcc`` and ``zig`` are the compilers' options."""

    name: str
    units: tuple[str, ...]
    gcc: tuple[str, ...]
    zig: tuple[str, ...]

    @property
    def is_here(self) -> bool:
        """Whether this processor, and its operating system, have it: by cpuid, asked at run time."""
        able = torch.cpu.get_capabilities()
        return platform.machine() in ("x86_64", "AMD64") and all(able.get(unit) for unit in self.units)


AVX512 = InstructionSet(
    "avx512",
    ("avx512_f", "avx512_bw", "avx512_dq", "avx512_vl", "avx512_cd", "avx512_bf16", "avx512_vnni", "avx2", "fma3"),
    ("-march=x86-64-v4", "-mavx512bf16", "-mavx512vnni"),
    ("-mcpu=x86_64_v4+avx512bf16+avx512vnni",),
)
AVX2 = InstructionSet("avx2", ("avx2", "fma3", "bmi2", "f16c"), ("-march=x86-64-v3",), ("-mcpu=x86_64_v3",))
INSTRUCTION_SETS = (AVX512, AVX2)  # the fastest first


def best(name: str | None = None) -> InstructionSet | None:
    """The first that this processor has, among those of ``name`` if one is called so; None: it has none of them."""
    named = [each for each in INSTRUCTION_SETS if each.name == name]
    return next((each for each in named or INSTRUCTION_SETS if each.is_here), None)
