"""The command line's entry: the table of verbs, and what becomes of errors."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import typer
import typer.core
import typer.main

from shosei import __version__
from shosei.cli import (
    agents,
    alternate,
    card,
    chat,
    compare,
    data,
    engine,
    exam,
    export,
    gateway,
    importing,
    load,
    metrics,
    models,
    plan,
    quickstart,
    ratings,
    serve,
    supervise,
    train,
)
from shosei.errors import (
    EXIT_BUG,
    EXIT_INPUT,
    InputError,
    MeasurementInvalid,
    Terminated,
    as_input_error,
    exit_code,
    installing,
    nearest,
)

# package -> extra of ours
_EXTRAS = {"gguf": "gguf", "sentencepiece": "sentencepiece", "google": "sentencepiece", "pyarrow": "data"}


class _Verbs(typer.core.TyperGroup):
    """Offers the nearest verb for an unknown one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise InputError(f"unknown verb '{args[0]}'{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="shosei", cls=_Verbs, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False, help="A small language model from its parameter table to its scorecard.",
)  # fmt: skip


@app.callback(invoke_without_command=True)
def _top(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        print(__version__)
        raise typer.Exit


app.command("quickstart")(quickstart.quickstart)
app.command("models")(models.models)
app.command("plan")(plan.plan)
app.command("data")(data.data)
app.command("tokenizer")(data.tokenizer)
app.command("train")(train.train)
app.command("load")(load.load)
app.command("load-worker", hidden=True)(load.load_worker)
app.command("supervise")(supervise.supervise)
app.command("exam")(exam.exam)
app.command("gateway")(gateway.gateway)
app.command("engine", hidden=True)(engine.engine)
app.command("serve")(serve.serve)
app.command("http", hidden=True)(serve.http)
app.command("chat")(chat.chat)
app.add_typer(agents.agents, name="agents")
app.command("ratings")(ratings.ratings)
app.command("alternate")(alternate.alternate)
app.command("import")(importing.import_model)
app.command("export")(export.export)
app.command("card")(card.card)
app.command("metrics")(metrics.metrics)
app.command("compare")(compare.compare)
app.command("log")(card.log)


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
        with command.make_context("shosei", arguments) as context:
            code = command.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    except (InputError, MeasurementInvalid) as error:
        code = _fail(str(error), exit_code(error))
    except Terminated as error:  # without a word, as ever: often a process of ours that another one stops
        code = exit_code(error)
    except KeyboardInterrupt as error:
        code = _fail("interrupted", exit_code(error))
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes what is left as it ends
        code = exit_code(error)
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
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def die_with_parent() -> None:
    """If a process of ours started this one, end with it."""
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
