"""``shosei import`` and ``shosei export``: models of other people's, and for other people's tools."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from shosei.cli.common import JsonOption, load_torch, require, result
from shosei.cli.serve import find_model
from shosei.errors import InputError
from shosei.progress import progress
from shosei.quantity import shown_bytes
from shosei.wrong_path import MODEL, wrong_path


def import_model(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|FILE.gguf|ORG/NAME",
            help="Folder, file, or name of a downloaded model: Llama, Qwen2, Qwen3, InternLM2 or InternLM3.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Run folder to put model and tokenizer into.")],
    as_json: JsonOption = False,
) -> None:
    """Bring a Hugging Face folder or a GGUF file into a run, to be served, measured and exported like one of our own.

    Runs no code of the folder's and reads no pickled weights; keeps its tokenizer and its chat template. What was
    written is tried before it takes the run's place: it must load, lay out a conversation and decode a token.
    """
    require("torch", "tokenizers")
    found = _checkpoint_at(source)
    load_torch()
    if not found.is_file():
        values, lines = _import_folder(found, found, out)
    else:
        require("gguf")
        from shosei.cli.trial_reading import unpack_limited

        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".gguf-") as unpacked:
            with progress(f"unpacking {found.name}"):
                unpack_limited(found, Path(unpacked))
            values, lines = _import_folder(Path(unpacked), found, out)
    result(values, lines, as_json=as_json)


def _checkpoint_at(source: Path) -> Path:
    """The folder or GGUF file that ``source`` names. Raises InputError for a path that is neither."""
    from shosei.model.hub_cache import find_checkpoint

    found = find_checkpoint(source)
    if not (found.is_file() or MODEL.is_at(found)):
        raise wrong_path(found, MODEL)
    if found.is_file() and found.suffix not in ("", ".gguf") and MODEL.is_at(found.parent):
        raise InputError(f"{found} is one file of a model; name its folder: shosei import {found.parent} --out RUN")
    return found


def _import_folder(source: Path, named: Path, out: Path) -> tuple[dict[str, object], list[str]]:
    """Take the folder ``source``, which the user knows as ``named``; what to say of it."""
    from dataclasses import asdict

    from shosei.cli.smoke_test import smoke_test
    from shosei.cli.trial_reading import try_reading
    from shosei.files import atomic_path, sha256, write_atomic
    from shosei.log import open_run
    from shosei.model import folder
    from shosei.model.licence import licence_files, stated_licence
    from shosei.text.foreign import tokenizer_files

    run = open_run(out, must_exist=False)
    with progress("reading config and tokenizer"):
        try_reading(source, temporary=source != named)
    (spec, _), files = folder.open_model(source), tokenizer_files(source)
    model = asdict(spec) | {"params": spec.params, "embedding_params": spec.embedding_params}
    taken = run.recording("import", config={"source": str(named)}, model=model)
    with run.alone("import", "train"), taken as record:
        # Both whole before either takes its place: a file of an earlier tokenizer would lay out dialogues its own way.
        with atomic_path(run.model) as tried, atomic_path(run.tokenizer) as tokenizer:
            for name, text in files.items():
                write_atomic(tokenizer / name, text)
            folder.convert(source, tried, tokenizer_folder=tokenizer)
            for name, content in licence_files(source).items():
                (tried / name).write_bytes(content)
            with progress("trying the model"):
                notes = smoke_test(tried)
        # Not as the run's model, which a training that goes on from this one replaces.
        record.hashes["init"] = sha256(*folder.weight_files(run.model))
    values = {"model": spec.name, "params": spec.params, "folder": str(run.model)}
    lines = [f"{spec.name}: {spec.params:,} parameters in {run.model}"]
    if converted := folder.converted_types(source, run.model):
        counts = ", ".join(f"{count} {name}" for name, count in converted.items())
        lines.append(f"the checkpoint mixes types: {counts} tensors were written in the type of the input table")
    if licence := stated_licence(run.model):
        lines.append(f"licence: {licence}, as its makers state")
    lines += notes
    lines.append(f"serve it: shosei serve {run.folder}")
    return values, lines


def export(
    model_or_run: Annotated[Path, typer.Argument(metavar="RUN_OR_MODEL", help="Run folder, or model folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder (hf), or file (gguf: NAME.gguf) to write.")],
    kind: Annotated[
        Literal["hf", "gguf", "ollama"] | None,
        typer.Option(
            "--format",
            help="hf: transformers, vLLM, SGLang. gguf: llama.cpp. ollama: gguf and NAME.Modelfile. (default: by OUT)",
            show_default=False,
        ),
    ] = None,
    stored: Annotated[
        Literal["f32", "bf16", "q8_0", "q4_0"] | None,
        typer.Option("--type", help="Of the weights; q8_0 and q4_0 for gguf only (default: as stored; gguf: bf16)."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license", help="Such as apache-2.0 (default: what the model's makers state).", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model as a stock Hugging Face folder or as a GGUF file; a layer at a time, whole or not at all."""
    require("torch", "tokenizers")
    load_torch()
    from shosei.model.licence import is_identifier

    if licence and not is_identifier(licence):
        raise InputError(f"--license {licence}: give an identifier such as apache-2.0, mit or other")
    source, name = find_model(model_or_run)
    kind = kind or ("gguf" if out.suffix.lower() == ".gguf" else "hf")
    if kind == "hf":
        run = model_or_run if model_or_run != source else None
        after = [_export_folder(source, run, out, stored, licence)]
        files = [file for file in out.rglob("*") if file.is_file()]
    else:
        stored = stored or "bf16"
        files, after = _export_file(source, out, stored, licence, modelfile=kind == "ollama")
    size = sum(file.stat().st_size for file in files)
    values = {"model": name, "out": str(out), "format": kind, "type": stored, "bytes": size}
    result(values, [f"{name}: {kind} in {out}, {shown_bytes(size)}", *after], as_json=as_json)


