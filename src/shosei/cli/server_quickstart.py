"""``shosei quickstart --url``: the first hour with a server that is there already, on a team's own questions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shosei.cli.common import pairs_of, result, run_async, say
from shosei.cli.options import Given
from shosei.cli.server_check import check, show
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, EXIT_REGRESSION, InputError
from shosei.verbs import Verbs, by_step, code_of

if TYPE_CHECKING:
    from shosei.log import Run

_FORM = "question,answer\n日本の首都はどこですか。,東京"
_VERDICTS = (EXIT_OK, EXIT_REGRESSION, EXIT_INCONCLUSIVE, EXIT_INVALID)
_SIGNAL = 128  # exit codes from here on are those of signals
_SHARE = 0.5  # of what the server would answer one at a time: little waits, and its other users hardly notice
_LEAST_REQUESTS = 10  # that this share must allow; else the load is one request at a time
_RESULTS = (
    "pass_at_1",
    "f1",
    "response_time.ttft_p50",
    "response_time.p50",
    "response_time.p95",
    "inference_speed.tokens_per_s",
    "inference_speed",
    "error_rate",
)
_MISSING = {"ttft_p50": "the answers were not streamed", "tokens_per_s": "the server counts no tokens"}
_NEXT = """
What next:
  shosei exam {url} --run {out}-exam --model {model} --suite MORE.csv{exam}
      more questions: four times as many halve the interval
  shosei load {url} --run {out}-load --model {model} --suite {suite}{profile}{load}
      longer, or harder (--rate, --find-max, --help), once the server may be given it
  shosei compare {out} {out}-after{profile}
      better or worse, question by question, once the same command has run again with --out {out}-after
  shosei alternate A.toml B.toml --out {out}-both
      which of two servers is faster; docs/profiles.md has the form of such files
  shosei agents run single --base-url {url}/v1 --tasks {suite} --run {out}-agents
      a system of agents on it, also your own (docs/agents.md)
  shosei gateway --upstream {url} --run {out}-calls
      what your own clients ask of it, call by call
  shosei supervise --run {out}-own --phase inference -- COMMAND
      memory, GPU, crashes and restarts, where you start the server yourself"""


def measure(
    url: str,
    questions: Path | None,
    out: Path,
    columns: Sequence[str],
    model: str | None,
    profile: str | None,
    seed: int,
    overrides: Sequence[str],
    as_json: bool,
) -> int:
    """Check the server and the questions; then a load, an exam and the card. After an interruption it goes on.

    The load comes first: an exam that was broken off can go on, a load cannot.
    """
    from shosei.exam import ExamConfig
    from shosei.exam.benchmarks import Schema, read_benchmarks, unused_columns
    from shosei.files import sha256
    from shosei.load import LoadConfig
    from shosei.log import open_run
    from shosei.wire.endpoint import Endpoint
    from shosei.wire.suite import write_suite

    if questions is None:
        say(_FORM)
        raise InputError(
            "--questions FILE is missing: a table of questions (CSV, TSV, JSON Lines), such as these lines"
        )
    endpoint, settings = Endpoint.of(url), by_step(overrides, {"load": LoadConfig, "exam": ExamConfig})
    url = endpoint.base_url + endpoint.query
    exam = Given("exam", {"model": model} if model else {}, None, settings["exam"][1::2]).load(ExamConfig)
    usage = Given("load", {}, None, settings["load"][1::2]).load(LoadConfig).usage
    schema = Schema(columns=pairs_of("--map", columns))
    tasks = read_benchmarks(questions, schema=schema)
    run, suite = open_run(out, must_exist=False), out / "questions.jsonl"
    show(questions, tasks, unused_columns(questions, schema) if questions.is_file() else [])
    model, answer_s, streams = run_async(check(url, exam, tasks, usage=usage))
    pace = [*_pace(answer_s, profile, settings["load"]), *([] if streams else ["--no-stream"])]
    say(f"exam        {exam.samples * len(tasks)} questions, {exam.concurrency} at a time")
    write_suite(suite, tasks)
    config, hashes = {"url": url, "model": model, "set": list(overrides)}, {"questions": sha256(suite)}
    goes_on = _goes_on(run, config, hashes)
    asked = (url, "--run", str(out), "--model", model, "--suite", str(suite))
    judged = ("--profile", profile) if profile else ()

    def steps(verbs: Verbs) -> None:
        if goes_on:
            say("\nthe load has been measured; the exam goes on")
        else:
            verbs.run("load", "load", *asked, *pace, "--seed", str(seed), *judged, *settings["load"])
        verbs.run("exam", "exam", *asked, *settings["exam"])

    with run.recording("quickstart", new_attempt=not goes_on, config=config, hashes=hashes) as record:
        verbs = Verbs(record.writer.attempt)
        try:
            record.exit_code = code_of(lambda: steps(verbs))
        except KeyboardInterrupt:
            say("\nbroken off: the same command goes on with the exam, or starts again with the load")
            raise
    code = record.exit_code or code_of(lambda: verbs.run("card", "card", str(out), *judged, fine=_VERDICTS))
    if code:
        say(f"what was measured until then is in {out}; the same command measures again")
        return code
    results, lines = _results(run)
    words = {"url": [url], "out": [str(out)], "model": [model], "suite": [str(suite)]}
    options = {"profile": judged, **settings}
    quoted = {name: shlex.join(each) for name, each in words.items()}
    quoted |= {name: f" {shlex.join(each)}".rstrip() for name, each in options.items()}
    lines.append(_NEXT.format(**quoted))
    result({"run": str(out), "model": model, "results": results}, lines, as_json=as_json)
    return EXIT_OK


def _pace(answer_s: float, profile: str | None, settings: Sequence[str]) -> list[str]:
    """Options of a load that is safe to offer: the profile's rate, or less. It is said before it begins."""
    from shosei.load import LoadConfig
    from shosei.profile.profile import read_profile

    defaults = read_profile(profile).load_settings() if profile else {}
    usual = LoadConfig.model_validate(defaults)
    rate = float(f"{min(usual.rate, _SHARE / answer_s):.2g}")
    flags: dict[str, Any] = {"rate": rate}
    if usual.arrival == "closed" or rate * usual.seconds < _LEAST_REQUESTS:
        flags = {"arrival": "closed", "concurrency": 1}
    load = Given("load", flags, None, settings[1::2]).load(LoadConfig, defaults)
    pace = f"{load.concurrency} at a time" if load.arrival == "closed" else f"{load.rate:g} a second"
    say(f"load        requests {pace} for {load.seconds:g} s, since an answer took {answer_s:.2g} s")
    return [word for flag, value in flags.items() for word in (f"--{flag}", str(value).removesuffix(".0"))]


