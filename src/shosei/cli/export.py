"""``shosei export``: a model for other people's tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shosei.cli.common import JsonOption, require, result
from shosei.cli.serve import find_model
from shosei.errors import InputError


class Format(StrEnum):
    HF = "hf"
    GGUF = "gguf"


class Type(StrEnum):
    F32 = "f32"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


def export(
    model_or_run: Annotated[Path, typer.Argument(metavar="RUN_OR_MODEL", help="Run folder, or model folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder (hf) or file (gguf) to write.")],
    kind: Annotated[
        Format, typer.Option("--format", help="hf: transformers, vLLM, SGLang. gguf: llama.cpp.")
    ] = Format.HF,
    stored: Annotated[
        Type | None,
        typer.Option("--type", help="Of the weights; q8_0 and q4_0 for gguf only (default: as stored; gguf: bf16)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model as a stock Hugging Face folder or as a GGUF file; a layer at a time, whole or not at all."""
    require("torch", "tokenizers")
    source, name = find_model(model_or_run)
    if kind is Format.GGUF:
        require("gguf")
        from shosei.model import gguf_file

        stored = stored or Type.BF16
        gguf_file.write(source, out, stored)
    else:
        import torch

        from shosei.model import folder

        if stored in (Type.Q8_0, Type.Q4_0):
            raise InputError(f"--type {stored} exists in GGUF only: add --format gguf")
        if out.exists() and not (out / "config.json").is_file():
            raise InputError(f"{out} exists and is no model folder, so it is not replaced; give another name")
        if out.resolve() == source.resolve():
            raise InputError(f"{out} is the model itself; give another folder")
        folder.convert(source, out, {None: None, Type.F32: torch.float32, Type.BF16: torch.bfloat16}[stored])
    files = [out] if out.is_file() else sorted(file for file in out.iterdir() if file.is_file())
    size = sum(file.stat().st_size for file in files)
    values = {"model": name, "out": str(out), "format": kind, "type": stored, "bytes": size}
    result(values, [f"{name}: {kind} in {out}, {size / 1e6:,.1f} MB"], as_json=as_json)
