"""Every tensor of a checkpoint is used, or the import is refused in one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from foreign_samples import save
from model_samples import ROWS
from shosei.model import folder
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")

IDS = torch.randint(0, ROWS, (2, 40), generator=torch.Generator().manual_seed(0))
ATTENTION = "model.layers.0.self_attn"
UNASKED = {
    "biases": ("llama", {f"{ATTENTION}.{part}_proj.bias": torch.ones(48 if part == "q" else 16) for part in "qkv"}),
    "a bias that Qwen2 has not": ("qwen2", {f"{ATTENTION}.o_proj.bias": torch.ones(48)}),
    "norms of queries and keys": ("llama", {f"{ATTENTION}.{part}_norm.weight": torch.ones(8) for part in "qk"}),
    "a layer more": ("qwen3", {"model.layers.3.mlp.up_proj.weight": torch.ones(80, 48)}),
    "an adapter": ("llama", {f"{ATTENTION}.q_proj.lora_A.weight": torch.ones(4, 48)}),
}


def add(path: Path, extra: dict[str, Tensor]) -> None:
    file = path / "model.safetensors"
    save_file(load_file(file) | extra, file, {"format": "pt"})


@pytest.mark.parametrize("name", UNASKED)
def test_a_tensor_that_the_config_does_not_know_is_refused_by_name(name: str, tmp_path: Path, shosei: Shosei) -> None:
    kind, extra = UNASKED[name]
    save(kind, tmp_path / "theirs")
    add(tmp_path / "theirs", extra)
    code, _, err = shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")
    assert code == 2
    assert err.count("\n") == 1
    assert f"'{sorted(extra)[0]}'" in err
    assert not (tmp_path / "run/model").exists()


def test_a_head_of_its_own_under_tied_tables_is_used(tmp_path: Path, shosei: Shosei) -> None:
    save("llama", tmp_path / "theirs", tie_word_embeddings=True)
    add(tmp_path / "theirs", {"lm_head.weight": torch.randn(ROWS, 48, generator=torch.Generator().manual_seed(9))})
    assert shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")[0] == 0
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    for path in (tmp_path / "theirs", tmp_path / "run/model"):
        ours, spec = folder.load(path)
        assert not spec.tied
        with torch.no_grad():
            assert (ours.logits(ours(IDS)) - theirs(IDS).logits).abs().max() < 1e-4


def test_a_head_that_repeats_the_table_leaves_the_model_tied(tmp_path: Path) -> None:
    save("llama", tmp_path, tie_word_embeddings=True)
    add(tmp_path, {"lm_head.weight": load_file(tmp_path / "model.safetensors")["model.embed_tokens.weight"].clone()})
    assert folder.load(tmp_path)[1].tied


def test_ropes_tables_of_older_libraries_are_passed_over(tmp_path: Path, shosei: Shosei) -> None:
    save("llama", tmp_path / "theirs")
    add(tmp_path / "theirs", {f"{ATTENTION}.rotary_emb.inv_freq": torch.ones(4)})
    assert shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")[0] == 0


def test_weights_in_a_quantised_type_are_refused(tmp_path: Path, shosei: Shosei) -> None:
    save("llama", tmp_path / "theirs")
    add(tmp_path / "theirs", {f"{ATTENTION}.q_proj.weight": torch.ones(48, 48).to(torch.float8_e4m3fn)})
    code, _, err = shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")
    assert code == 2
    assert f"'{ATTENTION}.q_proj.weight' is stored as F8_E4M3" in err


def test_mixed_types_are_said(tmp_path: Path, shosei: Shosei) -> None:
    save("llama", tmp_path / "theirs")
    add(tmp_path / "theirs", {"model.norm.weight": torch.ones(48, dtype=torch.bfloat16)})
    code, out, _ = shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")
    assert code == 0
    assert "1 BF16 tensors were written in the type of the input table" in out
