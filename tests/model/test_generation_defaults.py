"""Ends of answers, and the sampling that a checkpoint's makers chose, survive import and export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import GenerationConfig

from foreign_samples import edit, save
from shosei.errors import InputError
from shosei.serve.app import create_app
from shosei.text import load_chat
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")

SAMPLING = {
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.95,
    "top_k": 20,
    "min_p": 0.05,
    "repetition_penalty": 1.05,
}


def token(path: Path, name: str) -> int:
    added = json.loads((path / "tokenizer.json").read_text())["added_tokens"]
    return next(entry["id"] for entry in added if entry["content"] == name)


def foreign(path: Path) -> Path:
    """A model whose conversations do not begin as ours do."""
    save("qwen2", path, num_hidden_layers=1)
    edit(path / "tokenizer_config.json", bos_token=None, eos_token="<|im_end|>")
    return path


def test_an_answer_ends_at_every_token_that_any_file_names(tmp_path: Path, shosei: Shosei) -> None:
    """As Qwen's base models are tuned: the configs keep the end of documents, the tokenizer names that of a turn."""
    theirs = foreign(tmp_path / "theirs")
    names = ("<|plugin|>", "<|im_end|>", "<|interpreter|>", "<|action_end|>")
    plugin, end, interpreter, action = (token(theirs, name) for name in names)
    edit(theirs / "generation_config.json", eos_token_id=[plugin, action])
    edit(theirs / "config.json", eos_token_id=interpreter)
    assert shosei("import", theirs, "--out", tmp_path / "run")[0] == 0
    assert shosei("export", tmp_path / "run", tmp_path / "out")[0] == 0
    for path in (theirs, tmp_path / "run/model", tmp_path / "out"):
        assert set(load_chat(path).tokenizer.end_ids) == {plugin, end, interpreter, action}
    written = GenerationConfig.from_pretrained(tmp_path / "out")
    assert set(written.eos_token_id) == {plugin, end, interpreter, action}


def test_ends_may_be_named_by_their_text(tmp_path: Path) -> None:
    theirs = foreign(tmp_path / "theirs")
    edit(theirs / "generation_config.json", eos_token_id=["<|plugin|>"])
    edit(theirs / "config.json", eos_token_id=None)
    assert set(load_chat(theirs).tokenizer.end_ids) == {token(theirs, "<|plugin|>"), token(theirs, "<|im_end|>")}


def test_a_number_among_texts_is_no_end(tmp_path: Path) -> None:
    """``eos_token`` is a text; whatever stands there instead does not replace what the other files say."""
    theirs = foreign(tmp_path / "theirs")
    edit(theirs / "tokenizer_config.json", eos_token=5)
    edit(theirs / "generation_config.json", eos_token_id=token(theirs, "<|plugin|>"))
    ends = load_chat(theirs).tokenizer.end_ids
    assert token(theirs, "<|plugin|>") in ends
    assert 5 not in ends


@pytest.mark.parametrize("end", ["no such token", 1.5, -3, True, {"id": 5}, 10**6, 10**30])
def test_an_end_that_is_no_token_is_one_line(end: object, tmp_path: Path, shosei: Shosei) -> None:
    edit(foreign(tmp_path / "theirs") / "generation_config.json", eos_token_id=end)
    code, _, err = shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")
    assert code == 2
    assert err.count("\n") == 1
    assert "generation_config.json: eos_token_id" in err


def test_sampling_defaults_survive_import_and_export(tmp_path: Path, shosei: Shosei) -> None:
    edit(foreign(tmp_path / "theirs") / "generation_config.json", **SAMPLING)
    assert shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")[0] == 0
    assert shosei("export", tmp_path / "run", tmp_path / "out")[0] == 0
    for path in (tmp_path / "run/model", tmp_path / "out"):
        written = GenerationConfig.from_pretrained(path)
        assert {name: getattr(written, name) for name in SAMPLING} == SAMPLING


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": "hot"},
        {"top_p": 1.5},
        {"top_p": 0},
        {"top_k": True},
        {"top_k": 50.0},
        {"min_p": -1},
        {"typical_p": 2},
        {"repetition_penalty": 1e-300},
    ],
)
def test_a_default_that_no_sampler_takes_is_one_line(wrong: dict[str, object], tmp_path: Path, shosei: Shosei) -> None:
    edit(foreign(tmp_path / "theirs") / "generation_config.json", **wrong)
    code, _, err = shosei("import", tmp_path / "theirs", "--out", tmp_path / "run")
    assert code == 2
    assert f"generation_config.json: {next(iter(wrong))} = " in err
    with pytest.raises(InputError, match=f"{next(iter(wrong))} = "):  # and the server refuses it as well
        create_app(tmp_path / "theirs", tmp_path / "s", "theirs")
