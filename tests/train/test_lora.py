"""Adapters: trained alone, resumed exactly, and merged into a folder that needs nothing of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from shosei.engine.engine import answer_greedily
from shosei.files import sha256
from shosei.log import Restart, Run, RunBegin, Step, read_log
from shosei.model import folder, lora
from shosei.model.transformer import Transformer
from shosei.spec.training import lora_params
from shosei.text import load_chat
from shosei.train import checkpoint
from train_samples import FAST, TINY, make_run, run_training, tiny_spec, train_killed_once

LESSONS = {"ab": "FA", "ba": "DD", "cf": "A", "ee": "CB"}  # not what the base was taught
LORA = FAST.model_copy(
    update={"lora_rank": 4, "lora_alpha": 8.0, "optimizer": "adamw", "matrix_lr": 0.02, "epochs": 40, "batch_size": 2}
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("base"))
    run_training(run, FAST.model_copy(update={"epochs": 2}))
    return run


def taught(path: Path) -> Run:
    run = make_run(path)
    rows = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in LESSONS.items()
    ]
    run.write("data/train.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    return run


def answers(path: Path) -> list[str]:
    model, spec = folder.load(path)
    chat = load_chat(path)
    prompts = [chat.render([{"role": "user", "content": question}]) for question in LESSONS]
    found = answer_greedily(model, spec, prompts, [4] * len(prompts), chat.tokenizer.end_ids)
    return [chat.tokenizer.decode(ids) for ids in found]


def test_a_few_dialogues_change_the_answers_and_nothing_that_has_no_adapter(base: Run, tmp_path: Path) -> None:
    run = taught(tmp_path)
    _, log = run_training(run, LORA.model_copy(update={"init": str(base.model)}))
    losses = [step.loss for step in log.of(Step)]
    assert sum(losses[-5:]) < 0.05 * sum(losses[:5])
    assert answers(run.model) == list(LESSONS.values()) != answers(base.model)

    before, after = load_file(base.model / folder.WEIGHTS), load_file(run.model / folder.WEIGHTS)
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        name for name in before if name.endswith("_proj.weight")
    }
    model, spec = folder.load(run.model)
    ids = torch.randint(0, spec.vocab_size, (2, 12))
    theirs = AutoModelForCausalLM.from_pretrained(run.model, attn_implementation="eager")
    with torch.no_grad():
        torch.testing.assert_close(model.logits(model(ids)), theirs(ids).logits, atol=1e-5, rtol=0)

    [begin] = log.of(RunBegin)
    trained = lora_params(spec, 4)
    assert (begin.model["trained_params"], begin.model["lora_rank"], begin.model["lora_alpha"]) == (trained, 4, 8.0)
    assert begin.hashes["init"] == sha256(base.model / folder.WEIGHTS)
    newest = checkpoint.checkpoints(run.checkpoints)[-1]
    assert sum(tensor.numel() for tensor in load_file(newest / checkpoint.WEIGHTS).values()) == trained
    state = torch.load(newest / checkpoint.STATE, weights_only=True)["optimizers"]
    assert len(state["matrices"]["state"]) == 2 * 7 * spec.n_layers
    assert not state["tables"]["state"]


def test_merged_matrices_give_the_logits_of_the_adapted_ones() -> None:
    torch.manual_seed(0)
    model = Transformer(tiny_spec(qkv_bias=True))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.randint(0, TINY.vocab_size, (2, 12))
    plain = model.logits(model(ids))
    lora.adapt(model, 3, 6.0)
    torch.testing.assert_close(model.logits(model(ids)), plain, atol=0, rtol=0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted = model.logits(model(ids))
    lora.merge(model)
    assert not any(isinstance(module, lora.Adapted) for module in model.modules())
    torch.testing.assert_close(model.logits(model(ids)), adapted, atol=1e-5, rtol=0)
    assert (adapted - plain).abs().max() > 0.01


@pytest.mark.long  # test_workers.py kills one too
def test_a_killed_training_of_adapters_ends_with_the_same_weights(
    base: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"init": str(base.model), "max_steps": 12, "checkpoint_steps": 5, "checkpointing": True}
    config = LORA.model_copy(update=options)
    whole, _ = run_training(taught(tmp_path / "whole"), config)
    run = taught(tmp_path / "killed")
    assert train_killed_once(run, config, 4, monkeypatch) == 0
    log = read_log(run.log)
    assert [event.failure for event in log.of(Restart)] == [0, 1]
    assert [step.step for step in log.of(Step)] == list(range(1, 13))
    assert sha256(run.model / folder.WEIGHTS) == whole.sha256
