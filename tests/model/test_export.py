"""``shosei export`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import pytest
import torch

from model_samples import random_model, reduced, save_tokenizer
from shosei.model import folder
from verb import Shosei


@pytest.fixture
def run(tmp_path: Path) -> Path:
    spec = reduced("nano")
    folder.export(random_model(spec), spec, save_tokenizer(tmp_path / "tokenizer"), tmp_path / "run/model")
    return tmp_path / "run"


def test_a_run_becomes_a_folder_or_a_file(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    code, out, _ = shosei("export", run, tmp_path / "half", "--type", "bf16", "--json")
    assert code == 0
    assert json.loads(out)["bytes"] == sum(file.stat().st_size for file in (tmp_path / "half").iterdir())
    assert folder.load(tmp_path / "half", None)[0].norm.weight.dtype == torch.bfloat16
    assert shosei("export", run / "model", tmp_path / "m.gguf", "--format", "gguf", "--type", "q8_0")[0] == 0
    assert gguf.GGUFReader(tmp_path / "m.gguf").tensors


def test_nothing_is_replaced_that_is_no_model(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/kept.txt").write_text("mine")
    code, _, err = shosei("export", run, tmp_path / "notes")
    assert code == 2
    assert "is not a model folder" in err
    assert (tmp_path / "notes/kept.txt").read_text() == "mine"
    assert "the model itself" in shosei("export", run, run / "model")[2]
    assert "--format gguf" in shosei("export", run, tmp_path / "out", "--type", "q4_0")[2]
