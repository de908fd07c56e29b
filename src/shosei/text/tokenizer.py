"""Byte-level BPE in the form that Qwen2 made common, so that every reader of such folders understands ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers

from shosei.errors import InputError
from shosei.files import write_atomic
from shosei.progress import Progress, progress
from shosei.text.foreign import (
    SPECIAL_TOKENS,
    TEMPLATE,
    has_our_tokens,
    most_shrinkage,
    own_template,
    read_end_ids,
    token_names,
)

BYTES = 256

# Qwen2's, unchanged: llama.cpp knows the pre-tokenizer by it. Digits stand alone.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TOKENIZER_FILE = "tokenizer.json"
_LONG = 1 << 12  # characters, which take some milliseconds


class TooManyTokens(InputError):
    """A text has ``least`` tokens or more, as its bytes tell: it was not encoded."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(f"the text has at least {least} tokens, and {most} fit")
        self.least = least


class Tokenizer:
    """Text to ids and back. Encoding loses nothing: no normalisation, and every byte has a token.

    A conversation begins with ``<|im_start|>``, which therefore serves as the beginning-of-sequence token; no other
    is ever added. ``<|im_end|>`` ends an answer and fills padding.
    """

    def __init__(
        self, serialized: str, end_ids: Sequence[int] = (), begin: str = SPECIAL_TOKENS[0], is_ours: bool = True
    ) -> None:
        """``serialized``: the text of a ``tokenizer.json``; ``end_ids``: the tokens that end an answer, ``<|im_end|>``
        where none is named; ``begin``: the token that a document begins with, empty where there is none.

        Raises ValueError if it is not one, or is to be ours and lacks a token of our chat format.
        """
        self._begin = begin
        try:
            self._plain = tokenizers.Tokenizer.from_str(serialized)
            self._special = tokenizers.Tokenizer.from_str(serialized)
        except Exception as error:  # tokenizers raises bare Exception
            raise ValueError(str(error)) from None
        self._plain.encode_special_tokens = True
        _hide_special(self._plain, serialized)
        added = self._plain.get_added_tokens_decoder()
        self._special_ids = {token.content: token_id for token_id, token in added.items()}
        self.special_names = [token.content for token in added.values() if token.special]
        self.is_ours = is_ours
        missing = [token for token in SPECIAL_TOKENS if token not in self._special_ids]
        if missing and self.is_ours:
            raise ValueError(f"it has no token {missing[0]}")
        # One token ends an answer of ours; some foreign models have several.
        self.end_ids = [*end_ids] or [self.special_id("<|im_end|>")]
        # What a foreign tokenizer puts before a text that begins; ours begins documents with one token.
        self._opening: list[int] = [self.begin_id] if self.is_ours else self._special.encode("").ids
        self._serialized = serialized
        self._token_bytes = _bytes_by_id(self._special)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Self:
        """Learn merges from ``texts``; the same texts in the same order give the same tokenizer.

        Where they hold too few merges, reserved tokens ``<|reserved_i|>`` fill the vocabulary up to ``vocab_size``.
        """
        learned = vocab_size - len(SPECIAL_TOKENS)
        if learned < BYTES:
            raise InputError(f"a vocabulary of {vocab_size} is too small; use at least {BYTES + len(SPECIAL_TOKENS)}")
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=learned, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        with progress("reading text for the tokenizer", unit="characters") as work:
            tokenizer.train_from_iterator(_read_through(texts, work), trainer)
        reserved = learned - tokenizer.get_vocab_size()
        names = [*SPECIAL_TOKENS, *(f"<|reserved_{number}|>" for number in range(reserved))]
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
        return cls(tokenizer.to_str())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokenizer of a Hugging Face folder. Raises InputError that names the file at fault."""
        file = folder / _TOKENIZER_FILE
        begin = token_names(folder).get("bos_token", "")
        try:
            ends = read_end_ids(folder)
            return cls(file.read_text(encoding="utf-8"), ends, begin, not ends or has_our_tokens(folder))
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror}; 'shosei tokenizer' makes one") from None
        except ValueError as error:
            raise InputError(
                f"{file} is not a tokenizer of ours, and the folder has no chat template: {error}"
            ) from None

    def files(self) -> dict[str, str]:
        """The Hugging Face files: name -> text. transformers' AutoTokenizer loads a folder of them."""
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|im_end|>",
            "additional_special_tokens": list(SPECIAL_TOKENS),
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
        }
        return {
            _TOKENIZER_FILE: self._serialized,
            "tokenizer_config.json": json.dumps(settings, indent=2) + "\n",
            TEMPLATE: own_template(),
        }

    def save(self, folder: Path) -> None:
        """Write ``files`` into ``folder``."""
        for name, text in self.files().items():
            write_atomic(folder / name, text)

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Ids of ``text``. The name of a special token is plain text like any other, unless ``allow_special``.

        Raises UnicodeEncodeError for half a surrogate pair.
        """
        tokenizer = self._special if allow_special else self._plain
        try:
            if len(text) > _LONG:  # a batch does not hold the interpreter's lock meanwhile
                (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=False)
            else:
                encoding = tokenizer.encode(text, add_special_tokens=False)
        except TypeError:  # by which the library says that it is no text
            text.encode()
            raise
        ids: list[int] = encoding.ids
        return ids

    def check_room(self, texts: Iterable[str], room: int | None) -> None:
        """Raise TooManyTokens if ``texts`` cannot be ``room`` tokens together, told by bytes and the longest token.

        Where ``room`` is None, and where a token may be any number of bytes, all pass.
        """
        if room is None:
            return
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        if size > room and self._bytes_a_token and (least := -(-size // self._bytes_a_token)) > room:
            raise TooManyTokens(least, room)

    @cached_property
    def _bytes_a_token(self) -> int:
        """How many bytes of a text one token may be, at most; 0 where that is not known."""
        if not {bytes([byte]) for byte in range(BYTES)} <= set(self._token_bytes):
            return 0  # what no token stands for is left out, or is one unknown token together
        longest = max(len(self.written(token)) for token in range(len(self._token_bytes)))
        return longest * most_shrinkage(json.loads(self._serialized))

    def encode_documents(self, texts: list[str]) -> list[list[int]]:
        """Ids of each of ``texts``, from its begin token to its end token; on all of the library's threads."""
        begin, end = self.begin_id, self.end_id
        return [[begin, *one.ids, end] for one in self._plain.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids``, special tokens left out; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def token_bytes(self, token_id: int) -> bytes:
        """What one id stands for; nothing for a special token."""
        # A model may have more rows than the tokenizer has entries: such an id stands for no text.
        return self._token_bytes[token_id] if token_id < len(self._token_bytes) else b""

    def written(self, token_id: int) -> bytes:
        """As ``token_bytes``, and of a special token its name."""
        return self.token_bytes(token_id) or (self._special.id_to_token(token_id) or "").encode()

    def encode_beginning(self, text: str) -> list[int]:
        """Ids of a text from its first word on: behind the token that a document begins with, as it was trained."""
        return [*self._opening, *self.encode(text)]

    def special_id(self, token: str) -> int:
        """Id of a token that was added to those that are learnt; -1, which no text has, if there is none."""
        return self._special_ids.get(token, -1)

    @property
    def vocab_size(self) -> int:
        return len(self._token_bytes)

    @property
    def bos_id(self) -> int:
        """The token that a conversation begins with; of a foreign tokenizer just any."""
        return max(self.special_id("<|im_start|>"), 0)

    @property
    def begin_id(self) -> int:
        """The token that a document begins with. Where a foreign tokenizer has none, that is the one that ends it."""
        begin = self._special.token_to_id(self._begin)
        return self.end_id if begin is None else begin

    @property
    def end_id(self) -> int:
        return self.end_ids[0]


def _read_through(texts: Iterable[str], work: Progress) -> Iterator[str]:
    """``texts``; once they are read, merges are learnt, of which the library says nothing until the end."""
    yield from work.over(texts, len)
    work.what = "learning the tokenizer's merges"


def _hide_special(tokenizer: tokenizers.Tokenizer, serialized: str) -> None:
    """Rename the special tokens that are pieces of the model too, as in SentencePiece's, so that no text is one.

    Their new names hold a space. No text has one where it reaches the model: it is written ``Ġ`` or ``▁`` by then.
    """
    pieces = tokenizer.get_vocab(with_added_tokens=False)
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    value = json.loads(serialized) if any(name in pieces for name in special) else {"model": {}}
    model = value["model"]
    hidden = {name: f" {name}" for name in special if name in pieces and name != model.get("unk_token")}
    if not hidden:
        return
    if isinstance(model["vocab"], list):  # Unigram's: pairs of piece and score
        model["vocab"] = [[hidden.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {hidden.get(piece, piece): row for piece, row in model["vocab"].items()}
        model["merges"] = [pair for pair in model["merges"] if _joined(pair) not in hidden]
    tokenizer.model = tokenizers.Tokenizer.from_str(json.dumps(value, ensure_ascii=False)).model


def _joined(pair: str | list[str]) -> str:
    return "".join(pair.split(" ") if isinstance(pair, str) else pair)


def _bytes_by_id(tokenizer: tokenizers.Tokenizer) -> list[bytes]:
    """What each id stands for, in bytes; nothing for special tokens and for ids that no token has."""
    added = tokenizer.get_added_tokens_decoder()
    vocabulary = tokenizer.get_vocab()
    to_bytes = _byte_level if "ByteLevel" in repr(tokenizer.decoder) else _sentencepiece
    table = [b""] * (max(vocabulary.values()) + 1)
    for token, token_id in vocabulary.items():
        if token_id not in added:
            table[token_id] = to_bytes(token)
        elif not added[token_id].special:
            table[token_id] = token.encode()
    return table


def _byte_level(token: str) -> bytes:
    if any(character not in _BYTES_OF for character in token):
        return token.encode()  # as the library decodes what it did not make itself
    return bytes(_BYTES_OF[character] for character in token)


def _sentencepiece(token: str) -> bytes:
    """A piece has its spaces as U+2581; ``<0x0A>`` is a byte."""
    if byte := re.fullmatch("<0x([0-9A-F]{2})>", token):
        return bytes.fromhex(byte[1])
    return token.replace("▁", " ").encode()


def _byte_alphabet() -> list[str]:
    """The printable character that byte-level BPE writes for each byte, as GPT-2 fixed it.

    Printable Latin-1 stands for itself; the other bytes take the characters from U+0100 on, in order.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(BYTES, 2 * BYTES))
    return [chr(byte if byte in printable else next(spare)) for byte in range(BYTES)]


_BYTES_OF = {character: byte for byte, character in enumerate(_byte_alphabet())}
