"""Which of our weight formats stands beside which file of llama.cpp's, and how much faster it is meant to be."""

from __future__ import annotations

from dataclasses import dataclass

PREFILL, BUSY, AVX2 = "prefill 512", "8 streams, busy", "8 streams, AVX2"
WORK: dict[str, tuple[int, int, int]] = {  # streams, tokens of a prompt, new tokens
    "1 stream": (1, 64, 64),
    "8 streams": (8, 64, 64),
    "32 streams": (32, 64, 64),
    PREFILL: (1, 512, 1),
    BUSY: (8, 64, 64),
    AVX2: (8, 64, 64),
}


@dataclass(frozen=True)
class Format:
    """``weights`` is ours, ``file`` llama.cpp's with a head of as many bits; ``goals`` are ratios to the best peer, in
    the order of ``WORK``; beside busy cores and by AVX2, to llama.cpp."""

    name: str
    weights: str
    file: str
    goals: tuple[float, ...]


def formats(int4_head_bits: int) -> list[Format]:
    """Those that stand in one table; weights in 4 bits with a head of so many."""
    int4 = (
        Format("int4, head int8", "int4-head8", "q4_0", (1.05, 2.8, 2.2, 1.3, 2.0, 1.0))
        if int4_head_bits == 8
        else Format("int4, head int4", "int4", "q4_0-pure", (1.25, 2.8, 2.2, 1.3, 2.0, 1.0))
    )
    return [
        Format("bf16", "stored", "bf16", (1.05, 1.9, 1.9, 1.2, 1.5, 1.0)),
        Format("int8", "int8", "q8_0", (1.4, 3.0, 3.0, 1.6, 2.0, 1.0)),
        int4,
    ]


def verdict(reached: bool) -> str:
    """Of a goal."""
    return "reached" if reached else "missed"
