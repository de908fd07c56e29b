"""The products in C and whole steps of a preset, beside torch's: ``python bench/native.py [PRESET]`` (ja-small).

Weights are random and too many for any cache, as those of a model are. Prints the machine's read bandwidth and its best
rate of square products of that minute, then for each format and number of rows: the time, the rate of reading and of
computing, and each as a share of what the machine can. A step at one row reads every weight once; prefill computes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from ctypes import byref
from itertools import cycle
from types import SimpleNamespace

import torch
from torch import Tensor

from shosei.model.device import this_machine
from shosei.model.folder import tensor_shapes
from shosei.model.int4 import Int4Weight
from shosei.model.int8 import Int8Weight
from shosei.model.linear import Linear
from shosei.model.native import structs
from shosei.model.native.decoder import NativeModel
from shosei.model.native.library import Library, library
from shosei.model.native.packed_matrix import Format, PackedMatrix
from shosei.spec import ModelSpec, preset
from shosei.spec.device import Device
from shosei.spec.generation import BLOCK_TOKENS, WeightFormat, blocks_of, product_bytes

ROWS = (1, 8, 32, 512)
COLD_BYTES = 300_000_000
CONTEXT = 128
TURNS = 9

Product = Callable[[Tensor], object]


def main() -> None:
    torch.set_grad_enabled(False)
    spec, machine, native = preset(sys.argv[1] if len(sys.argv) > 1 else "ja-small"), this_machine(), library()
    print(
        f"{native.name}, {torch.get_num_threads()} threads; reads {machine.bandwidth / 1e9:.1f} GB/s, "
        f"computes {machine.flops / 1e9:.0f} GFLOP/s in bfloat16"
    )
    for inputs, outputs in ((spec.d_model, 2 * spec.intermediate_size), (spec.intermediate_size, spec.d_model)):
        products(native, machine, inputs, outputs)
    for weights in WeightFormat:
        steps(native, machine, spec, weights)


def products(native: Library, machine: Device, inputs: int, outputs: int) -> None:
    print(f"\none product, {inputs} to {outputs}: µs, share of the bandwidth, share of the GEMM rate; torch's µs")
    copies = COLD_BYTES // (inputs * outputs * 2) + 1
    weight, out = torch.randn(outputs, inputs).bfloat16(), torch.zeros(max(ROWS), outputs)
    for packed, theirs in zip(Format, torchs_products(weight, copies), strict=True):
        ours = [native_product(native, weight, packed, out) for _ in range(copies)]
        size = inputs * outputs * packed.bits / 8
        for rows in ROWS:
            x = torch.randn(rows, inputs)
            mine, other = by_turns(ours, x, theirs, x.bfloat16())
            print(
                f"  {packed.name.lower():5} {rows:4} rows {mine * 1e6:8.0f} {size / mine / machine.bandwidth:6.2f} "
                f"{2 * inputs * outputs * rows / mine / machine.flops:6.2f} {other * 1e6:8.0f}",
                flush=True,
            )


def native_product(native: Library, weight: Tensor, packed: Format, out: Tensor) -> Product:
    matrix = PackedMatrix(native, *weight.shape, packed)
    matrix.fill(weight, slice(None))
    struct, memory = matrix.struct(), torch.empty((max(ROWS) + 4) * weight.shape[1] * 2, dtype=torch.uint8)

    def product(x: Tensor) -> PackedMatrix:
        pointers = (x.data_ptr(), memory.data_ptr(), out.data_ptr())
        native.functions.native_product(byref(struct), byref(structs.pool()), len(x), *pointers)
        return matrix  # which the struct points into

    return product


def torchs_products(weight: Tensor, copies: int) -> Iterator[list[Product]]:
    packed = [Linear(*reversed(weight.shape)).bfloat16() for _ in range(copies)]
    for linear in packed:
        linear.weight.copy_(weight)
        linear.pack()
    yield [*packed]
    yield [Int8Weight(weight).multiply for _ in range(copies)]
    yield [Int4Weight(weight).multiply for _ in range(copies)]


def by_turns(ours: list[Product], x: Tensor, theirs: list[Product], y: Tensor) -> list[float]:
    """Median seconds by ours and by theirs: each copy of the weights twice, three in all where ``x`` has many rows."""
    times: list[list[float]] = [[], []]
    for turn, (mine, other) in enumerate(zip(cycle(ours), theirs * 2, strict=False)):
        if turn > 2 and len(x) > 100:
            break
        for kept, product, rows in zip(times, (mine, other), (x, y), strict=True):
            begin = time.perf_counter()
            product(rows)
            kept.append(time.perf_counter() - begin)
    return [statistics.median(kept[1:]) for kept in times]


def steps(native: Library, machine: Device, spec: ModelSpec, weights: WeightFormat) -> None:
    model = NativeModel(spec, native, weights)
    for name, shape in shapes(spec):
        model.take(name, torch.randn(shape).mul_(0.02).bfloat16())
    size = product_bytes(spec, weights)
    print(f"\n{spec.name} {weights}, {size / 1e6:.0f} MB a step: tokens/s, share of the bandwidth or of the GEMM rate")
    for streams in (1, 8, 32):
        seconds = step_seconds(model, streams, 1, CONTEXT)
        print(
            f"  {streams:3} streams {streams / seconds:7.0f} {size / seconds / machine.bandwidth:6.2f} read", flush=True
        )
    seconds = step_seconds(model, 1, 512, 0)
    last = 6 * spec.d_model * spec.intermediate_size + 2 * spec.vocab_size * spec.d_model  # for one row only
    flops = 512 * (2 * spec.matmul_params - last)
    print(f"  prefill 512 {512 / seconds:7.0f} {flops / seconds / machine.flops:6.2f} computed", flush=True)


def shapes(spec: ModelSpec) -> Iterator[tuple[str, torch.Size]]:
    return ((name.removeprefix("model."), shape) for name, shape in tensor_shapes(spec).items())


def step_seconds(model: NativeModel, streams: int, rows: int, position: int) -> float:
    """The median time of a step in which each of ``streams`` computes so many rows, the first at ``position``."""
    blocks, spec = blocks_of(position + rows), model.spec
    shape = (spec.n_layers, streams * blocks, spec.n_kv_heads, BLOCK_TOKENS, spec.head_dim)
    cache = SimpleNamespace(k=torch.zeros(shape, dtype=torch.bfloat16), v=torch.zeros(shape, dtype=torch.bfloat16))
    batch = SimpleNamespace(
        tokens=torch.randint(0, spec.vocab_size, (streams * rows,)),
        positions=torch.arange(position, position + rows).repeat(streams),
        starts=torch.arange(0, streams * rows + 1, rows),
        tables=torch.arange(streams * blocks, dtype=torch.int32).view(streams, blocks),
        wanted=torch.arange(rows - 1, streams * rows, rows),
    )
    times = []
    for _ in range(TURNS if rows == 1 else 4):
        begin = time.perf_counter()
        model.logits(batch, cache)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
