"""A load of ``shosei load`` beside one of AIPerf: the same questions, at the same constant rate, to the same server."""

from __future__ import annotations

import json
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import load_peers
from tokenizers import Tokenizer, models, pre_tokenizers

from agreement.runs import Card, output, served, shosei, truth_of, write_lines
from agreement.server import THINKING, WORDS
from agreement.table import Comparison, Row

PEER = "AIPerf"
REQUESTS, RATE = 320, 10  # a 99th percentile needs 299 successes, and one in 16 fails
SECONDS = REQUESTS / RATE
CASES = {"streamed": "mock", "thinking": THINKING}
PERCENTS = (50, 90, 99)
# Each time, as the card's row and AIPerf's metric name it.
TIMES = {
    "first token": ("time to first token", "time_to_first_token"),
    "first answer token": ("time to first answer token", "time_to_first_output_token"),
    "inter-token": ("time per output token after the first", "inter_token_latency"),
    "response": ("response", "request_latency"),
    "response, last byte": ("response", "http_req_total"),
}
Truth = list[dict[str, Any]]


def compare(peers: Path) -> Comparison:
    command = peers / "aiperf" / "bin" / "aiperf"
    if not command.exists():
        return Comparison(
            PEER, not_measured=f"no {command}: python -m venv {peers}/aiperf, then its pip install aiperf"
        )
    return Comparison(PEER, [row for case, model in CASES.items() for row in _rows(case, model, command)])


def _rows(case: str, model: str, command: Path) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        with served() as url:
            card, truth = _ours(url, model, Path(folder)), truth_of(url)
        with served() as url:
            theirs, their_truth = _aiperf(url, model, command, Path(folder)), truth_of(url)
    asked = [sorted(chat["number"] for chat in each) for each in (truth, their_truth)]
    if not asked[0] == asked[1] == list(range(REQUESTS)):
        raise SystemExit(f"{case}: each client should ask each of {REQUESTS} questions once; not so: {asked}")
    times = [name for name in TIMES if model == THINKING or name != "first answer token"]
    return [
        *(row for name in times for row in _time_rows(case, name, card, theirs, truth)),
        *_rate_rows(case, card, theirs, truth),
    ]


def _ours(url: str, model: str, folder: Path) -> Card:
    questions = [{"messages": [{"role": "user", "content": _question(number)}]} for number in range(REQUESTS)]
    suite = write_lines(folder / "suite.jsonl", questions)
    timing = ["--rate", str(RATE), "--arrival", "constant", "--seconds", str(SECONDS), "--set", "load.warmup_s=0"]
    shosei("load", url, "--run", str(folder / "run"), "--suite", str(suite), "--model", model, *timing)
    return Card(folder / "run")


def _aiperf(url: str, model: str, command: Path, folder: Path) -> dict[str, Any]:
    """Its summary. It counts tokens by itself, with a tokenizer that knows the server's words."""
    prompts = write_lines(folder / "prompts.jsonl", [{"text": _question(number)} for number in range(REQUESTS)])
    arguments = (
        f"profile --url {url} --endpoint-type chat --model {model} --streaming --tokenizer {load_peers.TOKENIZER}"
        f" --input-file {prompts} --custom-dataset-type single_turn --dataset-sampling-strategy sequential"
        f" --request-rate {RATE} --arrival-pattern constant --request-count {REQUESTS}"
        f" --artifact-dir {folder}/out --ui none"
    )
    hub = load_peers.hub_cache(folder / "hub", _tokenizer(folder / "tokenizer"))
    output([str(command), *arguments.split()], env=os.environ | {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"})
    return dict(json.loads((folder / "out" / "profile_export_aiperf.json").read_text()))


def _question(number: int) -> str:
    return f"Say something, please. #{number}"


def _tokenizer(folder: Path) -> Path:
    """A folder with a tokenizer to which each of the server's words is a token."""
    words = ["?", *(f"word{number}" for number in range(WORDS))]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "?"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _time_rows(case: str, name: str, card: Card, theirs: dict[str, Any], truth: Truth) -> list[Row]:
    ours_name, their_name = TIMES[name]
    times = sorted(TRUE_MS[name](chat) for chat in _answered(truth))
    true = {"mean": statistics.fmean(times)} | {f"p{percent}": _nearest_rank(times, percent) for percent in PERCENTS}
    return [
        Row(
            case,
            f"{name}, {figure}",
            card.cell("response_time", "experience.latency", ours_name, figure),
            theirs[their_name]["avg" if figure == "mean" else figure],
            value,
            "ms",
        )
        for figure, value in true.items()
    ]


def _rate_rows(case: str, card: Card, theirs: dict[str, Any], truth: Truth) -> list[Row]:
    begin = min(chat["received_s"] for chat in truth)
    in_time = [chat for chat in _answered(truth) if chat["end_s"] < begin + SECONDS]
    tokens = sum(len(chat["token_s"]) for chat in in_time)
    errors = card.cell("error_rate", "reliability.parts", "all, final state", "errors")
    return [
        Row(
            case,
            "requests a second",
            card.value("inference_speed"),
            theirs["request_throughput"]["avg"],
            len(in_time) / SECONDS,
        ),
        Row(
            case,
            "output tokens a second",
            card.figure("inference_speed", "tokens_per_s"),
            theirs["output_token_throughput"]["avg"],
            tokens / SECONDS,
        ),
        Row(case, "errors", errors, theirs["error_request_count"]["avg"], len(truth) - len(_answered(truth))),
    ]


def _answered(truth: Truth) -> Truth:
    return [chat for chat in truth if chat["token_s"]]


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1]


TRUE_MS: dict[str, Callable[[dict[str, Any]], float]] = {
    "first token": lambda chat: (chat["token_s"][0] - chat["received_s"]) * 1e3,
    "first answer token": lambda chat: (chat["token_s"][chat["thoughts"]] - chat["received_s"]) * 1e3,
    "inter-token": lambda chat: (chat["token_s"][-1] - chat["token_s"][0]) / (len(chat["token_s"]) - 1) * 1e3,
    "response": lambda chat: (chat["end_s"] - chat["received_s"]) * 1e3,
    "response, last byte": lambda chat: (chat["end_s"] - chat["received_s"]) * 1e3,
}
