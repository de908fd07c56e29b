"""The command line's entry: the table of verbs, and what becomes of errors."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

import typer
import typer.core
import typer.main

from shosei import __version__
from shosei.cli import (
    access,
    agents,
    alternate,
    bench,
    card,
    chat,
    compare,
    data,
    exam,
    exchange,
    gateway,
    judge,
    load,
    plan,
    quickstart,
    ratings,
    serve,
    supervise,
    train,
    tune,
)
from shosei.cli.display import ProgressDisplay
from shosei.cli.options import Verb, options_of
from shosei.errors import (
    EXIT_BUG,
    EXIT_INPUT,
    InputError,
    MeasurementInvalid,
    Terminated,
    as_input_error,
    exit_code_of_error,
    installing,
    nearest,
)
from shosei.progress import shown_on

_WHOLE = 1000  # no description is cut off; long ones are wrapped

# package -> extra of ours
_EXTRAS = {
    "gguf": "gguf",
    "sentencepiece": "sentencepiece",
    "google": "sentencepiece",
    "pyarrow": "data",
    "optuna": "tune",
}


class _VerbGroup(typer.core.TyperGroup):
    """Offers the nearest verb for an unknown one, and lists the verbs by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, verb in self.commands.items():
            if not verb.hidden:
                panel = getattr(verb, "rich_help_panel", None) or "Commands"
                panels.setdefault(panel, []).append((name, verb.get_short_help_str(limit=_WHOLE)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise InputError(f"unknown verb '{args[0]}'{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="shosei",
    cls=_VerbGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
    help="A small language model from its parameter table to its scorecard.",
)


@app.callback(invoke_without_command=True)
def _top(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        print(__version__)
        raise typer.Exit


# Only the names of the configurations: they are imported when their verb is run or explained.
_CONFIGURED = {
    "data": options_of("data", "shosei.data.config:DataConfig"),
    "tokenizer": options_of("tokenizer", "shosei.data.config:TokenizerConfig"),
    "train": options_of("train", "shosei.train.config:TrainConfig"),
    "serve": options_of("serve", "shosei.serve.config:ServeConfig"),
    "http": options_of("serve", "shosei.serve.config:ServeConfig"),
    "load": options_of("load", "shosei.load.config:LoadConfig"),
    "exam": options_of("exam", "shosei.exam.config:ExamConfig"),
    "judge": options_of("judge", "shosei.exam.judging.config:JudgeConfig"),
    "gateway": options_of("gateway", "shosei.gateway.config:GatewayConfig"),
}

_HIDDEN = "Processes that verbs start"
_PANELS: dict[str, dict[str, Callable[..., Any]]] = {
    "Begin": {"quickstart": quickstart.quickstart},
    "Build": {
        "models": plan.models,
        "plan": plan.plan,
        "data": data.data,
        "tokenizer": data.tokenizer,
        "train": train.train,
        "import": exchange.import_model,
        "export": exchange.export,
    },
    "Serve": {"serve": serve.serve, "chat": chat.chat, "key": access.key},
    "Measure": {
        "load": load.load,
        "exam": exam.exam,
        "judge": judge.judge,
        "gateway": gateway.gateway,
        "supervise": supervise.supervise,
        "alternate": alternate.alternate,
        "bench": bench.bench,
    },
    "Improve": {"tune": tune.tune},
    "Judge": {"card": card.card, "compare": compare.compare, "metrics": card.metrics, "log": card.log},
    _HIDDEN: {"load-worker": load.load_worker, "engine": serve.engine, "http": serve.http},
}
for panel, verbs in _PANELS.items():
    for name, verb in verbs.items():
        app.command(name, cls=_CONFIGURED.get(name, Verb), rich_help_panel=panel, hidden=panel == _HIDDEN)(verb)
app.add_typer(ratings.ratings, name="ratings", rich_help_panel="Measure")
app.add_typer(agents.agents, name="agents", rich_help_panel="Measure")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a verb; every error ends as one line on standard error and the exit code of its kind."""
    die_with_parent()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character gets a question mark
    signal.signal(signal.SIGTERM, _terminate)  # verbs that have their own way to end replace it
    try:
        arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
        # Not app(arguments): that makes one exit code of every interruption.
        command = typer.main.get_command(app)
        with command.make_context("shosei", arguments) as context, shown_on(ProgressDisplay()):
            code = command.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    except (InputError, MeasurementInvalid) as error:
        code = _fail(str(error), exit_code_of_error(error))
        for line in getattr(error, "commands", ()):
            print(line, file=sys.stderr)
    except Terminated as error:  # without a word, as ever: often a process of ours that another one stops
        code = exit_code_of_error(error)
    except KeyboardInterrupt as error:
        code = _fail("interrupted", exit_code_of_error(error))
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes what is left as it ends
        code = exit_code_of_error(error)
    except OSError as error:
        wrong = as_input_error(error)
        code = _fail(str(wrong), EXIT_INPUT) if wrong else _bug()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("shosei"):
            raise
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "quickstart")
        code = _fail(f"this verb needs '{error.name}': {installing(extra)}", EXIT_INPUT)
    except Exception as error:
        usage = getattr(error, "format_message", None)  # a usage error, whichever click typer was built with
        code = _fail(usage(), EXIT_INPUT) if usage else _bug()
    _end(code if isinstance(code, int) else 0)


def _end(code: int) -> NoReturn:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # Gloo's threads may still drop the last tensors that a rank exchanged, which aborts an ending interpreter.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _terminate(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def die_with_parent() -> None:
    """If a process of ours started this one, end with it."""
    # lineage.PARENT_VARIABLE, spelt out: importing lineage loads libc, which most processes have no use for.
    if parent := os.environ.pop("SHOSEI_PARENT", ""):
        from shosei.lineage import die_with

        die_with(int(parent))


def _fail(message: str, code: int) -> int:
    print(f"shosei: {' '.join(message.split())}", file=sys.stderr)
    return code


def _bug() -> int:
    import traceback

    traceback.print_exc()
    return _fail("this is a bug of ours; please report it with the lines above", EXIT_BUG)
