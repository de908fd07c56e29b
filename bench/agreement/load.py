"""A load of ``shosei load`` beside one of AIPerf: the same questions, at the same constant rate, to the same server."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import load_peers
from tokenizers import Tokenizer, models, pre_tokenizers

from agreement.runs import Card, output, peer_environment, served, shosei, truth_of, write_lines
from agreement.server import THINKING, WORDS
from agreement.table import Comparison, Row

PEER = "AIPerf"
REQUESTS, RATE = 320, 10  # a 99th percentile needs 299 successes, and one in 16 fails
SECONDS = REQUESTS / RATE
CASES = {"streamed": "mock", "thinking": THINKING}
PERCENTS = (50, 90, 99)
Chat = dict[str, Any]  # what the server says of one


@dataclass(frozen=True)
class Time:
    """A time of an answer: as the card's row and AIPerf's metric name it, and in seconds what it was."""

    name: str
    ours: str
    peers: str
    true_s: Callable[[Chat], float]


FIRST_ANSWER_TOKEN = Time(
    "first answer token",
    "time to first answer token, after thoughts",
    "time_to_first_output_token",
    lambda chat: chat["token_s"][chat["thoughts"]] - chat["received_s"],
)
TIMES = (
    Time(
        "first token",
        "time to first token",
        "time_to_first_token",
        lambda chat: chat["token_s"][0] - chat["received_s"],
    ),
    Time(
        "inter-token",
        "time per output token after the first",
        "inter_token_latency",
        lambda chat: (chat["token_s"][-1] - chat["token_s"][0]) / (len(chat["token_s"]) - 1),
    ),
    Time("response", "response", "request_latency", lambda chat: chat["end_s"] - chat["received_s"]),
    Time("response, last byte", "response", "http_req_total", lambda chat: chat["end_s"] - chat["received_s"]),
)


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
    times = [*TIMES, FIRST_ANSWER_TOKEN] if model == THINKING else TIMES
    return [
        *(row for time in times for row in _time_rows(case, time, card, theirs, truth)),
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
    output([str(command), *arguments.split()], env=peer_environment(HF_HUB_CACHE=str(hub), HF_HUB_OFFLINE="1"))
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


def _time_rows(case: str, time: Time, card: Card, theirs: dict[str, Any], truth: Sequence[Chat]) -> list[Row]:
    values = sorted(time.true_s(chat) * 1e3 for chat in _answered(truth))
    true = {"mean": statistics.fmean(values)} | {f"p{percent}": _nearest_rank(values, percent) for percent in PERCENTS}
    lacking = f"this Shosei's card has no {time.ours}" if time is FIRST_ANSWER_TOKEN else ""
    rows = []
    for figure, value in true.items():
        ours = card.cell("response_time", "experience.latency", time.ours, figure)
        peers = theirs[time.peers]["avg" if figure == "mean" else figure]
        rows.append(Row(case, f"{time.name}, {figure}", ours, peers, value, "ms", lacking))
    return rows


def _rate_rows(case: str, card: Card, theirs: dict[str, Any], truth: Sequence[Chat]) -> list[Row]:
    begin = min(chat["received_s"] for chat in truth)
    in_time = [chat for chat in _answered(truth) if chat["end_s"] < begin + SECONDS]
    tokens = sum(len(chat["token_s"]) for chat in in_time)
    rate, token_rate = card.value("inference_speed"), card.figure("inference_speed", "tokens_per_s")
    errors = card.cell("error_rate", "reliability.parts", "all, final state", "errors")
    failed = len(truth) - len(_answered(truth))
    return [
        Row(case, "requests a second", rate, theirs["request_throughput"]["avg"], len(in_time) / SECONDS),
        Row(case, "output tokens a second", token_rate, theirs["output_token_throughput"]["avg"], tokens / SECONDS),
        Row(case, "errors", errors, theirs["error_request_count"]["avg"], failed),
    ]


def _answered(truth: Sequence[Chat]) -> list[Chat]:
    return [chat for chat in truth if chat["token_s"]]


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1]
