"""The models that are served: a preset's shape with random weights, as a folder and as GGUF files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
from random_model import write_random

from shosei.load.prompts import generate
from shosei.spec import ModelSpec, preset

FILES = ("bf16", "q8_0", "q4_0", "q4_0-pure")
_HEADS = ("output.weight", "token_embd.weight")  # a tied table is the head
_QUANTIZE = """
import sys, llama_cpp
source, out = sys.argv[1:]
options = llama_cpp.llama_model_quantize_default_params()
options.ftype, options.pure = 2, True  # LLAMA_FTYPE_MOSTLY_Q4_0
sys.exit(llama_cpp.llama_model_quantize(source.encode(), out.encode(), options))
"""


@dataclass(frozen=True)
class Model:
    """``folder`` is a stock model folder, ``files`` its GGUF files by name; ``heads`` says of each the head's type."""

    spec: ModelSpec
    folder: Path
    files: dict[str, Path]
    heads: dict[str, str]


def made(name: str, scratch: Path, llama_cpp: str | None) -> Model:
    """The preset's model below ``scratch``; what is there already is taken. GGUF files only for an interpreter of
    ``llama_cpp``: bf16, q8_0 and q4_0 are ours (``shosei export``), q4_0 with a head in 4 bits is llama.cpp's own."""
    spec, folder = preset(name), scratch / name / "model"
    if not (folder / "config.json").is_file():
        text = "".join(line[0]["content"] for line in generate(200, 0))
        write_random(spec, folder, text)
    files = {kind: folder.parent / f"{kind}.gguf" for kind in FILES} if llama_cpp else {}
    for kind, file in files.items():
        if file.exists():
            continue
        if kind == "q4_0-pure":
            subprocess.run([llama_cpp, "-c", _QUANTIZE, files["bf16"], file], check=True, capture_output=True)
        else:
            words = ["export", str(folder), str(file), "--type", kind]
            subprocess.run([sys.executable, "-m", "shosei", *words], check=True, capture_output=True)
    return Model(spec, folder, files, {kind: head_type(file) for kind, file in files.items()})


def head_type(file: Path) -> str:
    """The type in which a GGUF file has the matrix of the head."""
    types = {tensor.name: tensor.tensor_type.name.lower() for tensor in gguf.GGUFReader(file).tensors}
    return next(types[name] for name in _HEADS if name in types)
