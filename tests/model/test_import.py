"""``shosei import`` against the libraries that the folders come from: transformers' models and SentencePiece."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from foreign_samples import edit, save
from model_samples import ROWS
from shosei.engine.engine import answer_greedily
from shosei.model import folder
from shosei.text import load_chat
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")

EXTRAS: dict[str, dict[str, object]] = {
    "llama": {},
    "llama, biased": {"attention_bias": True, "mlp_bias": True},
    "llama, tied": {"tie_word_embeddings": True, "num_key_value_heads": 6},
    "qwen2": {},
    "qwen2, tied": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 16},
    "internlm3": {"rope_scaling": {"rope_type": "dynamic", "factor": 6.0, "rope_theta": 50_000.0}},
    "internlm3, biased": {"attention_bias": True, "mlp_bias": True},
}
# Published shapes at an eighth of their width and heads, two layers deep.
PUBLISHED: dict[str, dict[str, object]] = {
    "llama, as Llama 3.2 1B": {
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "rope_theta": 5e5,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "max_position_embeddings": 131_072,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "llama, as Llama 2 7B": {
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "rope_theta": 1e4,
        "rms_norm_eps": 1e-5,
    },
    "qwen2, as Qwen2.5 0.5B": {
        "hidden_size": 128,
        "intermediate_size": 608,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
    },
    "qwen3, as Qwen3 0.6B": {
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 128,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
    },
    "internlm3, as InternLM3 8B": {
        "hidden_size": 512,
        "intermediate_size": 1280,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 128,
        "rope_theta": 5e7,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 32_768,
        "rope_scaling": {"rope_type": "dynamic", "factor": 6.0},
    },
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


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_shapes_give_the_logits_of_transformers(name: str, tmp_path: Path) -> None:
    theirs = save(name.partition(",")[0], tmp_path, num_hidden_layers=2, **PUBLISHED[name])
    ours, _ = folder.load(tmp_path)
    with torch.no_grad():
        assert (ours.logits(ours(IDS)) - theirs(IDS).logits).abs().max() < 1e-4


def test_a_head_size_that_is_not_written_is_the_widths_share(tmp_path: Path) -> None:
    theirs = save("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["head_dim"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    ours, spec = folder.load(tmp_path)
    assert spec.head_dim == 8
    with torch.no_grad():
        assert (ours.logits(ours(IDS)) - theirs(IDS).logits).abs().max() < 1e-4


def test_a_models_name_steers_no_terminal(tmp_path: Path) -> None:
    save("llama", tmp_path)
    edit(tmp_path / "config.json", _name_or_path="\x1b[31m" + "x" * 100_000)
    name = folder.read_spec(tmp_path).name
    assert name.isprintable()
    assert len(name) <= 200


def test_internlm3s_own_names_of_its_biases_are_read(tmp_path: Path) -> None:
    """As in its own configuration; with a bias on queries, keys and values alone it is Qwen2."""
    theirs = save("qwen2", tmp_path)
    names = {"model_type": "internlm3", "architectures": ["InternLM3ForCausalLM"], "qkv_bias": True, "bias": False}
    edit(tmp_path / "config.json", **names)
    ours, _ = folder.load(tmp_path)
    with torch.no_grad():
        assert (ours.logits(ours(IDS)) - theirs(IDS).logits).abs().max() < 1e-4


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
    chat = load_chat(run / "model")
    prompt = chat.render(turns[:1])
    answers = answer_greedily(model, spec, [prompt], [8], chat.tokenizer.end_ids)
    assert chat.tokenizer.decode(answers[0]) == "世界"


def with_template(path: Path) -> Path:
    """A model whose folder has all that a tokenizer may bring."""
    save("llama", path, num_hidden_layers=1)
    template = (path / "chat_template.jinja").read_text()
    (path / "additional_chat_templates").mkdir()
    (path / "additional_chat_templates/tool_use.jinja").write_text(template)
    edit(path / "generation_config.json", temperature=0.5, do_sample=True)
    return path


def tokenizer_of(run: Path) -> set[str]:
    folder = run / "tokenizer"
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_nothing_of_an_earlier_tokenizer_stays(tmp_path: Path, shosei: Shosei) -> None:
    """Whatever stays would lay out another model's dialogues, or end its answers."""
    run, base, mine = tmp_path / "run", tmp_path / "base", tmp_path / "mine.txt"
    assert shosei("import", with_template(tmp_path / "chat"), "--out", run)[0] == 0
    of_chat = tokenizer_of(run)
    assert {"chat_template.jinja", "additional_chat_templates/tool_use.jinja", "generation_config.json"} < of_chat
    save("llama", base, num_hidden_layers=1)
    (base / "chat_template.jinja").unlink()
    (base / "generation_config.json").unlink()
    assert shosei("import", base, "--out", tmp_path / "new")[0] == 0
    assert shosei("import", base, "--out", run)[0] == 0
    assert tokenizer_of(run) == tokenizer_of(tmp_path / "new") < of_chat

    assert shosei("import", tmp_path / "chat", "--out", run)[0] == 0
    mine.write_text("今天天气很好。\n" * 20)
    assert shosei("data", "--run", run, "--text", mine)[0] == 0
    assert shosei("tokenizer", "--run", run, "--vocab-size", "300")[0] == 0
    assert tokenizer_of(run) == {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}


