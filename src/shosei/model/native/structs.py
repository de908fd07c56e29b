"""The structs of ``native.h`` for ctypes, and the thread pool that they are computed by."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path

import torch

_OPENMP = ("libgomp", "libiomp5", "libomp")  # all of them have libgomp's entry points


class Matrix(Structure):
    _fields_ = [
        ("format", c_int64),
        ("outputs", c_int64),
        ("inputs", c_int64),
        ("units", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
    ]


class Layer(Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("attention_norm", "feed_forward_norm", "query_norm", "key_norm")),
        *((name, Matrix) for name in ("qkv", "output", "gate_up", "down")),
    ]


class Pool(Structure):
    _fields_ = [
        ("parallel", c_void_p),
        ("number", c_void_p),
        ("size", c_void_p),
        ("threads", c_int64),
    ]


class Model(Structure):
    _fields_ = [
        *(
            (name, c_int64)
            for name in ("width", "n_layers", "intermediate", "n_heads", "n_kv_heads", "head_dim", "vocabulary")
        ),
        ("eps", c_float),
        ("rotation_magnitude", c_float),
        *((name, c_void_p) for name in ("frequencies", "table", "final_norm")),
        ("layers", POINTER(Layer)),
        ("head", Matrix),
        ("pool", Pool),
    ]


class Batch(Structure):
    _fields_ = [
        *((name, c_int64) for name in ("rows", "sequences", "wanted_rows", "table_width")),
        *((name, c_void_p) for name in ("tokens", "positions", "starts", "wanted", "tables")),
    ]


class Cache(Structure):
    _fields_ = [
        ("k", c_void_p),
        ("v", c_void_p),
        ("layer_stride", c_int64),
        ("block_stride", c_int64),
        ("head_stride", c_int64),
    ]


STRUCTS = (Matrix, Layer, Model, Batch, Cache)


def pool() -> Pool:
    """As many threads as torch has, of torch's own pool: two pools would spin against each other. One thread where
    torch's OpenMP library is not found."""
    return _pool(torch.get_num_threads())


@cache
def _pool(threads: int) -> Pool:
    openmp = _openmp() if threads > 1 else None
    if openmp is None:
        return Pool(threads=1)
    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
    return Pool(*(ctypes.cast(getattr(openmp, name), c_void_p) for name in names), threads)


@cache
def _openmp() -> ctypes.CDLL | None:
    folder = Path(torch.__file__).parent / "lib"
    files = sorted(file for name in _OPENMP for file in folder.glob(f"{name}*.so*"))
    return ctypes.CDLL(str(files[0])) if files else None
