"""When requests are due, and what they ask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from shosei.errors import InputError
from shosei.load import LoadConfig
from shosei.load.conversations import Conversations
from shosei.load.prompts import generate, prompts_of
from shosei.load.schedule import arrivals, poisson, ramp


def test_constant_arrivals_are_evenly_spaced() -> None:
    due = arrivals(LoadConfig(arrival="constant", rate=4, warmup_s=1, seconds=2))
    assert due.tolist() == [number / 4 for number in range(12)]


@pytest.mark.parametrize(("rate", "rate_to"), [(10.0, 90.0), (90.0, 10.0), (50.0, 50.0)])
def test_a_ramp_is_a_poisson_process_of_changing_rate(rate: float, rate_to: float) -> None:
    warmup_s, seconds = 20.0, 100.0
    due = ramp(rate, rate_to, warmup_s, seconds, seed=5)

    def expected(moment: np.ndarray) -> np.ndarray:
        within = np.maximum(0, moment - warmup_s)
        return rate * np.minimum(moment, warmup_s) + rate * within + (rate_to - rate) * within**2 / (2 * seconds)

    total = float(expected(np.array(warmup_s + seconds)))
    assert abs(len(due) - total) < 4 * np.sqrt(total)
    assert (np.diff(due) >= 0).all()
    assert 0 <= due[0] <= due[-1] < warmup_s + seconds
    # Where the expected count is the clock, the process is an ordinary one.
    assert stats.kstest(expected(due) / total, stats.uniform.cdf).pvalue > 0.01
    assert (ramp(rate, rate_to, warmup_s, seconds, seed=5) == due).all()


def test_a_trace_is_seconds_or_objects_from_its_earliest_on(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text('1700000000.5\n\n{"at": 1700000000.25, "user": "a"}\n1700000002\n1700000099\n')
    config = LoadConfig(arrival="trace", trace=trace, warmup_s=0, seconds=3)
    assert arrivals(config).tolist() == [0.0, 0.25, 1.75]
    for text, message in (("x\n", r"trace\.jsonl:1: not an arrival"), ("\n", "holds no arrivals")):
        trace.write_text(text)
        with pytest.raises(InputError, match=message):
            arrivals(config)
    with pytest.raises(InputError, match="cannot read"):
        arrivals(LoadConfig(arrival="trace", trace=tmp_path / "none"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arrival": "closed"}, "needs load.concurrency"),
        ({"arrival": "ramp"}, "load.rate_to"),
        ({"rate_to": 3}, "load.rate_to"),
        ({"arrival": "trace"}, "load.trace"),
        ({"workers": 3, "concurrency": 2}, "each needs a place"),
        ({"prompt_characters": 3, "suite": "x"}, "not both"),
        ({"find_max": True, "arrival": "closed", "concurrency": 1}, "find_max"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LoadConfig(**settings)


def test_the_workers_together_draw_what_one_would() -> None:
    due = poisson(30, 10, seed=2)
    assert sorted(np.concatenate([due[worker::3] for worker in range(3)])) == due.tolist()
    config = LoadConfig(prompt_characters=40, seed=2)
    whole, shared = (Conversations(config, prompts_of(config)) for _ in range(2))
    assert [whole.take(number).body for number in range(9)] == [shared.take(number).body for number in range(9)]


def test_generated_prompts_have_their_length_and_begin_apart() -> None:
    prompts = generate(500, seed=1)
    texts = [message["content"] for (message,) in prompts]
    assert {len(text) for text in texts} == {500}
    assert len({text[:20] for text in texts}) == len(texts)
    assert sum("。" in text and any("぀" <= character <= "ヿ" for character in text) for text in texts) == 128
    assert generate(500, seed=1) == prompts != generate(500, seed=2)


def test_a_conversation_goes_on_with_its_answers_until_it_is_long() -> None:
    config = LoadConfig(continue_share=1.0, max_turns=3, model="m")
    prompts = [
        [{"role": "system", "content": "短く"}, {"role": "user", "content": f"問{number}"}] for number in range(5)
    ]
    conversations = Conversations(config, prompts)
    lengths = []
    for number in range(7):
        conversation = conversations.take(number)
        messages = json.loads(conversation.body)["messages"]
        assert messages == conversation.messages
        roles = [message["role"] for message in messages]
        assert roles == ["system", "user", *["assistant", "user"] * (len(roles) // 2 - 1)]
        lengths.append(roles.count("user"))
        conversations.answered(conversation, f"答{number}")
        if roles.count("user") > 1:
            assert messages[-2] == {"role": "assistant", "content": f"答{number - 1}"}
    assert lengths == [1, 2, 3, 1, 2, 3, 1]


def test_the_share_that_continues_is_as_asked() -> None:
    config = LoadConfig(continue_share=0.3, max_turns=2)
    conversations = Conversations(config, [[{"role": "user", "content": "問"}]])
    continued = 0
    for number in range(3000):
        conversation = conversations.take(number)
        continued += len(conversation.messages) > 1
        conversations.answered(conversation, "答")
    assert abs(continued / 3000 - 0.3) < 0.04
