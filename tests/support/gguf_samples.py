"""GGUF files of others', made of ours by changing what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import sentencepiece
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from numpy.typing import NDArray

from model_samples import ROWS, random_model
from shosei.model import folder, gguf_file
from shosei.spec import ModelSpec

# llama.cpp's converter keeps no rules of normalisation: the models of this kind have none.
IDENTITY = {
    "model_type": "bpe",
    "vocab_size": ROWS - 2,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
}


def write(spec: ModelSpec, tokenizer_folder: Path, path: Path) -> Path:
    """A file of random weights, whose folder stands beside it."""
    folder.export(random_model(spec), spec, tokenizer_folder, path / "model")
    gguf_file.write(path / "model", path / "model.gguf", "f32")
    return path / "model.gguf"


def rewritten(
    source: Path, out: Path, kind: Type = Type.F32, raw: Mapping[str, NDArray[np.uint8]] | None = None, **changes: Any
) -> Path:
    """A copy with its matrices as ``kind`` and with ``changes``: settings by key, tensors as arrays, None to leave one
    out. With ``raw``, the bytes of some matrices, only those are of ``kind``."""
    reader = GGUFReader(source)
    writer = GGUFWriter(out, changes.pop("general.architecture", reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if changes.get(name) is not None:
            continue  # with its own type, below
        value = changes.pop(name, field.contents())
        if not name.startswith("GGUF.") and name != "general.architecture" and value is not None:
            writer.add_key_value(name, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
    tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    for name, value in changes.items():
        if isinstance(value, np.ndarray) or name in tensors:
            tensors[name] = value
        else:
            writer.add_key_value(name, value, GGUFValueType.get_type(value))
    for name, blocks in (raw or {}).items():
        del tensors[name]
        writer.add_tensor(name, blocks, raw_dtype=kind)
    kind = Type.F32 if raw else kind
    for name, values in tensors.items():
        if values is not None:
            stored = kind if values.ndim == 2 else Type.F32
            writer.add_tensor(name, gguf.quantize(np.ascontiguousarray(values, np.float32), stored), raw_dtype=stored)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return out


def as_gguf(theirs: sentencepiece.SentencePieceProcessor) -> dict[str, Any]:
    """The settings by which llama.cpp's converter keeps such a model."""
    rows = range(theirs.vocab_size())
    kinds = {2: theirs.is_unknown, 3: theirs.is_control, 6: theirs.is_byte}
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [theirs.id_to_piece(row) for row in rows],
        "tokenizer.ggml.scores": [theirs.get_score(row) for row in rows],
        "tokenizer.ggml.token_type": [next((kind for kind, is_one in kinds.items() if is_one(row)), 1) for row in rows],
        "tokenizer.ggml.bos_token_id": theirs.bos_id(),
        "tokenizer.ggml.eos_token_id": theirs.eos_id(),
        "tokenizer.ggml.padding_token_id": None,
        "tokenizer.ggml.merges": None,
    }
