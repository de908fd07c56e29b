"""``shosei import``: a model that others trained, into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shosei.cli.common import JsonOption, require, result


def import_model(
    source: Annotated[Path, typer.Argument(metavar="HF_FOLDER", help="Llama, Qwen2, Qwen3, InternLM2 or InternLM3.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Run folder to put model and tokenizer into.")],
    as_json: JsonOption = False,
) -> None:
    """Bring a Hugging Face folder into a run, to be served, measured and exported like a model of our own.

    Runs no code of the folder's and reads no pickled weights; keeps its tokenizer and its chat template.
    """
    require("torch", "tokenizers")
    from dataclasses import asdict

    from shosei.files import sha256, write_atomic
    from shosei.log import open_run
    from shosei.model import folder
    from shosei.text.foreign import tokenizer_files

    run = open_run(out, must_exist=False)
    spec, files = folder.read_spec(source), tokenizer_files(source)
    model = asdict(spec) | {"params": spec.params, "embedding_params": spec.embedding_params}
    with run.recording("import", config={"source": str(source)}, model=model) as record:
        for name, text in files.items():
            write_atomic(run.tokenizer / name, text)
        folder.convert(source, run.model, tokenizer_folder=run.tokenizer)
        # Not as the run's model, which a training that goes on from this one replaces.
        record.hashes["init"] = sha256(*folder.weight_files(run.model))
    values = {"model": spec.name, "params": spec.params, "folder": str(run.model)}
    lines = [f"{spec.name}: {spec.params:,} parameters in {run.model}", f"serve it: shosei serve {run.folder}"]
    result(values, lines, as_json=as_json)
