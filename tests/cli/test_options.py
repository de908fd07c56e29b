"""A verb's options are its configuration's fields: each is in the help, and each can be given as a flag."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydantic import TypeAdapter

from shosei.cli.main import app
from shosei.cli.options import Given
from shosei.config import Config
from shosei.data import DataConfig, TokenizerConfig
from shosei.exam import ExamConfig
from shosei.exam.judging.config import JudgeConfig
from shosei.gateway import GatewayConfig
from shosei.load import LoadConfig
from shosei.serve.config import ServeConfig
from shosei.systems.config import AgentsConfig
from shosei.train import TrainConfig
from verb import Shosei

COMMAND: Any = typer.main.get_command(app)
URL = "http://127.0.0.1:9"
AGENTS = ["agents", "run", "single", "--tasks", "none", "--base-url", URL]
VERBS: dict[str, tuple[list[str], type[Config]]] = {
    "data": (["data"], DataConfig),
    "tokenizer": (["tokenizer"], TokenizerConfig),
    "train": (["train"], TrainConfig),
    "serve": (["serve", "none"], ServeConfig),
    "load": (["load", URL], LoadConfig),
    "exam": (["exam", URL, "--suite", "none"], ExamConfig),
    "judge": (["judge", "none", "--judge-url", URL], JudgeConfig),
    "gateway": (["gateway", "--upstream", URL], GatewayConfig),
    "agents": (AGENTS, AgentsConfig),
}
FIELDS = [(verb, field) for verb, (_, kind) in VERBS.items() for field in kind.model_fields]
PANELS = {
    "Begin": "quickstart",
    "Build": "models plan data tokenizer train import export",
    "Serve": "serve chat key",
    "Measure": "load exam judge gateway supervise alternate bench ratings agents",
    "Improve": "tune",
    "Judge": "card compare metrics log",
}

FLAGS = {
    "delay_s": "--delay",
    "key_variable": "--upstream-key-env",
    "packages": "--package",
    "stall_s": "--stall-timeout",
}
# What is typed after a field's flag, and the value that it has then. A name may look like a number.
VALUES: dict[str, tuple[str, Any]] = {
    "held_out": ("0.1", 0.1),
    "validation": ("0.1", 0.1),
    "held_out_phrasings": ("0.1", 0.1),
    "betas": ("0.8 0.9", (0.8, 0.9)),
    "optimizer": ("adamw", "adamw"),
    "too_long": ("split", "split"),
    "log": ("json", "json"),
    "body_limit": ("4096", 4096),
    "body_memory": ("99999999", 99999999),
    "weights": ("int4", "int4"),
    "feedback_keys": ("2026", Path("2026")),
    "rating_form": ("2026", Path("2026")),
    "dtype": ("float32", "float32"),
    "arrival": ("constant", "constant"),
    "max_tokens_field": ("max_completion_tokens", "max_completion_tokens"),
    "prompting": ("completion", "completion"),
    "grader_sandbox": ("bubblewrap", "bubblewrap"),
    "sandbox": ("none", "none"),
    "inject": ("429=0.1 --inject cut=0.2", ["429=0.1", "cut=0.2"]),
    "memory_bytes": ("99999999", 99_999_999),
    "trace": ("2026", Path("2026")),
    "suite": ("2026", Path("2026")),
    "api_keys": ("2026", Path("2026")),
    "allow_host": ("gpu1 --allow-host gpu2", ["gpu1", "gpu2"]),
    "allow_origin": ("http://a --allow-origin *", ["http://a", "*"]),
    "record": ("2026", Path("2026")),
    "settings": ("2026", Path("2026")),
    "replay": ("2026", Path("2026")),
    "rate_to": ("5e-1", 0.5),
    "stream": ("", False),
    "extra_body": ('{"top_k":5}', {"top_k": 5}),
    "packages": ("scipy --package numpy", ["scipy", "numpy"]),
    "header": ("X-Team:nlp --header X-Desk:3", ["X-Team:nlp", "X-Desk:3"]),
}


def flag_of(field: str) -> str:
    return FLAGS.get(field, f"--{field}".replace("_", "-"))


def values_of(verb: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the configuration is made from, before it is checked."""
    monkeypatch.setattr("shosei.config.validate", lambda kind, values, section: values)
    arguments, kind = VERBS[verb]
    command: Any = COMMAND
    for name in arguments[: 2 if verb == "agents" else 1]:
        command = command.commands[name]
    rest = arguments[2 if verb == "agents" else 1 :]
    with command.make_context(verb, [*rest, *words]) as context:
        assert isinstance(context.obj, Given)
        values: Any = context.obj.load(kind)
    return dict(values)


