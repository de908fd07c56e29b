"""``shosei import`` against the libraries that the folders come from: transformers' models and SentencePiece."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from conftest import Shosei
from foreign_samples import edit, save
from model_samples import ROWS
from shosei.engine.answer import answer_greedily
from shosei.model import folder
from shosei.text import Tokenizer, chat

EXTRAS: dict[str, dict[str, object]] = {
    "llama": {},
    "llama, biased": {"attention_bias": True, "mlp_bias": True},
    "llama, tied": {"tie_word_embeddings": True, "num_key_value_heads": 6},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "internlm3": {"rope_scaling": {"rope_type": "dynamic", "factor": 6.0, "rope_theta": 50_000.0}},
    "internlm3, biased": {"attention_bias": True, "mlp_bias": True},
}
IDS = torch.randint(0, ROWS, (2, 60), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", EXTRAS)
def test_an_imported_model_gives_the_logits_of_transformers(name: str, tmp_path: Path, shosei: Shosei) -> None:
    theirs = save(name.partition(",")[0], tmp_path / "theirs", **EXTRAS[name])
    code, out, err = shosei("import", tmp_path / "theirs", "--out", tmp_path / "run", "--json")
    assert code == 0, err
    assert json.loads(out)["params"] == theirs.num_parameters()
    ours, spec = folder.load(tmp_path / "run/model")
    with torch.no_grad():
        expected = theirs(IDS).logits
        assert (ours.logits(ours(IDS)) - expected).abs().max() < 1e-4
        again = AutoModelForCausalLM.from_pretrained(tmp_path / "run/model")  # what it is exported as
        assert (again(IDS).logits - expected).abs().max() < 1e-4
        made = theirs.generate(IDS[:1], max_new_tokens=20, do_sample=False, eos_token_id=None)[0, 60:].tolist()
    assert answer_greedily(ours, spec, IDS[:1].tolist(), [20], []) == [made]
    ours.bfloat16().pack()
    with torch.no_grad():
        packed = ours.logits(ours(IDS)).float()
    assert (packed - expected).norm() < 0.1 * expected.norm()


def as_internlm2(path: Path) -> None:
    """Relabel a Llama's folder as InternLM2's, whose query, key and value are one matrix, one KV head after another."""
    kv, group, size = 2, 3, 8
    tensors = load_file(path / "model.safetensors")
    for layer in range(3):
        old, new = f"model.layers.{layer}", f"model.layers.{layer}.attention"
        q, k, v = (tensors.pop(f"{old}.self_attn.{part}_proj.weight") for part in "qkv")
        heads = []
        for head in range(kv):
            heads += [q[head * group * size : (head + 1) * group * size]]
            heads += [part[head * size : (head + 1) * size] for part in (k, v)]
        tensors[f"{new}.wqkv.weight"] = torch.cat(heads)
        tensors[f"{new}.wo.weight"] = tensors.pop(f"{old}.self_attn.o_proj.weight")
        for ours, theirs in (("gate", "w1"), ("up", "w3"), ("down", "w2")):
            tensors[f"{old}.feed_forward.{theirs}.weight"] = tensors.pop(f"{old}.mlp.{ours}_proj.weight")
        tensors[f"{old}.attention_norm.weight"] = tensors.pop(f"{old}.input_layernorm.weight")
        tensors[f"{old}.ffn_norm.weight"] = tensors.pop(f"{old}.post_attention_layernorm.weight")
    tensors["model.tok_embeddings.weight"] = tensors.pop("model.embed_tokens.weight")
    tensors["output.weight"] = tensors.pop("lm_head.weight")
    save_file(tensors, path / "model.safetensors")
    edit(path / "config.json", model_type="internlm2", architectures=["InternLM2ForCausalLM"], bias=False)


def test_internlm2_is_unpacked_to_the_llama_that_it_is(tmp_path: Path, shosei: Shosei) -> None:
    theirs = save("llama", tmp_path / "theirs")
    as_internlm2(tmp_path / "theirs")
    assert shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")[0] == 0
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "run/model")
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in theirs.state_dict().items())


def test_an_imported_model_learns_from_dialogues(tmp_path: Path, shosei: Shosei) -> None:
    """With the folder's own template and tokens, and stays the kind of model that it was."""
    save("qwen2", tmp_path / "theirs", num_hidden_layers=1)
    (tmp_path / "theirs/chat_template.jinja").write_text(
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|plugin|>{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    edit(tmp_path / "theirs/tokenizer_config.json", bos_token="<|interpreter|>", eos_token="<|plugin|>")
    end = json.loads((tmp_path / "theirs/tokenizer.json").read_text())["added_tokens"][4]["id"]
    edit(tmp_path / "theirs/generation_config.json", eos_token_id=[end, 2])
    turns = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "世界"}]
    (tmp_path / "mine.jsonl").write_text(json.dumps({"messages": turns}) + "\n" + json.dumps({"messages": turns * 2}))
    run = tmp_path / "run"
    assert shosei("import", tmp_path / "theirs", "--out", run)[0] == 0
    options = ["--set", "train.epochs=40", "--set", "train.batch_size=2", "--set", "train.table_lr=0.003"]
    code, _, err = shosei(
        "train", "--run", run, "--init", run / "model", "--dialogues", tmp_path / "mine.jsonl", *options
    )
    assert code == 0, err
    config = json.loads((run / "model/config.json").read_text())
    assert config["model_type"] == "qwen2"
    assert config["eos_token_id"] == [end, 2]
    model, spec = folder.load(run / "model")
    tokenizer = Tokenizer.load(run / "model")
    prompt = chat.render(tokenizer, turns[:1])
    answers = answer_greedily(model, spec, [prompt], [8], tokenizer.end_ids)
    assert tokenizer.decode(answers[0]) == "世界"


def test_dialogues_that_cannot_be_read_change_nothing(tmp_path: Path, shosei: Shosei) -> None:
    save("llama", tmp_path / "theirs")
    assert shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")[0] == 0
    (tmp_path / "mine.jsonl").write_text('{"text": "no messages"}\n')
    code, _, err = shosei("train", "--run", tmp_path / "run", "--dialogues", tmp_path / "mine.jsonl")
    assert code == 2
    assert "mine.jsonl:1: not a training row" in err
    assert not (tmp_path / "run/data").exists()