def _goes_on(run: Run, config: dict[str, Any], hashes: dict[str, str]) -> bool:
    """Whether the last attempt asked the same and was broken off after its load."""
    from shosei.log import RunBegin, RunEnd, attempts, read_log

    if not (run.log.is_dir() and attempts(run.log)):
        return False
    log = read_log(run.log)
    begins = [(begin.config, begin.hashes) for begin in log.of(RunBegin) if begin.verb == "quickstart"]
    ends = [(end.verb, end.exit_code) for end in log.of(RunEnd)]
    is_unfinished = all(code >= _SIGNAL for verb, code in ends if verb == "exam")
    return (config, hashes) in begins and ("load", EXIT_OK) in ends and is_unfinished


def _results(run: Run) -> tuple[dict[str, Any], list[str]]:
    """The first numbers of the card, and one screen of them; what is not measured, and why."""
    from shosei.quantity import shown

    card = json.loads((run.folder / "card.json").read_bytes())
    cells = {cell["id"]: cell for cell in card["metrics"] if cell["phase"] == "inference"}
    results: dict[str, Any] = {}
    lines, reasons = [""], dict[str, list[str]]()
    for key in _RESULTS:
        id, _, name = key.partition(".")
        figure = cells[id]["figures"].get(name, {"value": None}) if name else cells[id]
        results[key] = {"value": figure["value"], "ci": figure.get("ci"), "n": cells[id]["n"]}
        if figure["value"] is not None:
            number = shown(figure["value"], figure["unit"], figure["ci"])
            lines.append(f"{key:30}{number} {number.interval} n={cells[id]['n']}")
        elif cells[id]["value"] is not None:
            lines.append(f"{key:30}not measured: {_MISSING.get(name, 'too few requests')}")
    for cell in cells.values():
        if cell["status"] != "ok" and cell["id"] != "training_speed":  # which is a pass through the questions here
            reasons.setdefault(f"{cell['status']}: {cell['reason']}", []).append(cell["id"])
    for judgement in card["judgements"]:
        name = f"{judgement['id']}.{judgement['figure']}".rstrip(".")
        reasons.setdefault(f"{judgement['outcome']} for profile {card['profile']}", []).append(name)
    lines += ["", *(f"{', '.join(ids)} {reason.replace('_', ' ', 1)}" for reason, ids in reasons.items()), ""]
    lines.append(
        f"The scorecard is {run.folder / 'card.html'}; answers with grades are in {run.folder / 'items.jsonl'}"
    )
    return results, lines