@pytest.mark.parametrize(("verb", "field"), FIELDS)
def test_every_field_is_set_by_its_flag(verb: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    info = VERBS[verb][1].model_fields[field]
    flag, default = flag_of(field), info.default
    if isinstance(default, bool):
        words, value = [flag.replace("--", "--no-", 1) if default else flag], not default
    elif field in VALUES:
        words, value = [flag, *VALUES[field][0].split()], VALUES[field][1]
    elif isinstance(default, float) or field == "rate":
        words, value = [flag, "0.5"], 0.5
    else:
        words, value = [flag, "7"], "7" if isinstance(default, str) else 7
    by_itself = values_of(verb, [], monkeypatch)
    values = values_of(verb, words, monkeypatch)
    assert values.keys() - by_itself.keys() <= {field}
    assert TypeAdapter(Annotated[info.annotation, info]).validate_python(values[field]) == value != default


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_has_every_field_with_its_description_and_its_default(verb: str, shosei: Shosei) -> None:
    arguments, kind = VERBS[verb]
    code, out, _ = shosei(*arguments, "--help")
    assert code == 0
    for field, info in kind.model_fields.items():
        assert f" {flag_of(field)} " in out, field
        told = "".join(out.partition(f" {flag_of(field)} ")[2].split())
        _, description, rest = told.partition("".join(f"{info.description}".split()) + "[default:")
        assert description, field
        default = next(iter(re.findall(r"^(none|true|false|[\d.]+|\".*?\"|\[.*?\]|\{.*?\})(?:;[^]]*)?\]", rest)), "")
        assert (default == "none") == (info.default is None), field
        assert default == "none" or json.loads(default) == TypeAdapter(object).dump_python(info.default, mode="json")


def test_the_help_tells_limits(shosei: Shosei) -> None:
    told = {verb: "".join(shosei(verb, "--help")[1].split()) for verb in ("train", "exam")}
    assert "[default:0.0013;x>0]" in told["train"]
    assert "[default:[0.9,0.95];x>=0;x<1]" in told["train"]
    assert "[default:536870912;x>=67108864]" in told["exam"]


@pytest.mark.parametrize(
    ("verb", "words", "told"),
    [
        ("load", ["--set", "load.rte=3"], "unknown key 'load.rte'; did you mean 'rate'?"),
        ("train", ["--set", "train.epoch=3"], "unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("exam", ["--set", "load.rate=3"], "this command reads section 'exam', not 'load'"),
        ("gateway", ["--set", "gateway.call=3"], "unknown key 'gateway.call'; did you mean 'calls'?"),
        ("agents", ["--set", "agents.sample=3"], "unknown key 'agents.sample'; did you mean 'samples'?"),
        ("load", ["--rate", "0"], "load.rate: Input should be greater than 0"),
        ("load", ["--rate", "fast"], "--rate"),
        ("load", ["--arrival", "never"], "--arrival"),
        ("gateway", ["--port", "70000"], "gateway.port: Input should be less than or equal to 65535"),
        ("serve", ["--set", "serve.slot=8"], "unknown key 'serve.slot'; did you mean 'slots'?"),
        ("serve", ["--weights", "int5"], "--weights"),
        ("train", ["--betas", "0.9", "1"], "train.betas.1: Input should be less than 1"),
        ("exam", ["--shot", "3"], "--shots"),
        ("exam", ["--seed", "1", "--limit", "3", "--seed=2"], "--seed is given 2 times"),
        ("load", ["--suite", "a", "--suite", "b"], "--suite is given 2 times"),
        ("gateway", ["--upstream", URL], "--upstream is given 2 times"),
        ("data", ["--suite-tasks", "0"], "data.suite_tasks: Input should be greater than or equal to 1"),
        ("data", ["--text", "a.txt", "--sums", "5"], "--sums is for generated questions"),
        ("data", ["--text", "a.txt", "--held-out", "0.5"], "text.held_out: Input should be less than 0.5"),
        ("tokenizer", ["--vocab-sise", "5"], "--vocab-size"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    verb: str, words: list[str], told: str, tmp_path: Path, shosei: Shosei
) -> None:
    (tmp_path / "log").mkdir()
    code, _, errors = shosei(*VERBS[verb][0], "--run", tmp_path, *words)
    assert (code, errors.count("\n")) == (2, 1)
    assert told in errors


def test_set_wins_over_a_flag_and_a_flag_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "all.toml"
    file.write_text('[gateway]\nhost = "of the file"\ncalls = 1\nport = 1\nseed = 1\n', encoding="utf-8")
    words = ["--config", str(file), "--calls", "2", "--port", "2", "--set", "gateway.port=3"]
    values = values_of("gateway", words, monkeypatch)
    assert values == {"host": "of the file", "seed": 1, "calls": 2, "port": 3}


def test_another_process_is_told_the_same() -> None:
    flags = {"preset": '二"\n', "betas": (0.8, 0.9), "matrix_lr": 1e-05}
    given = Given("train", flags, None, ["train.epochs=9"])
    again = Given("train", {}, None, given.words()[1::2])
    assert given.words()[::2] == ["--set"] * 4
    settings = again.load(TrainConfig)
    assert settings == given.load(TrainConfig) == TrainConfig.model_validate({**flags, "epochs": 9})


@pytest.mark.parametrize("columns", [80, 100])
def test_verbs_are_grouped_and_their_descriptions_whole(
    columns: int, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = shosei("--help")
    panels = {block.partition(":")[0]: block for block in out.split("\n\n")}
    commands: dict[str, Any] = COMMAND.commands
    assert max(map(len, out.splitlines())) <= columns
    for panel, names in PANELS.items():
        listed = [line.split()[0] for line in panels[panel].splitlines()[1:] if line[2] != " "]
        assert listed == names.split()
        for name in listed:
            sentence = commands[name].help.partition("\n\n")[0].partition(". ")[0].rstrip(".")
            assert "".join(sentence.split()) in "".join(panels[panel].split())
    assert sum(not command.hidden for command in commands.values()) == sum(len(p.split()) for p in PANELS.values())


@pytest.mark.parametrize("verb", ["train", "data", "tokenizer"])
def test_the_help_of_the_build_verbs_needs_no_package_of_an_extra(verb: str) -> None:
    code = f"""
import sys
EXTRAS = {{"torch", "tokenizers", "babel", "numpy", "scipy", "rich"}}
from shosei.cli.main import main
try:
    main(["{verb}", "--help"])
except SystemExit as end:
    print(sorted(EXTRAS & set(sys.modules)), end.code, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] 0"
