"""A server as what is tuned: real processes on a server whose capacity is known."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from shosei.card.words import translated
from shosei.config import load, read_toml
from shosei.errors import InputError
from shosei.log import ProcStart, Request, Run, read_log
from shosei.profile.profile import Profile, read_profile
from shosei.serve.config import ServeConfig
from shosei.tune.serve import ServeSubject
from shosei.tune.target import Objective, read_target, shipped
from shosei.tune.trial import TrialResult
from shosei.tune.trial_folder import read_result
from shosei.wire.suite import Task, write_suite
from tune_servers import COMMAND, LOAD, SLOTS, WEIGHTS, nothing_runs
from tune_targets import target, trial


def profile(folder: Path) -> Profile:
    file = folder / "profile.toml"
    limits = {"error_rate": {"max": 0.05}}
    tables = {"name": "mock", "load": LOAD, "service_level": {"ttft_ms": 400}, "inference": limits}
    file.write_text(tomli_w.dumps(tables))
    return read_profile(str(file))


def subject(folder: Path, *words: str, space: dict[str, Any] | None = None, **serve: Any) -> ServeSubject:
    """On the mock server, or on the command ``words``."""
    command = list(words) or [*COMMAND, "--setting", "weights={weights}", "--gain", '{"weights=int4": 0.7}']
    asked = target(
        folder,
        "serve",
        objective={"figure": "inference_speed.goodput", "second": "response_time.ttft_p95"},
        space=space or {"weights": WEIGHTS},
        serve={"command": command, **serve},
    )
    return ServeSubject(asked, profile(folder))


def measured(subject: ServeSubject, folder: Path, **candidate: Any) -> TrialResult:
    return subject.measure(*trial(folder, candidate, seed=4))


def test_a_trial_is_a_run_folder_whose_goodput_is_the_servers_capacity(tmp_path: Path) -> None:
    mine, folder = subject(tmp_path, load={"header": ["X-Key: secret"]}), tmp_path / "trials" / "001"
    result = measured(mine, folder, weights="bf16")
    assert not [path for path in folder.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert result.value == pytest.approx(30, rel=0.25)  # a busy machine answers some late
    assert result.unit == "requests/s"
    assert result.limits["error_rate"] in ("pass", "unknown")
    assert result.figures["response_time.ttft_p95"] > 500  # late, as most are
    log = read_log(Run(folder).log)
    assert len(log.of(Request)) == 162
    assert [start.child for start in log.of(ProcStart)] == ["server"]
    assert {begin["load"]["seed"] for begin in [read_toml(folder / "run.toml")]} == {4}
    assert nothing_runs(str(tmp_path))
    with pytest.raises(InputError, match="objective: inference_speed has no figure 'goodputs'; did you mean 'goodput'"):
        read_result(folder, Objective(figure="inference_speed.goodputs"), profile(tmp_path))

    better = measured(mine, tmp_path / "trials" / "002", weights="int4")
    assert (better.value or 0) > 1.4 * (result.value or 0)  # e^0.7 = 2.01


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([*COMMAND, "--setting", "x={weights}", "--crash", "x=bf16"], "exit code 1: out of memory with x=bf16"),
        (["false", "{weights}", "{port}"], "the server ended with exit code 1: it said nothing"),
        ([sys.executable, "-c", "import time; time.sleep(100) # {weights} {port}"], "not ready after 1 s"),
        ([sys.executable, "-c", "pass # {weights} {port}"], "the server ended with exit code 1: it said nothing"),
    ],
)
def test_a_server_that_does_not_come_up_is_a_result(tmp_path: Path, words: list[str], reason: str) -> None:
    mine = subject(tmp_path, *words, ready_s=1.0 if "sleep" in str(words) else 60.0)
    result = measured(mine, tmp_path / "trial", weights="bf16")
    assert result.value is None
    assert re.search(reason, translated(result.reason)), result.reason
    assert nothing_runs("time.sleep(100) # bf16", str(tmp_path))


def test_a_default_that_our_own_verbs_refuse_ends_the_search_in_a_line(tmp_path: Path) -> None:
    mine = subject(tmp_path, "no-such-program", "{weights}", "{port}")
    with pytest.raises(InputError, match=r"^cannot run 'no-such-program': no such program"):
        measured(mine, tmp_path / "1", weights="bf16")
    assert "no such program" in translated(
        measured(mine, tmp_path / "2", weights="int4").reason
    )  # of another, it is a result


def test_a_server_that_is_killed_in_its_trial_is_a_result(tmp_path: Path) -> None:
    words = [*COMMAND, "--setting", "x={weights}", "--dies-after", "20"]
    result = measured(subject(tmp_path, *words), tmp_path / "trial", weights="bf16")
    assert result.limits.get("error_rate") == "missed" or result.value is None
    assert result.value is None or "missed" in result.limits.values()
    assert nothing_runs(str(tmp_path))


def test_words_and_variables_that_come_out_empty_are_left_out(tmp_path: Path) -> None:
    program = "import os, sys; sys.exit(f'{sys.argv[1:]} {os.environ.get(\"THREADS\")}')"
    space = {
        "threads": {"type": "choice", "choices": ["", "3"], "default": ""},
        "flag": {"type": "choice", "choices": ["", "--on"], "default": ""},
    }
    words = [sys.executable, "-c", program, "{flag}", "--model", "{model}"]
    variables = {"THREADS": "{threads}", "PORT": "{port}"}
    mine = subject(tmp_path, *words, space=space, model="mine", environment=variables)
    assert "['--model', 'mine'] None" in translated(measured(mine, tmp_path / "1", threads="", flag="").reason)
    assert "['--on', '--model', 'mine'] 3" in translated(
        measured(mine, tmp_path / "2", threads="3", flag="--on").reason
    )


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (["{model}", "{weights}"], {}, "serve.model is missing: name it with --set serve.model=PATH"),
        (["{slots}", "{weights}"], {}, r"serve.command: nothing says what \{slots\} is: name it in \[space.slots\]"),
        (["{weights}"], {"environment": {"A": "{a}"}}, r"serve.environment: nothing says what \{a\} is"),
        ([], {}, r"space.weights changes nothing: write \{weights\} into serve.command"),
        (["{weights}"], {"load": {"rat": 3}}, "unknown key 'serve.load.rat'; did you mean 'rate'"),
        (["{weights}"], {"comand": ["y"]}, "unknown key 'serve.comand'; did you mean 'command'"),
        (["{weights}"], {"exam": {"suite": "nope"}}, "serve.exam.suite: no file .*/nope"),
        (["{weights}"], {"exam": {"suite": [5]}}, "serve.exam.suite: no file .*/5"),
        (["{weights}"], {"load": {"suite": ["a"]}}, "serve.load.suite: Input is not a valid path"),
    ],
)
def test_wrong_settings_are_told_in_a_line(tmp_path: Path, words: list[str], more: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        subject(tmp_path, "x", "{port}", *words, **more)


def test_a_command_says_where_the_port_goes_and_no_setting_takes_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"serve.command: write \{port\} where it says on which port"):
        subject(tmp_path, "x", "--port", "7777", "{weights}")
    with pytest.raises(InputError, match=r"space.port: \{port\} has a meaning of its own"):
        subject(tmp_path, "x", "{port}", space={"port": WEIGHTS})


def test_a_setting_may_be_named_as_an_option_is(tmp_path: Path) -> None:
    mine = subject(tmp_path, "x", "--port={port}", "--max-num-seqs={max-num-seqs}", space={"max-num-seqs": SLOTS})
    [line] = mine.usable({"max-num-seqs": 32}, tmp_path)
    assert line == "x --port=8000 --max-num-seqs=32"


def test_what_no_trial_of_a_server_could_measure_is_told_before_the_first(tmp_path: Path) -> None:
    def check(profile: str | None, **objective: str) -> None:
        serve = {"command": ["x", "{port}", "{weights}"]}
        asked = target(tmp_path, "serve", objective=objective, space={"weights": WEIGHTS}, serve=serve)
        ServeSubject(asked, read_profile(profile) if profile else None)

    check(None, figure="inference_speed.tokens_per_s")
    check("chatbot", figure="inference_speed.goodput")
    with pytest.raises(InputError, match="name a profile that has one, such as --profile chatbot"):
        check(None, figure="inference_speed.goodput")  # which counts by the limits of a profile
    with pytest.raises(InputError, match="--profile pretrain says nothing of a server"):
        check("pretrain", figure="inference_speed.tokens_per_s")
    with pytest.raises(InputError, match=r"objective\.phase: a server trains nothing"):
        check("chatbot", figure="training_speed", phase="training")


def test_a_setting_that_may_change_answers_needs_a_suite(tmp_path: Path) -> None:
    space = {"weights": {**WEIGHTS, "answers": True}}
    with pytest.raises(InputError, match=r"space.weights may change what the model answers: .* serve.exam.suite=PATH"):
        subject(tmp_path, "x", "{port}", "{weights}", space=space)


def test_answers_that_become_worse_are_a_missed_limit(tmp_path: Path) -> None:
    suite = tmp_path / "suite.jsonl"
    asked = [[{"role": "user", "content": f"{number}?"}] for number in range(40)]
    tasks = [
        Task(suite="mine", id=str(n), cluster=str(n), lang="zh", messages=messages, truth="你你", grader="exact")
        for n, messages in enumerate(asked)
    ]
    write_suite(suite, tasks)
    words = [*COMMAND, "--setting", "weights={weights}", "--wrong", "weights=int4"]
    space = {"weights": {**WEIGHTS, "answers": True}}
    mine = subject(tmp_path, *words, space=space, exam={"suite": "suite.jsonl"})
    default = measured(mine, tmp_path / "trials" / "001", weights="bf16")
    worse = measured(mine, tmp_path / "trials" / "002", weights="int4")
    assert default.limits["pass_at_1"] == "pass"
    assert worse.limits["pass_at_1"] == "missed"
    again = subject(tmp_path, *words, space=space, exam={"suite": "suite.jsonl"})  # as where a search goes on
    assert measured(again, tmp_path / "trials" / "003", weights="int4").limits["pass_at_1"] == "missed"


def test_the_best_settings_are_usable_as_they_are(tmp_path: Path) -> None:
    command = ["shosei", "serve", "{model}", "--port", "{port}", "--set", "serve.context=512"]
    command += ["--set", "serve.slots={slots}", "--no-page"]
    variables = {"OMP_NUM_THREADS": "{weights}"}
    ours = subject(
        tmp_path, *command, space={"slots": SLOTS, "weights": WEIGHTS}, model="runs/a", environment=variables
    )
    [line] = ours.usable({"slots": 32, "weights": "int4"}, tmp_path)
    file = tmp_path / "best.toml"
    assert line == f"OMP_NUM_THREADS=int4 shosei serve runs/a --port 8000 --no-page --config {file}"
    assert load(ServeConfig, "serve", file) == ServeConfig.model_validate(
        {"slots": 32, "context": 512}
    )  # what is fixed was measured, too
    assert file.read_text().startswith('# [environment]\n# OMP_NUM_THREADS = "int4"\n')

    of_a_file = subject(
        tmp_path, *command, "--config", "mine.toml", "{weights}", space={"slots": SLOTS, "weights": WEIGHTS}, model="a"
    )
    [line] = of_a_file.usable({"slots": 32, "weights": "int4"}, tmp_path)  # only one file can be named
    assert line.endswith("--set serve.context=512 --set serve.slots=32 --no-page --config mine.toml int4")

    other = subject(tmp_path, "vllm", "serve", "{model}", "--port", "{port}", "{weights}", model="a b")
    [line] = other.usable({"weights": "int4"}, tmp_path)
    assert line == "vllm serve 'a b' --port 8000 int4"
    assert read_toml(tmp_path / "best.toml")["command"] == ["vllm", "serve", "a b", "--port", "8000", "int4"]


def test_every_shipped_target_of_a_server_is_whole(tmp_path: Path) -> None:
    for name in shipped("serve"):
        overrides = ["serve.model=mine", "space.weights.answers=false"] if name == "shosei-serve" else ["serve.model=m"]
        read = read_target(name, "serve", overrides)
        mine = ServeSubject(read, read_profile("chatbot"))
        assert mine.usable({key: setting.default for key, setting in read.space.items()}, tmp_path)
    assert shipped("serve") == ["llama-server", "shosei-serve", "vllm"]
