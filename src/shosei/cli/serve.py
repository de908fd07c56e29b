"""``shosei serve``: the engine and the HTTP front as two supervised children that talk over a private socket."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shosei.cli.access import (
    KEY_VARIABLE,
    AllowHostOption,
    ApiKeyOption,
    ApiKeysOption,
    OpenOption,
    OriginOption,
    say_open,
    words_without,
)
from shosei.cli.common import JsonOption, RunOption, load_torch, require, result, say
from shosei.errors import InputError
from shosei.spec.generation import WeightFormat
from shosei.wrong_path import MODEL_OR_RUN, wrong_path

_POLL_S = 0.1
_GRACE_S = 20.0  # for answers in flight, and then for the engine
# A server is to outlive its bad days: only what fails again and again is given up.
_MAX_RESTARTS, _PER_S, _BACKOFF_S = 6, 600.0, 0.1

ModelOption = Annotated[Path, typer.Option(help="Model folder.")]
HostOption = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")]
WeightsOption = Annotated[
    WeightFormat,
    typer.Option(help="stored: in the type of the model's files; int4: matrices in 4 bits, the rest bf16."),
]
ContextOption = Annotated[
    int, typer.Option(min=0, help="Most tokens of a prompt with its answer (0: the model's context).")
]
KeepOption = Annotated[
    bool,
    typer.Option(
        "--keep-rated-text",
        help="Write the question, the answer and the comment of each rated answer into the run's log, in plain text; "
        "without it only the rating and its tags. Tell your users.",
    ),
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keys that no request needs, one a line or as in --api-keys; their holders may name the user who rates.",
    ),
]
AddressOption = Annotated[
    bool,
    typer.Option(
        "--raters-by-address",
        help="Take an address for one rater, instead of a cookie: a house or an office with one address is then one.",
    ),
]
PerMinuteOption = Annotated[
    int,
    typer.Option(min=1, max=100_000, help="Ratings that a rater may give in a minute; an address four times as many."),
]

StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse a field that changes nothing here, instead of naming it in a header.")
]
BodyOption = Annotated[int, typer.Option(min=1024, metavar="BYTES", help="The largest body that a request may have.")]


class LogFormat(StrEnum):
    """Of the access log."""

    NONE = "none"
    JSON = "json"


LogOption = Annotated[
    LogFormat, typer.Option("--log", help="json: a line for each request on standard error, without its words.")
]
SpareOption = Annotated[
    bool,
    typer.Option("--no-spare", help="Keep no second engine process that waits with torch loaded (240 MB) for a crash."),
]


def serve(
    model_or_run: Annotated[Path, typer.Argument(metavar="MODEL_OR_RUN", help="Model folder, or run folder.")],
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    slots: Annotated[int, typer.Option(min=1, max=1024, help="Requests that are answered at the same time.")] = 16,
    weights: WeightsOption = WeightFormat.STORED,
    context: ContextOption = 0,
    name: Annotated[str, typer.Option(help="Name that clients call the model by (default: its own).")] = "",
    run: RunOption = None,
    keep_rated_text: KeepOption = False,
    feedback_keys: KeysOption = None,
    raters_by_address: AddressOption = False,
    ratings_per_minute: PerMinuteOption = 30,
    api_key: ApiKeyOption = "",
    api_keys: ApiKeysOption = None,
    open: OpenOption = False,
    allow_host: AllowHostOption = [],  # noqa: B006 (typer reads it)
    allow_origin: OriginOption = [],  # noqa: B006
    body_limit: BodyOption = 1 << 20,
    strict: StrictOption = False,
    no_spare: SpareOption = False,
    log: LogOption = LogFormat.NONE,
    as_json: JsonOption = False,
) -> int:
    """Serve a model over an OpenAI-compatible API until interrupted.

    Prints one line when the first token has been decoded. Without a run folder nothing is recorded.
    """
    import asyncio
    from contextlib import nullcontext
    from functools import partial

    from shosei.files import sha256
    from shosei.log.run import RUN_VARIABLE, open_run
    from shosei.log.secret import RunSecret
    from shosei.model.hf_config import read_spec
    from shosei.model.hf_files import WEIGHTS, weight_files
    from shosei.serve.startup import must_be_new, private_folder
    from shosei.spec.generation import slot_context
    from shosei.supervise import Child, Supervisor
    from shosei.wire.access import Access, AccessRules
    from shosei.wire.api_keys import ApiKeys
    from shosei.wire.endpoint import is_ready, listen

    require("torch", "tokenizers", "uvicorn")
    # What is wrong with who may ask is said before the model is loaded.
    rules = AccessRules(ApiKeys(api_key, api_keys), open, allow_host, allow_origin)
    if feedback_keys and rules.keys:
        raise InputError("--feedback-keys: the holders of API keys may name users as they are; leave it out")
    folder, model_name = find_model(model_or_run)
    name = name or model_name
    context = slot_context(read_spec(folder), context)
    with listen(host, port) as listener:
        address, port, *_ = listener.getsockname()
    Access(rules, host, address)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    target = open_run(run, must_exist=False) if run or os.environ.get(RUN_VARIABLE) else None
    if keep_rated_text and target is None:
        raise InputError("--keep-rated-text keeps text in a run folder: name one with --run")
    if (feedback_keys or raters_by_address) and target is None:
        raise InputError("ratings are written into a run folder, and none is named: name one with --run")
    if feedback_keys:
        ApiKeys(file=feedback_keys, hashed=False)
    if open:
        say_open(url, f"the model {name}")
    config = {"model": str(folder), "name": name, "url": url, "slots": slots, "keep_rated_text": keep_rated_text}
    config |= {"weights": weights, "context": context}
    hashes = {WEIGHTS: sha256(*weight_files(folder))} if target else {}
    new_attempt = partial(must_be_new, config=config, hashes=hashes)
    words = words_without(api_key)
    recording = (
        target.recording("serve", "inference", new_attempt=new_attempt, config=config, hashes=hashes, argv=words)
        if target
        else nullcontext()
    )
    with private_folder() as private, recording as record:
        if target:
            RunSecret.of(target.folder)
        socket = private / "engine.sock"
        shosei = [sys.executable, "-m", "shosei"]
        engine = ["engine", "--model", str(folder), "--socket", str(socket), "--slots", str(slots)]
        engine += ["--weights", weights, "--context", str(context)]
        front = ["http", "--model", str(folder), "--socket", str(socket), "--name", name]
        front += ["--host", host, "--port", str(port), "--ratings-per-minute", str(ratings_per_minute)]
        front += ["--body-limit", str(body_limit), *(["--strict"] if strict else []), "--log", log]
        front += [word for origin in allow_origin for word in ("--allow-origin", origin)]
        front += [word for other in allow_host for word in ("--allow-host", other)]
        front += ["--api-keys", str(api_keys)] if api_keys else []
        front += ["--open"] if open else []
        front += ["--keep-rated-text"] if keep_rated_text else []
        front += ["--raters-by-address"] if raters_by_address else []
        front += ["--feedback-keys", str(feedback_keys)] if feedback_keys else []
        children = [
            Child("engine", [*shosei, *engine], phase="inference", spare=not no_spare),
            Child("http", [*shosei, *front], {KEY_VARIABLE: api_key}, phase="inference"),
        ]
        writer = record.writer if record else None
        supervisor = Supervisor(writer, children, _MAX_RESTARTS, _BACKOFF_S, grace_s=_GRACE_S, per_s=_PER_S)
        say(f"loading {name} from {folder}")
        if target and record:
            say(f"recording into attempt {record.writer.attempt} of {target.folder}")

        async def announce() -> None:
            while not await asyncio.to_thread(is_ready, url):
                await asyncio.sleep(_POLL_S)
            line = f"ready: {name} at {url}/v1 (Ctrl-C stops it)"
            result({"url": url, "model": name}, [line], as_json=as_json)

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


def engine(
    model: ModelOption,
    socket: Annotated[Path, typer.Option(help="Unix socket to listen on.")],
    slots: Annotated[int, typer.Option(min=1, help="Requests that run at the same time.")] = 32,
    weights: WeightsOption = WeightFormat.STORED,
    context: ContextOption = 0,
) -> None:
    """Load a model and answer token requests on a Unix socket until told to stop."""
    from shosei.lineage import is_spare, wait_until_needed

    load_torch()
    from shosei.engine.server import rehearse, serve_engine

    if is_spare():
        rehearse()
        wait_until_needed()
    serve_engine(model, socket, slots, weights, context)


def http(
    model: ModelOption,
    socket: Annotated[Path, typer.Option(help="The engine's Unix socket.")],
    name: Annotated[str, typer.Option(help="Name that clients call the model by.")],
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    keep_rated_text: KeepOption = False,
    feedback_keys: KeysOption = None,
    raters_by_address: AddressOption = False,
    ratings_per_minute: PerMinuteOption = 30,
    api_key: ApiKeyOption = "",
    api_keys: ApiKeysOption = None,
    open: OpenOption = False,
    allow_host: AllowHostOption = [],  # noqa: B006
    allow_origin: OriginOption = [],  # noqa: B006
    body_limit: BodyOption = 1 << 20,
    strict: StrictOption = False,
    log: LogOption = LogFormat.NONE,
) -> None:
    """Answer HTTP requests in front of an engine until told to stop."""
    from shosei.log.run import recording_if_asked
    from shosei.serve.access import server_access
    from shosei.serve.app import HttpRules, run_server
    from shosei.serve.feedback import FeedbackRules
    from shosei.wire.access import AccessRules
    from shosei.wire.api_keys import ApiKeys
    from shosei.wire.endpoint import listen

    keys = ApiKeys(api_key, api_keys)
    listener = listen(host, port)
    access = server_access(AccessRules(keys, open, allow_host, allow_origin), host, listener.getsockname()[0])
    raters = ApiKeys(file=feedback_keys, hashed=False) if feedback_keys else keys
    rules = FeedbackRules(raters, raters_by_address, ratings_per_minute, keep_rated_text)
    asked = HttpRules(body_limit, strict, log is LogFormat.JSON)
    with recording_if_asked("http", "inference", config={"name": name}, argv=words_without(api_key)) as record:
        run_server(model, socket, name, listener, record.writer if record else None, rules, asked, access)


def find_model(path: Path) -> tuple[Path, str]:
    """The model folder at ``path``, or in the run folder ``path``, and the model's own name.

    Raises InputError that names the missing or unusable file.
    """
    from shosei.model.hf_config import read_spec
    from shosei.model.hf_files import weight_files

    if not MODEL_OR_RUN.is_at(path):
        raise wrong_path(path, MODEL_OR_RUN)
    folder = path / "model" if (path / "model").is_dir() or (path / "log").is_dir() else path
    spec = read_spec(folder)
    weight_files(folder)
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder} is not a complete model folder: tokenizer.json is missing")
    return folder, spec.name
