"""What cannot be imported is one line that names the file at fault and says what to do."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from foreign_samples import TINY, edit, save
from model_samples import ROWS, save_tokenizer
from shosei.cli import exchange
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")

Damage = Callable[[Path], object]


def set_config(**values: object) -> Damage:
    return lambda path: edit(path / "config.json", **values)


def cut(name: str, size: int) -> Damage:
    return lambda path: os.truncate(path / name, size)


def remove(*names: str) -> Damage:
    return lambda path: [(path / name).unlink() for name in names]


def become(kind: str, **settings: object) -> Damage:
    """Another architecture, as transformers saves it."""

    def save_it(path: Path) -> None:
        for file in path.glob("model*"):
            file.unlink()
        config = AutoConfig.for_model(kind, **(TINY | {"num_hidden_layers": 1} | settings))
        AutoModelForCausalLM.from_config(config).save_pretrained(path)

    return save_it


def become_pickled(path: Path) -> None:
    for file in path.glob("model*"):
        file.unlink()
    (path / "pytorch_model-00001-of-00002.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")


def become_adapter(path: Path) -> None:
    for file in [*path.glob("model*"), path / "config.json"]:
        file.unlink()
    (path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (path / "adapter_model.safetensors").write_bytes(b"")


SECOND = "model-00002-of-00009.safetensors"
CASES: dict[str, tuple[Damage, str]] = {
    "unsupported architecture": (set_config(model_type="mamba"), "config.json: .* mamba .*; these are: llama, qwen2"),
    "mixture of experts": (
        become("qwen3_moe", num_experts=2, moe_intermediate_size=16),
        "config.json: .* qwen3_moe .* not supported",
    ),
    "sliding window, Mistral": (become("mistral"), "config.json: .* mistral .* not supported"),
    "sliding window, Qwen": (set_config(use_sliding_window=True), "config.json: use_sliding_window = True .* must be"),
    "another activation": (set_config(hidden_act="gelu"), "config.json: hidden_act = 'gelu' .* must be 'silu'"),
    "biases in a part": (set_config(attention_bias=True), "config.json: biases in only a part"),
    "a sliding layer": (
        set_config(layer_types=["sliding_attention"] * 3),
        "config.json: layer_types other than full_attention",
    ),
    "RoPE as a string": (set_config(rope_parameters=None, rope_scaling="yarn"), "rope_scaling = 'yarn' is not supp"),
    "RoPE by kind of layer": (
        set_config(rope_parameters={"full_attention": {"rope_theta": 1e4}, "sliding_attention": {"rope_theta": 1e4}}),
        "config.json: rope_parameters of several kinds of layers",
    ),
    "GPTQ": (set_config(quantization_config={"quant_method": "gptq", "bits": 4}), "config.json: .* gptq .*unquantised"),
    "AWQ": (set_config(quantization_config={"quant_method": "awq"}), "config.json: .* awq .* unquantised folder"),
    "FP8": (set_config(quantization_config={"quant_method": "fp8"}), "config.json: .* fp8 .* unquantised folder"),
    "torn config": (cut("config.json", 90), "cannot read .*config.json: .*; copy it again"),
    "config without a key": (set_config(hidden_size=None), "config.json: a value is not a number"),
    "a context in words": (
        set_config(max_position_embeddings="4096"),
        "max_position_embeddings = '4096' is not a num",
    ),
    "a part of a position": (set_config(max_position_embeddings=64.5), "max_position_embeddings = 64.5 is not a whole"),
    "true for a number": (set_config(rms_norm_eps=True), "config.json: .* rms_norm_eps = True is not a number"),
    "a text for false": (set_config(tie_word_embeddings="false"), "tie_word_embeddings = 'false' is neither true nor"),
    "a bias in words": (
        set_config(attention_bias="no"),
        "config.json: attention_bias = 'no' is neither true nor",
    ),
    "two scalings": (
        set_config(rope_scaling={"type": "linear", "factor": 2.0}, rope_parameters={"rope_type": "default"}),
        "config.json: rope_parameters and rope_scaling say different things",
    ),
    "no config": (remove("config.json"), "config.json is missing"),
    "adapter beside a model": (
        lambda path: (path / "adapter_config.json").write_text("{}"),
        "adapter_config.json: an adapter is not a whole model; .*take it away",
    ),
    "adapter": (become_adapter, "adapter_config.json: an adapter is not a whole model; merge it"),
    "a shard of a long name": (
        lambda path: edit(path / "model.safetensors.index.json", weight_map={"a": "x" * 5000}),
        "'x{40}' is not the name of a file",
    ),
    "missing shard": (remove(SECOND), f"{SECOND} is missing, which model.safetensors.index.json names"),
    "truncated shard": (cut(SECOND, 1000), f"{SECOND} is truncated or damaged .*copy"),
    "torn index": (cut("model.safetensors.index.json", 50), "cannot read .*index.json: .*; copy it again"),
    "wrong shape": (set_config(intermediate_size=96), "safetensors: 'model.layers.* has shape .* the config asks for"),
    "missing tensor": (set_config(num_hidden_layers=4), "tensor 'model.layers.3.* is missing; the config asks for it"),
    "pickled weights": (become_pickled, "pytorch_model-00001-of-00002.bin is pickled: .* safetensors instead"),
    "tokenizer too large": (lambda path: save_tokenizer(path, ROWS + 30), "tokenizer.json: id 349 has no row .* take"),
    "no tokenizer": (remove("tokenizer.json"), "has no tokenizer: neither tokenizer.json nor tokenizer.model; copy"),
    "torn tokenizer": (cut("tokenizer.json", 500), "tokenizer.json is not a tokenizer .*; copy it again"),
    "empty tokenizer": (lambda path: (path / "tokenizer.json").write_text("{}"), "tokenizer.json is not a tokenizer "),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole")
    save("llama", path, max_shard_size="40KB", tie_word_embeddings=True, num_key_value_heads=6)
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.mark.parametrize("name", CASES)
def test_it_is_one_clear_line(name: str, whole: dict[str, bytes], tmp_path: Path, shosei: Shosei) -> None:
    damage, says = CASES[name]
    (tmp_path / "theirs").mkdir()
    for file, content in whole.items():
        (tmp_path / "theirs" / file).write_bytes(content)
    damage(tmp_path / "theirs")
    code, _, err = shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")
    assert code == 2, err
    assert err.count("\n") == 1
    assert re.search(says, err), err
    assert not (tmp_path / "run/model").exists()


def test_a_token_that_is_null_is_none(tmp_path: Path, shosei: Shosei) -> None:
    """Qwen's have no beginning of sequence, and a word of that name."""
    save("qwen2", tmp_path / "theirs")
    edit(tmp_path / "theirs/tokenizer_config.json", bos_token=None, unk_token=None)
    tokenizer = json.loads((tmp_path / "theirs/tokenizer.json").read_text())
    piece = next(piece for piece in tokenizer["model"]["vocab"] if len(piece) > 1)
    text = (tmp_path / "theirs/tokenizer.json").read_text()
    (tmp_path / "theirs/tokenizer.json").write_text(text.replace(json.dumps(piece)[1:-1], "None"))
    assert shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")[0] == 0
    assert "bos_token_id" not in json.loads((tmp_path / "run/model/config.json").read_text())


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("theirs/model.safetensors", "is one file of a model; name its folder: shosei import .*theirs --out"),
        ("theirs/config.json", "name its folder"),
        ("nowhere", "there is no such path"),
    ],
)
def test_a_wrong_path_is_told_before_torch_is_loaded(
    tmp_path: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch, path: str, says: str
) -> None:
    save("llama", tmp_path / "theirs", num_hidden_layers=1)
    monkeypatch.setattr(exchange, "load_torch", lambda: pytest.fail("torch is loaded"))
    code, _, err = shosei("import", tmp_path / path, "--out", tmp_path / "run")
    assert (code, err.count("\n")) == (2, 1), err
    assert re.search(says, err), err
    assert not (tmp_path / "run").exists()
