"""GGUF files of others' through a run and out again: the tokenizer goes back as it came, and transformers computes from
the file what the run computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from gguf_samples import IDENTITY, as_gguf, rewritten
from llama_cpp import NANO
from model_samples import ROWS, TEXTS, random_model, save_tokenizer
from sentencepiece_samples import sentencepiece_folder
from shosei.errors import InputError
from shosei.files import write_atomic
from shosei.model import folder, gguf_file
from shosei.model.gguf_import import Values, unpack_description, unpack_weights
from shosei.spec import ModelSpec
from shosei.text import Tokenizer
from shosei.text.foreign import tokenizer_files


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), ROWS - 20)


@pytest.fixture
def nano(tokenizer_folder: Path, tmp_path: Path) -> Path:
    return write(NANO, tokenizer_folder, tmp_path)


@pytest.fixture
def pieces(nano: Path, tmp_path: Path) -> Path:
    """A file with SentencePiece's BPE."""
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS * 20))
    theirs = sentencepiece_folder(tmp_path / "corpus.txt", tmp_path / "pieces", **IDENTITY)
    return rewritten(nano, tmp_path / "pieces.gguf", **as_gguf(theirs), **{"tokenizer.ggml.add_bos_token": None})


def write(spec: ModelSpec, tokenizer_folder: Path, path: Path) -> Path:
    folder.export(random_model(spec), spec, tokenizer_folder, path / "model")
    gguf_file.write(path / "model", path / "model.gguf", "f32")
    return path / "model.gguf"


def imported(file: Path, out: Path) -> Path:
    """The model folder that an import makes of ``file``, without its smoke test."""
    source, values = out / "source", Values(file)
    source.mkdir(parents=True)
    unpack_description(values, source)
    unpack_weights(values, source)
    for name, text in tokenizer_files(source).items():
        write_atomic(out / "tokenizer" / name, text)
    folder.convert(source, out / "model", tokenizer_folder=out / "tokenizer")
    return out / "model"


def vocabulary(file: Path) -> dict[str, Any]:
    fields = GGUFReader(file).fields.items()
    return {name: field.contents() for name, field in fields if name.startswith("tokenizer.")}


WAYS = ["gpt-2", "smollm", "qwen2", "llama-bpe", "smaug-bpe", "deepseek-llm", "deepseek-coder", "deepseek-v3"]


@pytest.mark.parametrize("name", WAYS)
def test_a_byte_level_vocabulary_goes_back_as_it_came(name: str, nano: Path, tmp_path: Path) -> None:
    tokens = vocabulary(nano)["tokenizer.ggml.tokens"]
    changes: dict[str, Any] = {
        "tokenizer.ggml.pre": name,
        "tokenizer.ggml.eos_token_id": tokens.index("<|plugin|>"),
        "tokenizer.ggml.eot_token_id": tokens.index("<|im_end|>"),
        "tokenizer.ggml.unknown_token_id": tokens.index("<|interpreter|>"),
        "tokenizer.ggml.add_bos_token": name == "llama-bpe",
        "tokenizer.chat_template": "{{ messages[0].content }}",
        "tokenizer.chat_template.tool_use": "{{ tools }}",
        "tokenizer.chat_templates": ["tool_use"],
    }
    file = rewritten(nano, tmp_path / "theirs.gguf", **changes)
    gguf_file.write(imported(file, tmp_path / "run"), tmp_path / "back.gguf", "f32")
    theirs = vocabulary(file)
    assert theirs.items() >= changes.items()
    assert vocabulary(tmp_path / "back.gguf") == theirs


def test_a_sentencepiece_vocabulary_goes_back_as_it_came(pieces: Path, tmp_path: Path) -> None:
    model = imported(pieces, tmp_path / "run")
    gguf_file.write(model, tmp_path / "back.gguf", "f32")
    back, theirs = vocabulary(tmp_path / "back.gguf"), vocabulary(pieces)
    pads = [f"[PAD{row}]" for row in range(len(theirs["tokenizer.ggml.tokens"]), ROWS)]
    assert back["tokenizer.ggml.tokens"] == theirs["tokenizer.ggml.tokens"] + pads
    for name in ("scores", "token_type"):
        values = theirs[f"tokenizer.ggml.{name}"]
        assert back[f"tokenizer.ggml.{name}"][: len(values)] == values
    # llama.cpp takes these for granted of such a file; they are written.
    granted = {"tokenizer.ggml.pre": "default", "tokenizer.ggml.add_bos_token": True}
    granted["tokenizer.ggml.add_space_prefix"] = True
    assert {name: back[name] for name in granted} == granted
    assert {name: value for name, value in back.items() if name.endswith(("_id", "template"))} == {
        name: value for name, value in theirs.items() if name.endswith(("_id", "template"))
    }


