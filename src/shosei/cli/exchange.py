"""``shosei import`` and ``shosei export``: models of other people's, and for other people's tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shosei.cli.common import JsonOption, require, result
from shosei.cli.serve import find_model
from shosei.errors import InputError
from shosei.quantity import shown_bytes


def import_model(
    source: Annotated[Path, typer.Argument(metavar="HF_FOLDER", help="Llama, Qwen2, Qwen3, InternLM2 or InternLM3.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Run folder to put model and tokenizer into.")],
    as_json: JsonOption = False,
) -> None:
    """Bring a Hugging Face folder into a run, to be served, measured and exported like a model of our own.

    Runs no code of the folder's and reads no pickled weights; keeps its tokenizer and its chat template. What was
    written is tried before it takes the run's place: it must load, lay out a conversation and decode a token.
    """
    require("torch", "tokenizers")
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from shosei.cli.smoke_test import smoke_test
    from shosei.files import atomic_path, sha256, write_atomic
    from shosei.log import open_run
    from shosei.model import folder
    from shosei.text.foreign import tokenizer_files

    run = open_run(out, must_exist=False)
    (spec, _), files = folder.open_model(source), tokenizer_files(source)
    model = asdict(spec) | {"params": spec.params, "embedding_params": spec.embedding_params}
    taken = run.recording("import", config={"source": str(source)}, model=model)
    with run.alone("import", "train"), taken as record:
        with TemporaryDirectory() as temporary, atomic_path(run.model) as tried:
            for name, text in files.items():
                write_atomic(Path(temporary, name), text)
            folder.convert(source, tried, tokenizer_folder=Path(temporary))
            notes = smoke_test(tried)
        for name, text in files.items():
            write_atomic(run.tokenizer / name, text)
        # Not as the run's model, which a training that goes on from this one replaces.
        record.hashes["init"] = sha256(*folder.weight_files(run.model))
    values = {"model": spec.name, "params": spec.params, "folder": str(run.model)}
    lines = [f"{spec.name}: {spec.params:,} parameters in {run.model}"]
    if converted := folder.converted_types(source, run.model):
        counts = ", ".join(f"{count} {name}" for name, count in converted.items())
        lines.append(f"the checkpoint mixes types: {counts} tensors were written in the type of the input table")
    lines += notes
    lines.append(f"serve it: shosei serve {run.folder}")
    result(values, lines, as_json=as_json)


def export(
    model_or_run: Annotated[Path, typer.Argument(metavar="RUN_OR_MODEL", help="Run folder, or model folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder (hf) or file (gguf) to write.")],
    kind: Annotated[
        Literal["hf", "gguf"], typer.Option("--format", help="hf: transformers, vLLM, SGLang. gguf: llama.cpp.")
    ] = "hf",
    stored: Annotated[
        Literal["f32", "bf16", "q8_0", "q4_0"] | None,
        typer.Option("--type", help="Of the weights; q8_0 and q4_0 for gguf only (default: as stored; gguf: bf16)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model as a stock Hugging Face folder or as a GGUF file; a layer at a time, whole or not at all."""
    require("torch", "tokenizers")
    source, name = find_model(model_or_run)
    if kind == "gguf":
        require("gguf")
        from shosei.model import gguf_file

        stored = stored or "bf16"
        gguf_file.write(source, out, stored)
    else:
        import torch

        from shosei.model import folder

        if stored in ("q8_0", "q4_0"):
            raise InputError(f"--type {stored} exists in GGUF only: add --format gguf")
        if out.exists() and not (out / "config.json").is_file():
            raise InputError(f"{out} exists and is not a model folder, so it is not replaced; give another name")
        if out.resolve() == source.resolve():
            raise InputError(f"{out} is the model itself; give another folder")
        folder.convert(source, out, {"f32": torch.float32, "bf16": torch.bfloat16}.get(stored or ""))
    files = [out] if out.is_file() else sorted(file for file in out.iterdir() if file.is_file())
    size = sum(file.stat().st_size for file in files)
    values = {"model": name, "out": str(out), "format": kind, "type": stored, "bytes": size}
    result(values, [f"{name}: {kind} in {out}, {shown_bytes(size)}"], as_json=as_json)
