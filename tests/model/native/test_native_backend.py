"""What computes a model, and the reason where it is torch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from shosei.model.native import backend
from shosei.model.native.compiler import Unavailable
from shosei.model.native.library import Library
from shosei.spec import preset
from shosei.spec.generation import WeightFormat

SPEC, CPU = preset("nano"), torch.device("cpu")


def test_the_library_computes_what_it_can(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "library", lambda: library)
    for weights, dtype in ((WeightFormat.STORED, torch.bfloat16), (WeightFormat.INT4, torch.bfloat16)):
        assert backend.backend_for(SPEC, weights, dtype, CPU).library is library
    chosen = backend.backend_for(SPEC, WeightFormat.INT4, torch.bfloat16, CPU)
    lines = dict(backend.explained(chosen, SPEC, WeightFormat.INT4_HEAD8))
    assert lines["gate and up, 1,024 × 192, int4"] == library.name
    assert lines["head, 2,048 × 192, int8"] == library.name


@pytest.mark.parametrize(
    ("change", "weights", "dtype", "device", "words"),
    [
        ({}, WeightFormat.STORED, torch.float32, "cpu", "the weights are in float32"),
        ({}, WeightFormat.INT8, torch.bfloat16, "meta", "not for meta"),
        ({"d_model": 40}, WeightFormat.INT4, torch.bfloat16, "cpu", "width of 40"),
        ({}, WeightFormat.STORED, torch.bfloat16, "cpu", "there is no C compiler"),
    ],
)
def test_torch_computes_the_rest_and_the_reason_is_told(
    change: dict[str, int],
    weights: WeightFormat,
    dtype: torch.dtype,
    device: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unavailable() -> Library:
        raise Unavailable("there is no C compiler: install one")

    monkeypatch.setattr(backend, "library", unavailable)
    spec = replace(SPEC, **change)
    chosen = backend.backend_for(spec, weights, dtype, torch.device(device))
    assert chosen.library is None
    assert words in chosen.reason
    assert all(computed_by == f"torch: {chosen.reason}" for _, computed_by in backend.explained(chosen, spec, weights))


def test_each_matrix_is_told_as_it_is_held() -> None:
    torchs = backend.Backend(None, "a reason")
    lines = backend.explained(torchs, SPEC, WeightFormat.STORED, torch.float32)
    assert all(matrix.endswith(", float32") for matrix, _ in lines)
    odd = replace(SPEC, d_model=80)  # no whole number of groups of 32
    held = [matrix.rpartition(", ")[2] for matrix, _ in backend.explained(torchs, odd, WeightFormat.INT4)]
    assert held == ["bfloat16", "int4", "bfloat16", "int4", "bfloat16"]
