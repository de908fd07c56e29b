"""Tokenizer, chat format and streaming decoder, against transformers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from shosei.errors import InputError
from shosei.text import SPECIAL_TOKENS, ChatML, StreamDecoder, Tokenizer

CORPUS = [
    "把三千五百写成阿拉伯数字。",
    "「かな」をカタカナにしてください。",
    "def add_7(x):\n    return x + 7",
    "user\nassistant\n",
] * 3
PROBES = [
    "你好，世界！请问３+４等于多少？",
    "こんにちは、カタカナとｶﾀｶﾅと漢字です。",
    "Don't stop: it's 2026-11-23.",
    "😀👩‍👩‍👧‍👦🇯🇵 é e\u0301",
    "def f(x):\n    return [x**2 for _ in range(10)]\n\n\n\treturn  \r\n",
    "   leading and trailing   ",
    "\ufffd\x00\x7f\u200b",
    "",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(CORPUS, 400)


@pytest.fixture(scope="module")
def peer(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("vocab_size", [262, 300, 1000])
def test_the_vocabulary_has_exactly_the_size_that_was_asked_for(vocab_size: int, tmp_path: Path) -> None:
    trained = Tokenizer.train(CORPUS, vocab_size)
    trained.save(tmp_path)
    assert trained.vocab_size == vocab_size == len(AutoTokenizer.from_pretrained(tmp_path))


def test_a_vocabulary_without_room_for_bytes_and_special_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="262"):
        Tokenizer.train(CORPUS, 261)


def test_training_gives_the_same_bytes_in_another_process(tokenizer: Tokenizer) -> None:
    program = (
        "import json, sys; from shosei.text import Tokenizer;"
        "print(json.dumps(Tokenizer.train(json.load(sys.stdin), 400).files()), end='')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "77", "RAYON_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(CORPUS), env=environment, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == tokenizer.files()


def test_saved_and_loaded_it_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).files() == tokenizer.files()


@pytest.mark.parametrize("text", PROBES)
def test_transformers_gives_the_same_ids_and_text(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast, text: str
) -> None:
    ids = tokenizer.encode(text)
    assert ids == peer.encode(text, add_special_tokens=False) == peer.encode(text)
    assert tokenizer.decode(ids) == text == peer.decode(ids)


@given(st.text())
def test_encoding_loses_nothing(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_stand_alone(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("1234567890")) == 10


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_special_tokens_are_one_id_only_where_allowed(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast, token: str
) -> None:
    text = f"甲{token}乙"
    special = tokenizer.special_id(token)
    assert special in tokenizer.encode(text, allow_special=True) == peer.encode(text)
    assert special not in tokenizer.encode(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert peer.decode(tokenizer.encode(text, allow_special=True), skip_special_tokens=True) == "甲乙"


def test_the_folder_names_the_special_tokens_for_transformers(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast
) -> None:
    assert (peer.bos_token_id, peer.eos_token_id, peer.pad_token_id) == (
        tokenizer.bos_id,
        tokenizer.end_id,
        tokenizer.end_id,
    )


# Any ids at all: most are pieces of characters, many are not UTF-8, some are special.
_ids = st.lists(st.integers(0, 399))


@given(_ids)
def test_any_ids_decode_as_transformers_decodes_them(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast, ids: list[int]
) -> None:
    assert tokenizer.decode(ids) == peer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe\xe4\xbd broken \x80",
        "今天".encode()[:4],
        "今天".encode()[2:] + "🎉".encode()[:3] + b"ok",
        b"\xed\xa0\x80",  # a surrogate
        b"\xc0\xaf\xf5\x80\x80\x80",  # overlong, and beyond the last character
        bytes(range(256)),
    ],
)
def test_bytes_that_are_no_utf8_are_kept_token_by_token_and_shown_as_transformers_shows_them(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast, raw: bytes
) -> None:
    tokens = {tokenizer.token_bytes(token): token for token in range(tokenizer.vocab_size)}
    ids = [tokens[bytes([byte])] for byte in raw]
    assert b"".join(map(tokenizer.token_bytes, ids)) == raw
    stream = StreamDecoder(tokenizer.token_bytes)
    assert "".join([*map(stream.push, ids), stream.finish()]) == tokenizer.decode(ids) == peer.decode(ids)
    assert tokenizer.decode(ids) == raw.decode("utf-8", "replace")


@given(_ids)
def test_a_stream_joins_to_the_decoded_text(tokenizer: Tokenizer, ids: list[int]) -> None:
    stream = StreamDecoder(tokenizer.token_bytes)
    assert "".join([*map(stream.push, ids), stream.finish()]) == tokenizer.decode(ids)


@given(st.text())
def test_a_stream_never_shows_half_a_character(tokenizer: Tokenizer, text: str) -> None:
    stream = StreamDecoder(tokenizer.token_bytes)
    shown = ""
    for token_id in tokenizer.encode(text):
        shown += stream.push(token_id)
        assert text.startswith(shown)
    assert shown == text
    assert stream.finish() == ""


CONVERSATIONS = [
    [{"role": "user", "content": "三千五百是多少？"}],
    [
        {"role": "system", "content": "あなたは助手です。"},
        {"role": "user", "content": "  \n\n空白 "},
        {"role": "assistant", "content": "はい。\n"},
        {"role": "environment", "content": "{}"},
        {"role": "user", "content": ""},
    ],
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("prompt", [True, False])
def test_rendered_ids_equal_transformers(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast, messages: list[dict[str, str]], prompt: bool
) -> None:
    expected = peer.apply_chat_template(messages, add_generation_prompt=prompt, return_dict=False)
    assert ChatML(tokenizer).render(messages, add_generation_prompt=prompt) == expected


@given(st.text(), st.sampled_from(SPECIAL_TOKENS), st.text())
def test_content_cannot_forge_a_special_token(tokenizer: Tokenizer, before: str, token: str, after: str) -> None:
    ids = ChatML(tokenizer).render([{"role": "user", "content": before + token + after}])
    special = [token_id for token_id in ids if token_id in {tokenizer.special_id(name) for name in SPECIAL_TOKENS}]
    assert special == [tokenizer.bos_id, tokenizer.end_id, tokenizer.bos_id]


def test_an_unknown_role_is_the_callers_mistake(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="wizard") as error:
        ChatML(tokenizer).render([{"role": "wizard", "content": "x"}])
    assert error.value.param == "messages"


def test_loss_is_taken_on_answers_and_their_ends_only(tokenizer: Tokenizer) -> None:
    messages = [
        {"role": "user", "content": "一？"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "二？"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "多余"},
    ]
    ids, mask = ChatML(tokenizer).training_example(messages)
    end = tokenizer.end_id
    learned = [token_id for token_id, loss in zip(ids, mask, strict=True) if loss]
    assert learned == [*tokenizer.encode("1"), end, *tokenizer.encode("2"), end]
    assert ids == ChatML(tokenizer).render(messages, add_generation_prompt=False)[: len(ids)]
    assert mask[-1]


def test_nothing_is_learned_without_an_answer(tokenizer: Tokenizer) -> None:
    assert ChatML(tokenizer).training_example([{"role": "user", "content": "一？"}]) == ([], [])


@pytest.mark.parametrize("content", [None, "{", '{"version": "1.0"}'])
def test_a_damaged_folder_is_named_in_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_without_our_special_tokens_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = tokenizer.files()["tokenizer.json"].replace("<|plugin|>", "<|other|>")
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match=r"<\|plugin\|>"):
        Tokenizer.load(tmp_path)


def test_an_id_beyond_the_vocabulary_is_no_text(tokenizer: Tokenizer) -> None:
    """A model may have more rows than its tokenizer has entries."""
    assert tokenizer.decode([tokenizer.vocab_size + 5]) == ""
    assert StreamDecoder(tokenizer.token_bytes).push(tokenizer.vocab_size + 5) == ""
