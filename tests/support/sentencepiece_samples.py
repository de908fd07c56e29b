"""A folder with a SentencePiece model alone, as old checkpoints have it."""

from __future__ import annotations

import json
from pathlib import Path

import sentencepiece


def sentencepiece_folder(corpus: Path, out: Path, **settings: object) -> sentencepiece.SentencePieceProcessor:
    """A folder with nothing but ``tokenizer.model``, and the model's own reader."""
    defaults = {"vocab_size": 380, "byte_fallback": True, "character_coverage": 0.98, "hard_vocab_limit": False}
    out.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(out / "tokenizer"), minloglevel=2, num_threads=1, **(defaults | settings)
    )
    settings_file = {"bos_token": "<s>", "eos_token": "</s>", "auto_map": {"AutoTokenizer": "code.Tokenizer"}}
    (out / "tokenizer_config.json").write_text(json.dumps(settings_file))
    return sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
