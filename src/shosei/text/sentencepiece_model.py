"""A SentencePiece ``tokenizer.model`` as a ``tokenizer.json``. Needs the extra ``sentencepiece``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, decoders, models, normalizers

from shosei.errors import InputError
from shosei.folder_files import read_bytes

schema: Any = sentencepiece_model_pb2  # its classes are made when it is imported
_SPACE = "▁"
_BPE = schema.TrainerSpec.BPE
_LEARNED = (schema.ModelProto.SentencePiece.NORMAL, schema.ModelProto.SentencePiece.BYTE)


def read_sentencepiece(file: Path, added: Mapping[int, Mapping[str, Any]]) -> str:
    """The text of a ``tokenizer.json`` that encodes as the model in ``file`` does.

    ``added``: tokens that the folder's configuration adds or renames, id -> ``{"content", "special"}``. Raises
    InputError: damaged, or a kind of model other than BPE and Unigram.
    """
    proto = schema.ModelProto()
    try:
        proto.ParseFromString(read_bytes(file.parent, file.name) or b"")
    except DecodeError:
        proto.Clear()
    if not proto.pieces:
        raise InputError(f"{file} is not a SentencePiece model, or is damaged; copy it again")
    if proto.trainer_spec.model_type not in (_BPE, schema.TrainerSpec.UNIGRAM):
        raise InputError(f"{file} is a SentencePiece model of words or characters; BPE and Unigram are supported")
    tokenizer = tokenizers.Tokenizer(_model(proto))
    tokenizer.normalizer = _normalizer(proto.normalizer_spec)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        if proto.normalizer_spec.add_dummy_prefix
        else [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokens = {
        row: {"content": piece.piece, "special": piece.type != schema.ModelProto.SentencePiece.USER_DEFINED}
        for row, piece in enumerate(proto.pieces)
        if piece.type not in (*_LEARNED, schema.ModelProto.SentencePiece.UNUSED)
    }
    return _with_added(tokenizer, tokens | dict(added))


def _model(proto: Any) -> models.Model:
    pieces = [piece.piece for piece in proto.pieces]
    unknown = proto.trainer_spec.unk_id
    bytes_known = proto.trainer_spec.byte_fallback
    if proto.trainer_spec.model_type != _BPE:
        scored = [(piece.piece, piece.score) for piece in proto.pieces]
        return models.Unigram(scored, unk_id=unknown, byte_fallback=bytes_known)
    vocabulary = {piece: row for row, piece in enumerate(pieces)}
    return models.BPE(
        vocabulary, _merges(proto, vocabulary), unk_token=pieces[unknown], fuse_unk=True, byte_fallback=bytes_known
    )


def _merges(proto: Any, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """SentencePiece joins the two neighbours whose union scores best, so every pair that makes a piece is a merge."""
    learned = [piece for piece in proto.pieces if piece.type == _LEARNED[0]]
    merges = []
    for piece in sorted(learned, key=lambda piece: -piece.score):
        text = piece.piece
        pairs = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        splits = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += sorted(splits, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    return merges


def _normalizer(spec: Any) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(_SPACE))
    return normalizers.Sequence([*steps, normalizers.Replace(" ", _SPACE)])


def _with_added(tokenizer: tokenizers.Tokenizer, tokens: Mapping[int, Mapping[str, Any]]) -> str:
    """Serialised, with each of ``tokens`` in its row: the piece that the model has there takes its name."""
    value = json.loads(tokenizer.to_str())
    vocabulary = value["model"]["vocab"]
    rows = {row: piece for piece, row in vocabulary.items()} if isinstance(vocabulary, dict) else {}
    value["added_tokens"] = []
    for row, token in sorted(tokens.items()):
        name, special = str(token["content"]), bool(token.get("special", True))
        if rows and row in rows and rows[row] != name:
            del vocabulary[rows[row]]
            vocabulary[name] = row
        elif isinstance(vocabulary, list) and row < len(vocabulary):
            vocabulary[row][0] = name
        value["added_tokens"].append(
            {
                "id": row,
                "content": name,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": special,
            }
        )
    return str(tokenizers.Tokenizer.from_str(json.dumps(value, ensure_ascii=False)).to_str())
