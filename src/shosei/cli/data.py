"""``shosei data`` and ``shosei tokenizer``: what a model is trained on, and what it reads it with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.common import JsonOption, RunOption, require, result
from shosei.cli.options import Given, flag_of
from shosei.progress import progress

if TYPE_CHECKING:
    from shosei.log import Run


def data(
    context: typer.Context,
    run_folder: RunOption = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Take documents from this file or folder instead: .txt (a line each), .jsonl, .parquet; also .gz. "
            "Repeat it for more. Settings: [text].",
            show_default=False,
        ),
    ] = None,
    inspect: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Show this run's conversations as its model sees them instead: tokens, where loss is taken, lengths, "
            "languages.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Conversations that --inspect shows.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Generate training rows, a validation set and held-out suites of checkable Chinese and Japanese questions.

    With --text, take documents to pretrain on, a share of them held out. A run may have both: it is trained on both.
    """
    import hashlib

    from shosei.config import save
    from shosei.data import DataConfig
    from shosei.data.generation import generate
    from shosei.log import open_run

    if inspect:
        _inspect(open_run(inspect), rows, [*context.obj.flags, *(["text"] if text else [])], as_json)
        return
    run = open_run(run_folder, must_exist=False)
    if text:
        _take_text(run, text, context.obj, as_json)
        return
    config: DataConfig = context.obj.load(DataConfig)
    with progress("generating questions"):
        files = generate(config)
    hashes = {_hash_name(name): hashlib.sha256(content).hexdigest() for name, content in files.items()}
    seeds = {"data": config.seed}
    with run.alone("data", "train"), run.recording("data", config=config.model_dump(), hashes=hashes, seeds=seeds):
        for name, content in files.items():
            run.write(name, content)
        save(run.toml, "data", config)
    counts = {name: content.count(b"\n") for name, content in files.items()}
    result({"run": str(run.folder), "rows": counts, "hashes": hashes}, _describe(files), as_json=as_json)


def tokenizer(context: typer.Context, run_folder: RunOption = None, as_json: JsonOption = False) -> None:
    """Train a byte-level BPE tokenizer on the run's training rows and text."""
    import hashlib

    from shosei.config import save
    from shosei.data import TokenizerConfig
    from shosei.data.vocabulary import tokenizer_texts
    from shosei.files import atomic_path
    from shosei.log import open_run
    from shosei.text import Tokenizer

    run = open_run(run_folder)
    config: TokenizerConfig = context.obj.load(TokenizerConfig)
    trained = Tokenizer.train(tokenizer_texts(run), config.vocab_size)
    digest = hashlib.sha256(trained.files()["tokenizer.json"].encode()).hexdigest()
    hashes = {"tokenizer": digest}
    with run.alone("tokenizer", "train"), run.recording("tokenizer", config=config.model_dump(), hashes=hashes):
        with atomic_path(run.tokenizer) as folder:  # nothing of an imported one stays
            trained.save(folder)
        save(run.toml, "tokenizer", config)
    values = {"run": str(run.folder), "vocab_size": trained.vocab_size, "hash": digest}
    result(values, [f"{run.tokenizer}: {trained.vocab_size:,} entries, sha256 {digest[:12]}"], as_json=as_json)


def _inspect(run: Run, rows: int, keys: list[str], as_json: bool) -> None:
    from shosei.cli.inspect import inspect_rows
    from shosei.errors import InputError

    for key in keys:
        raise InputError(f"{flag_of(key)} makes data: leave it out where data is looked at with --inspect")
    inspect_rows(run, rows, as_json)


def _take_text(run: Run, paths: list[Path], given: Given, as_json: bool) -> None:
    from dataclasses import asdict, replace

    from shosei.config import save
    from shosei.data import TextConfig
    from shosei.data.corpus import SPLITS, corpus_file, take_text
    from shosei.data.documents import find_files
    from shosei.errors import InputError
    from shosei.files import sha256

    for key in given.flags.keys() - TextConfig.model_fields:
        raise InputError(
            f"{flag_of(key)} is for generated questions: leave it out where documents are taken with --text"
        )
    config = replace(given, section="text").load(TextConfig)
    files = find_files(paths)
    if any(file.suffix == ".parquet" for file in files):
        require("pyarrow")
    with run.alone("data", "train"), run.recording("data", config=config.model_dump()) as record:
        counts = take_text(run, files, config)
        record.hashes |= {f"text:{split}": sha256(corpus_file(run, split)) for split in SPLITS}
        save(run.toml, "text", config)
    lines = [
        f"{corpus_file(run, split)}: {counts.documents[split]:,} documents, {counts.characters[split]:,} characters"
        for split in SPLITS
    ]
    values = {"run": str(run.folder), **asdict(counts), "hashes": record.hashes}
    result(values, [*lines, f"{counts.duplicates:,} exact duplicates dropped"], as_json=as_json)


def _describe(files: dict[str, bytes]) -> list[str]:
    """Rows of each file by suite and language, with an example."""
    from collections import Counter

    import msgspec

    lines = [f"{'file':24}{'suite':12}{'zh':>7}{'ja':>7}  example"]
    for name, content in files.items():
        rows = [msgspec.json.decode(line) for line in content.splitlines()]
        counts = Counter((row["suite"], row["lang"]) for row in rows)
        for suite, row in sorted({row["suite"]: row for row in rows}.items()):
            answer = row["truth"] if "truth" in row else row["messages"][-1]["content"]
            question = next(message["content"] for message in row["messages"] if message["role"] == "user")
            example = f"{question} → {answer!r}"
            lines.append(f"{name:24}{suite:12}{counts[suite, 'zh']:7,}{counts[suite, 'ja']:7,}  {example}")
    return lines


def _hash_name(file: str) -> str:
    """The name that training and exam give the same file's hash."""
    path = Path(file)
    return f"suite:{path.stem}" if path.parent.name == "suites" else {"train": "data"}.get(path.stem, path.stem)