def _export_folder(source: Path, run: Path | None, out: Path, stored: str | None, licence: str | None) -> str:
    """Write the folder with its model card; what to do with it."""
    import torch

    from shosei.cli.model_card import model_card, upload_line
    from shosei.files import write_atomic
    from shosei.model import folder
    from shosei.model.licence import licence_texts

    if out.suffix.lower() == ".gguf":
        raise InputError(f"{out} is a file's name; give a folder's, or leave --format hf away")
    if stored in ("q8_0", "q4_0"):
        raise InputError(f"--type {stored} exists in GGUF only: give OUT a name that ends in .gguf, or --format gguf")
    if out.exists() and not (out / "config.json").is_file():
        raise InputError(f"{out} exists and is not a model folder, so it is not replaced; give another name")
    if out.resolve() == source.resolve():
        raise InputError(f"{out} is the model itself; give another folder")
    card = model_card(folder.read_spec(source), source, run, licence)
    folder.convert(source, out, {"f32": torch.float32, "bf16": torch.bfloat16}.get(stored or ""))
    write_atomic(out / "README.md", card)
    for name, content in licence_texts(source).items():
        (out / name).write_bytes(content)
    return f"upload it: {upload_line(out)}"


def _export_file(
    source: Path, out: Path, stored: str, licence: str | None, *, modelfile: bool
) -> tuple[list[Path], list[str]]:
    """Write the GGUF, and the Modelfile beside it if asked to; the files, and what to know of them and to do."""
    require("gguf")
    from shosei.files import write_atomic
    from shosei.model import gguf_file, ollama

    if out.is_dir():
        raise InputError(f"{out} is a folder; give a file's name, such as {out / 'model.gguf'}")
    if not out.parent.is_dir():
        raise InputError(f"there is no folder {out.parent} to write {out.name} into; make it, or give another")
    recipe = ollama.modelfile(source, out) if modelfile else ""
    notes = gguf_file.write(source, out, stored, licence)
    if not modelfile:
        return [out], [*notes, f"run it: llama-server -m {out}"]
    beside = out.with_name(f"{out.name.removesuffix('.gguf')}.Modelfile")
    write_atomic(beside, recipe)
    return [out, beside], [*notes, f"run it: ollama create {beside.stem} -f {beside} && ollama run {beside.stem}"]
