"""What the model computes beside transformers, for every preset's heads and ratios, and across shards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from model_samples import ROWS, random_model, reduced, save_tokenizer
from shosei.errors import InputError
from shosei.model import folder, weights
from shosei.spec import PRESETS

IDS = torch.randint(0, ROWS, (2, 64), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def difference(path: Path, dtype: torch.dtype) -> float:
    """The largest difference between our logits and transformers'."""
    ours, _ = folder.load(path, dtype)
    theirs = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()
    assert isinstance(theirs, LlamaForCausalLM)
    with torch.no_grad():
        return float((ours.logits(ours(IDS)) - theirs(IDS).logits).abs().max())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_gives_the_logits_of_transformers(name: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    spec = reduced(name)
    folder.export(random_model(spec), spec, tokenizer_folder, tmp_path / "model")
    assert difference(tmp_path / "model", torch.float32) < 1e-4


@pytest.mark.parametrize("name", PRESETS)
def test_in_double_precision_they_are_the_same_function(
    name: str, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def norm(self: LlamaRMSNorm, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.variance_epsilon)

    monkeypatch.setattr(LlamaRMSNorm, "forward", norm)  # transformers' own rounds to single precision on the way
    spec = reduced(name)
    folder.export(random_model(spec, torch.float64), spec, tokenizer_folder, tmp_path / "model")
    assert difference(tmp_path / "model", torch.float64) < 1e-9


@pytest.fixture
def sharded(tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose weights fill several small shards."""
    monkeypatch.setattr(weights, "SHARD_BYTES", 400_000)
    spec = reduced("ja-small")
    folder.export(random_model(spec), spec, tokenizer_folder, tmp_path / "model")
    return tmp_path / "model"


def test_a_large_model_is_written_in_shards_that_all_read(sharded: Path) -> None:
    shards = sorted(sharded.glob("model-*-of-*.safetensors"))
    assert len(shards) > 1
    assert not (sharded / "model.safetensors").exists()
    index = json.loads((sharded / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == reduced("ja-small").params * 4
    assert set(index["weight_map"].values()) == {shard.name for shard in shards}
    assert all(shard.stat().st_size < 410_000 for shard in shards)
    assert difference(sharded, torch.float32) < 1e-4


def test_shards_and_one_file_hold_the_same(sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    folder.convert(sharded, tmp_path / "one")
    assert [file.name for file in tmp_path.glob("one/*.safetensors")] == ["model.safetensors"]
    whole, parts = folder.load(tmp_path / "one")[0].state_dict(), folder.load(sharded)[0].state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in parts)
    folder.convert(sharded, tmp_path / "half", torch.bfloat16)
    assert folder.load(tmp_path / "half", None)[0].norm.weight.dtype == torch.bfloat16


def test_a_broken_shard_is_one_clear_line(sharded: Path) -> None:
    second = sorted(sharded.glob("model-*.safetensors"))[1]
    os.truncate(second, 9000)
    with pytest.raises(InputError, match=rf"{second.name} is truncated or damaged"):
        folder.load(sharded)
    second.unlink()
    with pytest.raises(InputError, match=rf"{second.name} is missing, which model.safetensors.index.json names"):
        folder.load(sharded)


def test_pickled_weights_are_refused_unread(sharded: Path) -> None:
    for file in sharded.glob("model*"):
        file.unlink()
    (sharded / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InputError, match=r"pytorch_model.bin is pickled"):
        folder.load(sharded)