def test_a_new_model_never_stands_beside_an_old_tokenizer(
    tmp_path: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a kill falls: as the new model takes its place, the tokenizer is its own."""
    run, base, replace = tmp_path / "run", tmp_path / "base", os.replace
    assert shosei("import", with_template(tmp_path / "chat"), "--out", run)[0] == 0
    save("llama", base, num_hidden_layers=1)
    (base / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    beside: list[str] = []

    def watched(source: Path, target: Path) -> None:
        if target == run / "model":
            beside.append((run / "tokenizer/chat_template.jinja").read_text())
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    assert shosei("import", base, "--out", run)[0] == 0
    assert beside == [(base / "chat_template.jinja").read_text()]


def test_dialogues_that_cannot_be_read_change_nothing(tmp_path: Path, shosei: Shosei) -> None:
    save("llama", tmp_path / "theirs")
    assert shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")[0] == 0
    (tmp_path / "mine.jsonl").write_text('{"text": "no messages"}\n')
    code, _, err = shosei("train", "--run", tmp_path / "run", "--dialogues", tmp_path / "mine.jsonl")
    assert code == 2
    assert "mine.jsonl:1: it has the keys text" in err
    assert not (tmp_path / "run/data").exists()


def test_a_model_and_dialogues_begin_a_run(tmp_path: Path, shosei: Shosei) -> None:
    """With the model's tokenizer and template; a wrong model, or rows of which none can be used, put nothing there."""
    theirs, mine, run = with_template(tmp_path / "theirs"), tmp_path / "mine.jsonl", tmp_path / "run"
    turns = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "世界"}]
    options = ["--run", run, "--dialogues", mine, "--set", "train.max_steps=1"]
    mine.write_text('{"text": "no messages"}\n')
    code, _, err = shosei("train", *options, "--init", theirs)
    assert (code, err.count("\n")) == (2, 1), err
    assert "none of 1 rows" in err
    assert not (run / "tokenizer").exists()
    mine.write_text(json.dumps({"messages": turns}) + "\n")
    assert "is not a model folder" in shosei("train", *options, "--init", tmp_path / "nowhere")[2]
    code, _, err = shosei("train", *options, "--init", theirs)
    assert code == 0, err
    assert (run / "model/tokenizer.json").read_bytes() == (theirs / "tokenizer.json").read_bytes()
    assert "additional_chat_templates/tool_use.jinja" in tokenizer_of(run)
    code, _, err = shosei("train", "--run", tmp_path / "other", "--dialogues", mine)
    assert code == 2
    assert "is not a run folder" in err
