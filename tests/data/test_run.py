"""The verbs ``data`` and ``tokenizer``, and the batches made of what they write."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from shosei.cli.main import main
from shosei.data import DataConfig
from shosei.data.dataset import NO_LOSS, DialogueBatches
from shosei.data.examples import Example, load_examples
from shosei.errors import InputError
from shosei.log import Run, RunBegin, RunEnd, open_run, read_log
from shosei.text import Tokenizer, load_chat
from shosei.wire.suite import read_suite, read_suites

CONTEXT = 512  # tokens that the model reads


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "small"
    for argv in (["data", "--seed", "3", "--set", "data.sums=100"], ["tokenizer", "--vocab-size", "2048"]):
        with pytest.raises(SystemExit) as end:
            main([*argv, "--run", str(folder)])
        assert end.value.code == 0
    return open_run(folder)


@pytest.fixture(scope="module")
def examples(run: Run) -> list[Example]:
    return load_examples(run, load_chat(run.tokenizer), CONTEXT)


def test_the_log_names_what_was_written(run: Run) -> None:
    log = read_log(run.log)
    hashes = {name: digest for begin in log.of(RunBegin) for name, digest in begin.hashes.items()}
    written = [
        run.agent_tasks,
        *run.data.glob("*.jsonl"),
        *run.suites.glob("*.jsonl"),
        run.tokenizer / "tokenizer.json",
    ]
    names = {"train": "data", "validation": "validation", "tasks": "tasks", "tokenizer": "tokenizer"}
    assert hashes == {
        names.get(path.stem, f"suite:{path.stem}"): hashlib.sha256(path.read_bytes()).hexdigest() for path in written
    }
    assert [(end.verb, end.exit_code) for end in log.of(RunEnd)] == [("data", 0), ("tokenizer", 0)]


def test_the_resolved_configuration_is_saved(run: Run) -> None:
    saved = tomllib.loads(run.toml.read_text())
    assert saved["data"] == DataConfig(seed=3, sums=100).model_dump()
    assert saved["tokenizer"] == {"vocab_size": 2048}


def test_the_files_are_suites(run: Run) -> None:
    assert {task.suite for task in read_suites(run.suites)} == {path.stem for path in run.suites.iterdir()}
    assert read_suite(run.data / "validation.jsonl")


def test_unknown_fields_and_bad_values_end_with_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for override in ("data.numerls=5", "data.held_out=2", "tokenizer.seed=1"):
        with pytest.raises(SystemExit) as end:
            main(["data", "--run", str(tmp_path / "run"), "--set", override])
        assert end.value.code == 2
    assert "did you mean 'numerals'?" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_without_data_says_how_to_make_it(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shosei data"):
        load_examples(Run(tmp_path), load_chat(run.tokenizer), CONTEXT)
    Run(tmp_path).write("data/train.jsonl", '{"messages": []')
    with pytest.raises(InputError, match=r"train\.jsonl:1"):
        load_examples(Run(tmp_path), load_chat(run.tokenizer), CONTEXT)


def test_a_held_out_operand_has_one_token_a_character(run: Run) -> None:
    tokenizer = Tokenizer.load(run.tokenizer)
    for name in ("numerals", "kana", "width", "sums"):
        for task in read_suite(run.suites / f"{name}.jsonl"):
            assert len(tokenizer.encode(task.truth)) == len(task.truth) < task.max_tokens


def test_every_truth_fits_into_its_tasks_token_limit(run: Run) -> None:
    tokenizer = Tokenizer.load(run.tokenizer)
    for task in [*read_suites(run.suites), *read_suite(run.data / "validation.jsonl")]:
        assert len(tokenizer.encode(task.truth)) + 1 <= task.max_tokens


def test_an_epoch_holds_every_example_once(examples: list[Example]) -> None:
    for index in (1, 2):
        seen = []
        for batch in DialogueBatches(examples, 48, seed=0).epoch(index):
            for ids, targets in zip(batch.ids, batch.targets, strict=True):
                # The row is whole up to its last target, <|im_end|>.
                last = int(np.flatnonzero(targets != NO_LOSS)[-1])
                seen.append((*ids[: last + 1].tolist(), int(targets[last])))
        assert sorted(seen) == sorted(tuple(ids) for ids, _ in examples)


def test_batches_are_full_padded_little_and_counted_right(examples: list[Example]) -> None:
    batches = DialogueBatches(examples, 48, seed=0)
    epoch = list(batches.epoch(1))
    assert len(epoch) == batches.steps_per_epoch
    assert sum(batch.samples for batch in epoch) == len(examples)
    assert max(batch.ids.shape[0] for batch in epoch) == 48
    assert max(batch.ids.size for batch in epoch) <= 2048
    assert len({batch.ids.shape for batch in epoch}) <= 30, "few sizes of products"
    full = [batch for batch in epoch if len(batch.ids) == 48 or (len(batch.ids) + 2) * batch.ids.shape[1] > 2048]
    assert len(full) >= len(epoch) - 1, "full but for the last"
    assert all(batch.samples == len(batch.ids) for batch in epoch)
    assert sum(batch.tokens for batch in epoch) == sum(len(ids) - 1 for ids, _ in examples)
    assert sum(batch.tokens for batch in epoch) / sum(batch.ids.size for batch in epoch) > 0.85
    assert all(batch.ids.dtype == batch.targets.dtype == np.int64 for batch in epoch)


def test_batches_depend_on_seed_and_epoch_alone(examples: list[Example]) -> None:
    def epoch(seed: int, index: int) -> list[list[list[int]]]:
        return [batch.ids.tolist() for batch in DialogueBatches(examples, 48, seed).epoch(index)]

    assert epoch(0, 1) == epoch(0, 1)
    assert epoch(0, 1) != epoch(0, 2)
    assert epoch(0, 1) != epoch(1, 1)


def test_targets_are_the_answer_one_place_ahead(run: Run) -> None:
    chat = load_chat(run.tokenizer)
    messages = [{"role": "user", "content": "12加34是多少？"}, {"role": "assistant", "content": "46"}]
    ids, loss = chat.training_example(messages)
    (batch,) = DialogueBatches([(ids, loss)], 8, seed=0).epoch(1)
    learned = batch.targets[0] != NO_LOSS
    assert chat.tokenizer.decode(batch.targets[0][learned].tolist()) == "46"
    assert batch.targets[0][learned].tolist() == [*chat.tokenizer.encode("46"), chat.tokenizer.end_id]
    assert batch.ids[0][: batch.lengths[0]].tolist() == ids[:-1]
    assert not batch.ids[0][batch.lengths[0] :].any()
    prompt = chat.render(messages[:1])
    assert batch.ids[0][: np.flatnonzero(learned)[0] + 1].tolist() == prompt


def test_a_row_may_hold_tools_and_calls(run: Run, tmp_path: Path) -> None:
    chat = load_chat(run.tokenizer)
    tools = [{"name": "calculator", "description": "計算", "parameters": {"type": "object"}}]
    call = {"id": "1", "type": "function", "function": {"name": "calculator", "arguments": '{"式":"12+34"}'}}
    messages = [
        {"role": "user", "content": "12加34是多少？"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    row = {"messages": messages, "suite": "tools", "lang": "zh", "tools": tools}
    Run(tmp_path).data.mkdir()
    (Run(tmp_path).data / "train.jsonl").write_text(json.dumps(row))
    ((ids, _),) = load_examples(Run(tmp_path), chat, CONTEXT)
    assert ids == chat.render(messages, tools, add_generation_prompt=False)[: len(ids)]
    assert ids[-2:] == [chat.tokenizer.special_id("<|action_end|>"), chat.tokenizer.end_id]
