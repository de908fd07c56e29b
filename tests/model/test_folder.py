"""The model folder against transformers: same logits, same greedy answers, and one clear line for a broken folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from shosei.errors import InputError
from shosei.model import folder
from shosei.model.transformer import Transformer
from shosei.spec import PRESETS, ModelSpec


def shape(**changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": "odd",
        "vocab_size": 320,
        "d_model": 48,
        "n_layers": 3,
        "intermediate_size": 80,
        "n_heads": 6,
        "n_kv_heads": 2,
        "head_dim": 16,
        "tied": True,
        "rope_theta": 1e5,
        "context_length": 96,
    }
    return ModelSpec(**(values | changes))  # type: ignore[arg-type]


SHAPES = {
    "grouped": shape(),
    "one KV head, own head": shape(n_kv_heads=1, tied=False, rope_theta=1e6),
    "heads as keys, eps": shape(n_heads=3, n_kv_heads=3, head_dim=8, norm_eps=1e-3),
}


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Byte-level, without merges: enough to be loaded by AutoTokenizer."""
    out = tmp_path_factory.mktemp("tokenizer")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True)])
    tokenizer.save(str(out / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    (out / "tokenizer_config.json").write_text(json.dumps(config))
    return out


def random_model(spec: ModelSpec) -> Transformer:
    """Every weight random, the zero-initialised ones and the norms too, so that each of them matters."""
    torch.manual_seed(0)
    model = Transformer(spec).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2).add_(0.5 if parameter.ndim == 1 else 0.0)
    return model


@pytest.mark.parametrize("name", SHAPES)
def test_transformers_computes_the_same(name: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    spec = SHAPES[name]
    folder.export(random_model(spec), spec, tokenizer_folder, tmp_path / "model")
    ours, read = folder.load(tmp_path / "model")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert isinstance(theirs, LlamaForCausalLM)
    assert read == spec
    ids = torch.randint(0, spec.vocab_size, (3, 40))
    with torch.no_grad():
        difference = ours.logits(ours(ids)) - theirs(ids).logits
    assert difference.abs().max() < 1e-4
    assert theirs.generation_config.eos_token_id == 257
    assert AutoTokenizer.from_pretrained(tmp_path / "model").eos_token == "<|im_end|>"


def test_both_spellings_of_rope_and_no_table_twice(tokenizer_folder: Path, tmp_path: Path) -> None:
    spec = SHAPES["grouped"]
    folder.export(random_model(spec), spec, tokenizer_folder, tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == spec.rope_theta
    assert config["head_dim"] == spec.head_dim
    weights = (tmp_path / "model/model.safetensors").stat().st_size
    assert spec.params * 4 <= weights < spec.params * 4 + 8192


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_those_on_paper(name: str) -> None:
    with torch.device("meta"):
        model = Transformer(PRESETS[name])
    assert sum(parameter.numel() for parameter in model.parameters()) == PRESETS[name].params


def test_a_fresh_model_starts_as_the_identity() -> None:
    spec = SHAPES["grouped"]
    model = Transformer(spec)
    ids = torch.arange(10)[None]
    torch.testing.assert_close(model(ids), model.norm(model.embed_tokens(ids)))


def test_a_copy_of_the_folder_replaces_the_old_one_whole(tokenizer_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    for spec in (SHAPES["grouped"], SHAPES["one KV head, own head"]):
        folder.export(random_model(spec), spec, tokenizer_folder, out)
        assert folder.load(out)[1] == spec
    assert os.listdir(tmp_path) == ["model"]


def test_a_type_is_kept_or_changed(tokenizer_folder: Path, tmp_path: Path) -> None:
    spec = SHAPES["grouped"]
    folder.export(random_model(spec).bfloat16(), spec, tokenizer_folder, tmp_path / "model")
    assert folder.load(tmp_path / "model")[0].norm.weight.dtype == torch.float32
    assert folder.load(tmp_path / "model", dtype=None)[0].norm.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(("dtype", "share"), [(torch.bfloat16, 0.03), (torch.float32, 1e-5)])
def test_packed_products_stay_close(dtype: torch.dtype, share: float) -> None:
    spec = SHAPES["one KV head, own head"]
    ids = torch.randint(0, spec.vocab_size, (2, 12))
    with torch.no_grad():
        plain = random_model(spec).to(dtype)
        expected = plain.logits(plain(ids)).float()
        plain.pack()
        actual = plain.logits(plain(ids)).float()
    assert (actual - expected).norm() < share * expected.norm()


def edit_config(path: Path, **values: object) -> None:
    file = path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: (path / "config.json").unlink(), "config.json is missing"),
        (lambda path: (path / "config.json").write_text("{"), "cannot read"),
        (lambda path: (path / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda path: os.truncate(path / "model.safetensors", 5000), "truncated or damaged"),
        (lambda path: os.truncate(path / "model.safetensors", 3), "truncated or damaged"),
        (lambda path: edit_config(path, intermediate_size=88), "gate_proj.weight' has shape"),
        (lambda path: edit_config(path, num_hidden_layers=4), "layers.3"),
        (lambda path: edit_config(path, model_type="mamba"), "not supported"),
        (lambda path: edit_config(path, architectures=["Qwen3ForCausalLM"]), "not supported"),
        (lambda path: edit_config(path, hidden_act="gelu"), "hidden_act"),
        (lambda path: edit_config(path, rope_parameters={"rope_type": "longrope"}), "longrope"),
        (lambda path: edit_config(path, vocab_size="many"), "not a number"),
    ],
)
def test_a_broken_folder_is_one_clear_line(damage, says: str, tokenizer_folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = SHAPES["grouped"]
    folder.export(random_model(spec), spec, tokenizer_folder, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(InputError, match=says) as caught:
        folder.load(tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "model") in str(caught.value)


def test_a_tokenizer_that_does_not_fit_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    small = shape(vocab_size=100)
    with pytest.raises(InputError, match="no row"):
        folder.export(Transformer(small), small, tokenizer_folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()
