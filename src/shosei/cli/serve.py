"""``shosei serve``: the engine and the HTTP front as two supervised children that talk over a private socket."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.access import KEY_VARIABLE, ApiKeyOption, say_open, words_without
from shosei.cli.chat_page import page_of_server, read_form
from shosei.cli.common import JsonOption, RunOption, load_torch, require, result, say
from shosei.cli.options import Given
from shosei.errors import InputError
from shosei.spec.generation import WeightFormat
from shosei.verbs import printed
from shosei.wrong_path import MODEL_OR_RUN, RUN, wrong_path

if TYPE_CHECKING:
    from shosei.log import Log
    from shosei.log.run import Run
    from shosei.serve.config import ServeConfig

_POLL_S = 0.1
_GRACE_S = 15.0  # beyond the drain, for the front to end and then the engine
_SERVED_ALIKE = ("name", "slots", "weights")  # else its answers, or their times, are another server's
_MEASURING = ("load", "exam")
# A server is to outlive its bad days: only what fails again and again is given up.
_MAX_RESTARTS, _PER_S, _BACKOFF_S = 6, 600.0, 0.1

ModelOption = Annotated[Path, typer.Option(help="Model folder.")]
WeightsOption = Annotated[
    WeightFormat,
    typer.Option(
        help="stored: in the type of the model's files; int8, int4: matrices in 8 or 4 bits, the rest bf16; "
        "int4-head8: 8 for the head, 4 for all others."
    ),
]
ContextOption = Annotated[
    int, typer.Option(min=0, help="Most tokens of a prompt with its answer (0: the model's context).")
]


def serve(
    context: typer.Context,
    model_or_run: Annotated[Path, typer.Argument(metavar="MODEL_OR_RUN", help="Model folder, or run folder.")],
    run: RunOption = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Record nothing, so that nobody can rate.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what would compute the model, and end.")] = False,
    api_key: ApiKeyOption = "",
    as_json: JsonOption = False,
) -> int:
    """Serve a model over an OpenAI-compatible API until interrupted.

    Prints one line when the first token has been decoded. Without --run, a run folder that is served with the chat page
    gets another beside it, RUN-chat, for what people do there; a model folder is served without a record.
    """
    import asyncio
    from contextlib import nullcontext

    from shosei.checksums import remembered_sha256
    from shosei.config import save
    from shosei.log.attempt import must_be_new
    from shosei.log.secret import RunSecret
    from shosei.model.hf_config import read_spec
    from shosei.model.hf_files import WEIGHTS, weight_files
    from shosei.serve.config import ServeConfig, private_folder
    from shosei.spec.generation import slot_context
    from shosei.supervise import Child, Supervisor
    from shosei.wire.access import Access
    from shosei.wire.endpoint import is_ready, listen

    require("torch", "tokenizers", "uvicorn")
    config: ServeConfig = context.obj.load(ServeConfig)
    rules = config.access_rules(api_key)  # what is wrong with who may ask is said before the model is loaded
    config.rating_rules(rules.keys)
    folder, model_name = find_model(model_or_run)
    if explain:
        return _explain(folder, config, as_json=as_json)
    with listen(config.host, config.port) as listener:
        address, port, *_ = listener.getsockname()
    Access(rules, config.host, address)
    # What the children are told: what was left open here is settled.
    asked = config.model_copy(
        update={
            "name": config.name or model_name,
            "port": port,
            "context": slot_context(read_spec(folder), config.context),
        }
    )
    name, host = asked.name, asked.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    named = _named_run(run, no_run)
    target = named or (None if no_run or not asked.page else _chat_run(model_or_run))
    asked.check_recorded(recorded=target is not None)
    read_form(asked.rating_form)
    if asked.open:
        say_open(url, f"the model {name}")
    manifest = {"model": str(folder), "name": name, "url": url, "slots": asked.slots}
    manifest |= {"keep_rated_text": asked.keep_rated_text, "weights": asked.weights, "context": asked.context}
    hashes = {WEIGHTS: remembered_sha256(*weight_files(folder))} if target else {}

    def new_attempt(log: Log) -> bool:
        return must_be_new(log, "serve", {key: manifest[key] for key in _SERVED_ALIKE}, _MEASURING, hashes)

    words = words_without(api_key)
    recording = (
        target.recording("serve", "inference", new_attempt=new_attempt, config=manifest, hashes=hashes, argv=words)
        if target
        else nullcontext()
    )
    with private_folder() as private, recording as record:
        if target:
            RunSecret.of(target.folder)
            save(target.toml, "serve", config)
        socket = private / "engine.sock"
        shosei = [sys.executable, "-m", "shosei"]
        common = ["--model", str(folder), "--socket", str(socket)]
        engine = ["engine", *common, "--slots", str(asked.slots), "--weights", asked.weights]
        engine += ["--context", str(asked.context)]
        engine += ["--prefix-reuse" if asked.prefix_reuse else "--no-prefix-reuse"]
        engine += ["--speculate" if asked.speculate else "--no-speculate"]
        engine += ["--native" if asked.native else "--no-native"]
        front = ["http", *common, *Given("serve", asked.model_dump(mode="json", exclude_none=True)).words()]
        children = [
            Child("engine", [*shosei, *engine], phase="inference", spare=asked.spare),
            Child("http", [*shosei, *front], {KEY_VARIABLE: api_key}, phase="inference"),
        ]
        writer, grace_s = record.writer if record else None, asked.drain_s + _GRACE_S
        supervisor = Supervisor(writer, children, _MAX_RESTARTS, _BACKOFF_S, grace_s=grace_s, per_s=_PER_S)
        say(f"loading {name} from {folder}")
        if target and record:
            how = f"; its card: {printed('card', str(target.folder))}; --no-run records nothing" if not named else ""
            say(f"recording into attempt {record.writer.attempt} of {target.folder}{how}")

        async def announce() -> None:
            while not await asyncio.to_thread(is_ready, url):
                await asyncio.sleep(_POLL_S)
            line = f"ready: {name} at {url}/v1 (Ctrl-C stops it)"
            page = f"{url}/" if asked.page else None
            lines = [line, *([f"chat page: {page}"] if page else [])]
            folder = str(target.folder) if target else None
            result({"url": url, "model": name, "page": page, "run": folder}, lines, as_json=as_json)

        async def supervise() -> int:
            announcing = asyncio.create_task(announce())
            try:
                code = await supervisor.run()
                return code if supervisor.lost else 0  # children that were told to stop may end with any code
            finally:
                announcing.cancel()

        code = asyncio.run(supervise())
        if record:
            record.exit_code = code
    return code


def _explain(folder: Path, config: ServeConfig, *, as_json: bool) -> int:
    """Print what would compute each matrix of the model."""
    load_torch()
    from shosei.engine.loading import backend_of
    from shosei.model.device import choose
    from shosei.model.folder import stored_type
    from shosei.model.hf_config import read_spec
    from shosei.model.native.backend import explained

    device = choose()
    backend = backend_of(folder, config.weights, device, config.native)
    lines = explained(backend, read_spec(folder), config.weights, stored_type(folder))
    result(dict(lines), [f"{matrix}: {computed_by}" for matrix, computed_by in lines], as_json=as_json)
    return 0


def engine(
    model: ModelOption,
    socket: Annotated[Path, typer.Option(help="Unix socket to listen on.")],
    slots: Annotated[int, typer.Option(min=1, help="Requests that run at the same time.")] = 32,
    weights: WeightsOption = WeightFormat.STORED,
    context: ContextOption = 0,
    prefix_reuse: Annotated[bool, typer.Option(help="Compute what prompts begin with alike only once.")] = True,
    speculate: Annotated[bool, typer.Option(help="Guess tokens from what was said before, and check them.")] = True,
    native: Annotated[bool, typer.Option(help="Compute in C where this processor and the model allow it.")] = True,
) -> None:
    """Load a model and answer token requests on a Unix socket until told to stop."""
    from shosei.lineage import is_spare, wait_until_needed
    from shosei.memory import ask_for_huge_pages

    ask_for_huge_pages()
    load_torch()
    from shosei.engine.server import rehearse, serve_engine

    if is_spare():
        rehearse()
        wait_until_needed()
    serve_engine(model, socket, slots, weights, context, prefix_reuse, speculate, native)


def http(
    context: typer.Context,
    model: ModelOption,
    socket: Annotated[Path, typer.Option(help="The engine's Unix socket.")],
    api_key: ApiKeyOption = "",
) -> None:
    """Answer HTTP requests in front of an engine until told to stop."""
    from shosei.log.run import recording_if_asked
    from shosei.serve.app import HttpRules, run_server
    from shosei.serve.config import ServeConfig
    from shosei.serve.exchange import server_access
    from shosei.wire.endpoint import listen

    config: ServeConfig = context.obj.load(ServeConfig)
    rules, name = config.access_rules(api_key), config.name
    listener = listen(config.host, config.port)
    ratings = config.rating_rules(rules.keys)
    asked = HttpRules(
        config.body_limit, config.strict, config.drain_s, config.log == "json", config.waiting, config.limits()
    )
    with recording_if_asked("http", "inference", config={"name": name}, argv=words_without(api_key)) as record:
        page = page_of_server(config, model, recorded=bool(record), keyed=bool(rules.keys)) if config.page else None
        access = server_access(rules, config.host, listener.getsockname()[0], page.keyless if page else ())
        writer = record.writer if record else None
        run_server(model, socket, name, listener, writer, ratings, asked, access, page)


def _named_run(run: Path | None, no_run: bool) -> Run | None:
    """The run that the command line or else the environment names. Raises InputError where the former also has none."""
    from shosei.log.run import RUN_VARIABLE, open_run

    if run and no_run:
        raise InputError("--run names where to record, and --no-run records nothing: leave one out")
    is_named = not no_run and (run or os.environ.get(RUN_VARIABLE))
    return open_run(run, must_exist=False) if is_named else None


def _chat_run(served: Path) -> Run | None:
    """The run beside the run that is ``served``, for what people do on its chat page: the card that the served one has
    would not outlive their first evening."""
    from shosei.log.run import open_run

    if not RUN.is_at(served):
        return None
    whole = served if served.name not in ("", "..") else served.resolve()
    folder = whole.with_name(f"{whole.name}-chat")
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        say(f"recording nothing: {folder} cannot be written; --run names another folder")
        return None
    return open_run(folder, must_exist=False)


def find_model(path: Path) -> tuple[Path, str]:
    """The model folder at ``path``, or in the run folder ``path``, and the model's own name.

    Raises InputError that names the missing or unusable file.
    """
    from shosei.model.hf_config import read_spec
    from shosei.model.hf_files import opened, weight_files

    if not MODEL_OR_RUN.is_at(path):
        raise wrong_path(path, MODEL_OR_RUN)
    folder = path / "model" if (path / "model").is_dir() or (path / "log").is_dir() else path
    spec = read_spec(folder)
    for file in weight_files(folder):
        with opened(file):
            pass
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder} is not a complete model folder: tokenizer.json is missing")
    return folder, spec.name
