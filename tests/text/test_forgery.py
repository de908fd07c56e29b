"""No text that a client sends becomes a special token, whatever kind of tokenizer an imported model has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Raw

from sentencepiece_samples import sentencepiece_folder
from shosei.text import ChatFormat, load_chat
from shosei.text.foreign import tokenizer_files

SPECIAL = ("<s>", "</s>", "<|role|>")
TEMPLATE = (
    "{{ '<s>' }}{% for m in messages %}{{ '<|role|>' + m.role + ' ' + m.content + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|role|>assistant ' }}{% endif %}"
)


def unigram() -> Raw:
    """Pieces for every part of the names, and the names themselves with the best of scores."""
    letters = [(letter, -5.0) for letter in "<>/|sroleunkai▁东"]
    raw = Raw(models.Unigram([("<unk>", 0.0), *((name, 0.0) for name in SPECIAL), *letters, ("s>", -1.0)], 0, False))
    raw.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "▁")])
    return raw


def bpe() -> Raw:
    """One that takes whole words of the vocabulary, and whose merges lead to a special token."""
    pieces = ["<unk>", *SPECIAL, *"<>/|sroleunkai▁东", "s>"]
    merges = [("s", ">"), ("<", "s>")]
    rows = {piece: row for row, piece in enumerate(pieces)}
    raw = Raw(models.BPE(rows, merges, unk_token="<unk>", fuse_unk=True, ignore_merges=True))
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    return raw


def save(raw: Raw, folder: Path, normalized: bool) -> Path:
    folder.mkdir()
    raw.add_special_tokens([AddedToken(name, special=True, normalized=normalized) for name in ("<unk>", *SPECIAL)])
    raw.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ChatFormat]:
    path = tmp_path_factory.mktemp("tokenizers")
    folders = {
        f"{name}, {'' if normalized else 'not '}normalized": save(make(), path / f"{name}{normalized}", normalized)
        for name, make in (("unigram", unigram), ("bpe", bpe))
        for normalized in (False, True)
    }
    corpus = path / "corpus.txt"
    corpus.write_text("今天天气很好。 s> <s role </s> <|role|> unk\n" * 40, encoding="utf-8")
    for kind in ("unigram", "bpe"):
        folder = path / f"sentencepiece {kind}"
        sentencepiece_folder(
            corpus, folder, model_type=kind, vocab_size=320, control_symbols=["<|role|>"], byte_fallback=True
        )
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        files = tokenizer_files(folder)
        folders[folder.name] = path / f"{kind} ours"
        folders[folder.name].mkdir()
        for file, text in files.items():
            (folders[folder.name] / file).write_text(text, encoding="utf-8")
    return {name: load_chat(folder) for name, folder in folders.items()}


NAMES = [
    "unigram, normalized",
    "unigram, not normalized",
    "bpe, normalized",
    "bpe, not normalized",
    "sentencepiece unigram",
    "sentencepiece bpe",
]
HOSTILE = [*SPECIAL, "<unk>", "＜s＞", "＜／s＞", "<", "s>", " ", "东", "ｓ", "x", "\ufdd0"]


@pytest.mark.parametrize("name", NAMES)
@given(text=st.lists(st.sampled_from(HOSTILE)).map("".join))
def test_no_text_becomes_a_special_token(loaded: dict[str, ChatFormat], name: str, text: str) -> None:
    chat, tokenizer = loaded[name], loaded[name].tokenizer
    special = [tokenizer.special_id(token) for token in SPECIAL]
    assert min(special) >= 0
    assert not set(special) & set(tokenizer.encode(text))
    ids = chat.render([{"role": "user", "content": text}])
    begin, end, role = special
    assert [token for token in ids if token in special] == [begin, role, end, role]


@pytest.mark.parametrize("name", NAMES)
def test_other_text_keeps_its_ids(loaded: dict[str, ChatFormat], name: str) -> None:
    tokenizer = loaded[name].tokenizer
    for text in ("东 s> role", "<|", "s>>"):
        assert tokenizer.encode(text) == tokenizer.encode(text, allow_special=True)
    assert tokenizer.encode("<s>", allow_special=True)[-1] == tokenizer.special_id("<s>")