def test_texts_begin_as_the_file_says(pieces: Path, tmp_path: Path) -> None:
    model = imported(pieces, tmp_path / "run")
    ids = Tokenizer.load(model).encode_beginning(TEXTS[0])
    assert ids[0] == vocabulary(pieces)["tokenizer.ggml.bos_token_id"]
    assert ids == AutoTokenizer.from_pretrained(model)(TEXTS[0])["input_ids"]


# transformers' reader takes the size of a head for granted.
BY_ARCHITECTURE = {
    "llama": NANO,
    "qwen2": replace(NANO, qkv_bias=True, head_dim=NANO.d_model // NANO.n_heads),
    "qwen3": replace(NANO, qk_norm=True, head_dim=128),
}


@pytest.mark.parametrize("name", BY_ARCHITECTURE)
def test_transformers_computes_the_same_from_the_file(name: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    file = write(BY_ARCHITECTURE[name], tokenizer_folder, tmp_path)
    ours, _ = folder.load(tmp_path / "model")
    theirs = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path, gguf_file=file.name)).eval()
    # As from_pretrained does it, which asks for a package more.
    stored = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=theirs)["tensors"]
    left_out = theirs.load_state_dict(stored, strict=False)
    theirs.tie_weights()
    assert (left_out.unexpected_keys, set(left_out.missing_keys) - {"lm_head.weight"}) == ([], set())
    ids = torch.randint(0, ROWS, (1, 50))
    with torch.no_grad():
        assert (ours.logits(ours(ids)) - theirs(ids).logits).abs().max() < 1e-4
    assert GGUFReader(file).fields["general.architecture"].contents() == name


def test_composed_characters_are_told_of(nano: Path, tmp_path: Path) -> None:
    """Qwen's normalizer, without which llama.cpp's converter writes its models."""
    model = tmp_path / "model"
    assert gguf_file.write(model, tmp_path / "new.gguf", "f32") == []
    change(lambda tokenizer: tokenizer.update(normalizer={"type": "NFC"}))(model)
    (note,) = gguf_file.write(model, tmp_path / "new.gguf", "f32")
    assert "NFC" in note


def change(by: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the contents of a folder's ``tokenizer.json``."""

    def changed(model: Path) -> None:
        tokenizer = json.loads((model / "tokenizer.json").read_text())
        by(tokenizer)
        (model / "tokenizer.json").write_text(json.dumps(tokenizer))

    return changed


def first_merge_last(tokenizer: dict[str, Any]) -> None:
    """Of two merges that make one piece, one comes after all others."""
    merges = tokenizer["model"]["merges"]
    merges.append(merges[0])


METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
OTHER_PIECES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "order": (first_merge_last, "do not stand together"),
    "spaces": (lambda it: it.update(normalizer=None, pre_tokenizer=METASPACE), r"a way of its own \(Metaspace\)"),
    "signs": (lambda it: it.update(normalizer={"type": "NFKC"}), r"a way of its own \(NFKC, none\)"),
    "token": (lambda it: it["added_tokens"][1].update(lstrip=True), "<s> has lstrip"),
}


@pytest.mark.parametrize("name", OTHER_PIECES)
def test_what_scores_cannot_say_is_refused(name: str, pieces: Path, tmp_path: Path) -> None:
    by, says = OTHER_PIECES[name]
    model = imported(pieces, tmp_path / "run")
    change(by)(model)
    with pytest.raises(InputError, match=f"{says}.*--format hf"):
        gguf_file.write(model, tmp_path / "back.gguf", "f32")
    assert not (tmp_path / "back.gguf").exists()


OTHER_BYTES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "signs": (lambda it: it.update(normalizer={"type": "Lowercase"}), r"normalises text \(Lowercase\)"),
    "pattern": (lambda it: it.update(pre_tokenizer={"type": "Whitespace"}), "its pre-tokenizer is none"),
    "words": (lambda it: it["model"].update(ignore_merges=True), "its pre-tokenizer is none"),
    "marks": (lambda it: it["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix"),
}


@pytest.mark.parametrize("name", OTHER_BYTES)
def test_bytes_joined_otherwise_are_refused(name: str, nano: Path, tmp_path: Path) -> None:
    by, says = OTHER_BYTES[name]
    change(by)(tmp_path / "model")
    with pytest.raises(InputError, match=f"{says}.*--format hf"):
        gguf_file.write(tmp_path / "model", tmp_path / "back.gguf", "f32")
