"""GGUF files of others': what is read of them, against llama.cpp's graph, transformers and SentencePiece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader
from transformers import AutoTokenizer

from gguf_samples import IDENTITY, as_gguf, rewritten, write
from llama_cpp import NANO, SHAPES, logits
from model_samples import ROWS, TEXTS, save_tokenizer
from sentencepiece_samples import sentencepiece_folder
from shosei.model import folder
from shosei.text import Tokenizer, load_chat
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), ROWS - 20)


@pytest.fixture
def nano(tokenizer_folder: Path, tmp_path: Path) -> Path:
    return write(SHAPES["grouped, tied"], tokenizer_folder, tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_becomes_the_model_that_it_was_made_of(
    name: str, tokenizer_folder: Path, tmp_path: Path, shosei: Shosei
) -> None:
    file = write(SHAPES[name], tokenizer_folder, tmp_path)
    if name == "llama3":  # its numbers are those of no released model
        assert "rope_freqs.weight is not Llama 3's scaling" in shosei("import", file, "--out", tmp_path / "run")[2]
        return
    code, _, err = shosei("import", file, "--out", tmp_path / "run")
    assert code == 0, err
    (made, ours), (theirs, spec) = folder.load(tmp_path / "run/model"), folder.load(tmp_path / "model")
    for tensor, values in theirs.state_dict().items():
        assert torch.equal(made.state_dict()[tensor], values), tensor
    assert ours.rope_scaling == spec.rope_scaling
    assert (ours.context_length, ours.qkv_bias, ours.tied) == (spec.context_length, spec.qkv_bias, spec.tied)
    assert load_chat(tmp_path / "run/model").tokenizer.encode(TEXTS[0]) == Tokenizer.load(tokenizer_folder).encode(
        TEXTS[0]
    )
    assert [path.name for path in tmp_path.glob(".gguf-*")] == []


@pytest.mark.parametrize("kind", [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1])
def test_quantised_weights_compute_what_llama_cpp_computes(
    kind: Type, nano: Path, tmp_path: Path, shosei: Shosei
) -> None:
    file = rewritten(nano, tmp_path / "quantised.gguf", kind)
    assert shosei("import", file, "--out", tmp_path / "run")[0] == 0
    made, _ = folder.load(tmp_path / "run/model")
    ids = torch.randint(0, ROWS, (50,))
    with torch.no_grad():
        assert (made.logits(made(ids[None]))[0] - logits(GGUFReader(file), ids)).abs().max() < 1e-4


def test_released_llama_3s_scaling_is_known_by_its_divisors(nano: Path, tmp_path: Path, shosei: Shosei) -> None:
    turns = 8192 * 10_000.0 ** -(np.arange(NANO.head_dim // 2) * 2 / NANO.head_dim) / (2 * np.pi)
    smooth = np.clip((turns - 1) / 3, 0, 1)  # of low_freq_factor 1 and high_freq_factor 4
    divisors = (1 / ((1 - smooth) / 32 + smooth)).astype(np.float32)
    file = rewritten(nano, tmp_path / "llama3.gguf", **{"rope_freqs.weight": divisors})
    assert shosei("import", file, "--out", tmp_path / "run")[0] == 0
    made, _ = folder.load(tmp_path / "run/model")
    ids = torch.randint(0, ROWS, (50,))
    with torch.no_grad():
        assert (made.logits(made(ids[None]))[0] - logits(GGUFReader(file), ids)).abs().max() < 1e-4


def test_ends_names_and_template_come_along(nano: Path, tmp_path: Path, shosei: Shosei) -> None:
    tokens = GGUFReader(nano).fields["tokenizer.ggml.tokens"].contents()
    end, other = tokens.index("<|im_end|>"), tokens.index("<|plugin|>")
    begun = {"tokenizer.ggml.eot_token_id": other, "tokenizer.ggml.bos_token_id": other, "general.name": "Theirs"}
    begun["tokenizer.chat_template"] = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    file = rewritten(nano, tmp_path / "theirs.gguf", **begun)
    code, out, _ = shosei("import", file, "--out", tmp_path / "run")
    assert code == 0
    assert "Theirs" in out
    chat = load_chat(tmp_path / "run/model")
    assert set(chat.tokenizer.end_ids) == {end, other}
    assert chat.render([{"role": "user", "content": "你好"}]) == [*chat.tokenizer.encode("你好"), end]


@pytest.mark.parametrize(
    ("name", "pattern"), [("smollm", "HuggingFaceTB"), ("gpt-2", "GPT-2"), ("llama-bpe", "Llama 3")]
)
def test_text_is_divided_as_the_named_pre_tokenizer_does(
    name: str, pattern: str, nano: Path, tmp_path: Path, shosei: Shosei
) -> None:
    file = rewritten(nano, tmp_path / "other.gguf", **{"tokenizer.ggml.pre": name})
    assert shosei("import", file, "--out", tmp_path / "run")[0] == 0
    whole = AutoTokenizer.from_pretrained(tmp_path / "run/model").backend_tokenizer.pre_tokenizer
    pieces = [piece for piece, _ in whole.pre_tokenize_str("it's 12345")]
    expected = {
        "HuggingFaceTB": ["it", "'s", "Ġ", "1", "2", "3", "4", "5"],
        "GPT-2": ["it", "'s", "Ġ12345"],
        "Llama 3": ["it", "'s", "Ġ", "123", "45"],
    }
    assert pieces == expected[pattern]


def test_sentencepieces_model_encodes_as_sentencepiece_does(nano: Path, tmp_path: Path, shosei: Shosei) -> None:
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS * 20))
    theirs = sentencepiece_folder(tmp_path / "corpus.txt", tmp_path / "pieces", **IDENTITY)
    file = rewritten(nano, tmp_path / "pieces.gguf", **as_gguf(theirs))
    code, _, err = shosei("import", file, "--out", tmp_path / "run")
    assert code == 0, err
    ours = Tokenizer.load(tmp_path / "run/model")
    for text in (*TEXTS, "x  y", "龘🦊"):
        assert ours.encode(text) == theirs.encode(text), text


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": ({"general.architecture": "mamba"}, "architecture mamba is not supported"),
    "pre-tokenizer": ({"tokenizer.ggml.pre": "tekken"}, "pre-tokenizer tekken is not supported"),
    "tokenizer": ({"tokenizer.ggml.model": "bert"}, "tokenizer bert is not supported"),
    "experts": ({"llama.expert_count": 8}, "expert_count is not supported"),
    "scaling": ({"llama.rope.scaling.type": "longrope"}, "longrope is not supported"),
    "tensor too many": ({"blk.9.attn_q.weight": np.ones((64, 64), np.float32)}, "tensor blk.9.attn_q.weight"),
    "tensor too few": ({"blk.1.attn_q.weight": None}, "tensor blk.1.attn_q.weight is missing"),
    "shape": ({"output_norm.weight": np.ones(9, np.float32)}, "output_norm.weight is [9], not [64]"),
    "end": ({"tokenizer.ggml.eos_token_id": 9999}, "eos_token_id 9999 is no token"),
    "end in words": ({"tokenizer.ggml.bos_token_id": "first"}, "bos_token_id first is no token"),
    "end below 0": ({"tokenizer.ggml.bos_token_id": -2}, "bos_token_id -2 is no token"),
    "heads by layer": ({"llama.attention.head_count": [8, 4]}, "attention.head_count is [8, 4], not one whole number"),
    "no heads": ({"llama.attention.head_count": 0}, "attention.head_count is 0, not one whole number above 0"),
    "widths by layer": ({"llama.feed_forward_length": [9, 9]}, "feed_forward_length is [9, 9], not one whole number"),
    "keys by layer": ({"llama.attention.head_count_kv": [2, 4]}, "attention.head_count_kv is [2, 4], not one whole"),
    "layers in words": ({"llama.block_count": "two"}, "block_count is 'two', not one whole number above 0"),
    "base in words": ({"llama.rope.freq_base": "1e4"}, "rope.freq_base is '1e4', not one number above 0"),
    "legacy scaling": ({"llama.rope.scale_linear": 4.0}, "rope.scale_linear 4 is not supported"),
    "merge of no token": ({"tokenizer.ggml.merges": ["龘 龘"]}, "merge '龘 龘' is not of two tokens"),
    "merge to no token": ({"tokenizer.ggml.merges": ["! ~"]}, "merge '! ~' is not of two tokens that make a third"),
    "half a merge": ({"tokenizer.ggml.merges": ["a"]}, "merge 'a' is not of two tokens"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_computed_is_refused_in_one_line(name: str, nano: Path, tmp_path: Path, shosei: Shosei) -> None:
    changes, words = REFUSED[name]
    code, _, err = shosei("import", rewritten(nano, tmp_path / "other.gguf", **changes), "--out", tmp_path / "run")
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run/model").exists()
