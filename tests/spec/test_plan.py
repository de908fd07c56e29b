"""Plans, devices and the solver: figures worked out by hand, and the properties that a plan must have."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.cli.planned import on_paper
from shosei.errors import InputError
from shosei.quantity import parse_bytes, parse_count, shown_bytes, shown_count, shown_seconds
from shosei.spec import PRESETS, preset
from shosei.spec.device import DEVICES, parse_devices
from shosei.spec.generation import (
    WeightFormat,
    block_bytes,
    cache_blocks,
    decode_seconds,
    generation_memory,
    slot_context,
)
from shosei.spec.plan import compute_optimal_tokens, plan
from shosei.spec.solve import FREE, CostLimit, solve
from shosei.spec.training import TrainingStep, optimizer_bytes, train_flops, training_memory, update_flops
from verb import Shosei

STEPS = st.builds(
    TrainingStep,
    st.integers(1, 64),
    st.integers(1, 4096),
    st.sampled_from(["muon", "adamw"]),
    st.sampled_from(["bf16", "fp32"]),
    st.booleans(),
    st.sampled_from([1, 2, 8]),
)


@pytest.mark.parametrize(
    ("name", "adamw", "muon", "budget", "hours"),
    [
        ("internlm-tiny", 9.28, 8.01, 11.6, 2.9),
        ("internlm-large", 197.2, 152.1, 246.5, 66 * 24),
        ("ja-small", 1.82, 1.46, 2.27, 0.14),
        ("ja-large", 12.56, 9.62, 15.7, 6.65),
    ],
)
def test_state_budget_and_hours_of_the_published_models(
    name: str, adamw: float, muon: float, budget: float, hours: float
) -> None:
    """Weights, gradients and state: 16 bytes a parameter with AdamW, 12 a matrix and 16 elsewhere with Muon; 20 tokens
    a parameter; 8 H100 at 40 % of 989 TFLOP/s."""
    spec = preset(name)
    state = {kind: (8 * spec.params + optimizer_bytes(spec, kind)) / 1e9 for kind in ("adamw", "muon")}  # type: ignore[arg-type]
    assert state == {"adamw": pytest.approx(adamw, rel=2e-3), "muon": pytest.approx(muon, rel=2e-3)}
    assert compute_optimal_tokens(spec) / 1e9 == pytest.approx(budget, rel=2e-3)
    step = TrainingStep(1, spec.context_length, "adamw", ranks=8)
    found = plan(spec, step, DEVICES["H100"], compute_optimal_tokens(spec))
    assert found.epoch_seconds / 3600 == pytest.approx(hours, rel=0.03)


def test_a_step_of_one_matrix_each_by_hand() -> None:
    """Width 2, one layer, one head of 2, feed-forward 3, 4 rows, untied; 5 tokens in float32."""
    spec = replace(
        preset("nano"),
        d_model=2,
        n_layers=1,
        n_heads=1,
        n_kv_heads=1,
        head_dim=2,
        intermediate_size=3,
        vocab_size=4,
        tied=False,
    )
    memory = training_memory(spec, TrainingStep(1, 5, precision="fp32"))
    matrices, tables, norms = 4 * 4 + 3 * 6, 2 * 8, 3 * 2
    assert memory.weights == memory.gradients == 4 * (matrices + tables + norms)
    assert memory.optimizer == 4 * matrices + 8 * (tables + norms)
    norm, ends = 2 * 4 * 2 + 4, 16
    attention, feed_forward = 4 * (2 + 4 * 2) + 4, 4 * (2 + 4 * 3)
    assert memory.activations == 5 * (2 * norm + attention + feed_forward + norm + ends)
    assert memory.copies == 0
    assert memory.loss == 4 * 8 + 2 * 4 * 5 * 2 + 8 * 5 * 4
    assert memory.peak == max(memory.moments.values())
    assert update_flops(spec) == 5 * (4 * (4 * 8 + 2 * 8) + 3 * (4 * 4 * 3 + 2 * 8))


def test_generation_and_decoding_by_hand() -> None:
    tiny = preset("internlm-tiny")
    memory = generation_memory(tiny, 2, 1000)
    assert memory.weights == 2 * 580_019_200
    assert memory.cache == 2 * 1024 * 6144  # in whole blocks of 32 tokens
    assert generation_memory(tiny, 2, 1000, value_bytes=4).cache == 2 * memory.cache  # as float32 is served
    assert memory.peak == 2 * (580_019_200 + 128_064 * 1024)  # as the head is packed; a prefill takes less
    read = 2 * (317_744_128 - 25 * 1024 + 128_064 * 1024)  # every matrix, the head's too, and no norm
    assert decode_seconds(tiny, 100, 1e9, streams=3) == pytest.approx((read + 300 * 6144) / 1e9)
    assert tiny.decode_flops_per_token(100) == read + 4 * 12 * 4 * 128 * 100
    ja = preset("ja-small")
    assert generation_memory(ja, 1, 8).weights == 2 * (113_649_408 + 24_576_000)
    bounded = generation_memory(ja, 16, 2048).prefill - generation_memory(ja, 2, 2048).prefill
    assert bounded == 2 * 14 * 32_000  # once the engine's prefill is full, a stream adds its logits alone


@given(st.sampled_from(sorted(PRESETS)), STEPS)
def test_more_of_anything_never_needs_less_memory(name: str, step: TrainingStep) -> None:
    spec = preset(name)
    peak = training_memory(spec, step).peak
    assert peak <= training_memory(spec, replace(step, batch=step.batch + 1)).peak
    assert peak <= training_memory(spec, replace(step, optimizer="adamw", ranks=1)).peak * 1.05
    assert (
        training_memory(spec, replace(step, checkpointing=True)).activations
        <= training_memory(spec, replace(step, checkpointing=False)).activations + 8 * step.tokens * spec.d_model
    )
    again = train_flops(spec, replace(step, checkpointing=True)), train_flops(spec, replace(step, checkpointing=False))
    assert again[0] == again[1] * 4 // 3


@given(st.sampled_from(sorted(PRESETS)), STEPS, st.sampled_from(sorted(DEVICES)))
def test_the_largest_batch_fits_and_one_more_does_not(name: str, step: TrainingStep, device: str) -> None:
    spec = preset(name)
    found = plan(spec, step, DEVICES[device], 1)
    usable = 0.9 * DEVICES[device].memory
    if found.largest_batch:
        assert training_memory(spec, replace(step, batch=found.largest_batch)).peak <= usable
    assert training_memory(spec, replace(step, batch=found.largest_batch + 1)).peak > usable
    assert found.training_fits == (step.batch <= found.largest_batch)


@given(st.sampled_from(sorted(FREE)), st.integers(60_000_000, 10**9))
def test_a_solved_model_is_the_largest_within_its_budget(free: str, budget: int) -> None:
    like = preset("ja-small")
    field, multiple = FREE[free]
    try:
        found = solve(like, free, CostLimit(budget, lambda spec: spec.params, str))
    except InputError:
        assert replace(like, **{field: multiple}).params > budget
        return
    assert getattr(found, field) % multiple == 0
    assert found.params <= budget < replace(found, **{field: getattr(found, field) + multiple}).params
    assert replace(found, name=like.name, **{field: getattr(like, field)}) == like


def test_quantities_are_read_and_shown_as_people_write_them() -> None:
    assert [parse_count(text, "--n") for text in ("100e6", "100M", "1.5b", "7")] == [10**8, 10**8, 15 * 10**8, 7]
    assert [parse_bytes(text, "--n") for text in ("2GB", "512 MiB", "7")] == [2 * 10**9, 512 << 20, 7]
    assert [shown_bytes(value) for value in (999, 2.5e9, 123_456_789)] == ["999 B", "2.50 GB", "123 MB"]
    lengths = [shown_seconds(value) for value in (25e-6, 0.0042, 90, 7200, 10 * 86400, 1e9)]
    assert lengths == ["25.0 µs", "4.20 ms", "90.0 s", "2.00 h", "10.0 days", "31.7 years"]
    assert [shown_count(value) for value in (1, 34_000, 5.5e6, 2.27e9, 4e13)] == [
        "1",
        "34,000",
        "5.50 million",
        "2.27 billion",
        "40.0 trillion",
    ]
    assert parse_devices("8xh100") == (8, DEVICES["H100"])
    assert parse_devices("RTX4090") == (1, DEVICES["RTX4090"])


def test_the_verb_plans_a_preset_and_finds_a_model(shosei: Shosei) -> None:
    code, out, _ = shosei("plan", "ja-large", "--gpus", "8xH100", "--tokens", "1B", "--no-here", "--json")
    planned = json.loads(out)
    assert code == 0
    assert planned["model"]["params"] == preset("ja-large").params
    assert planned["training"]["peak"] == planned["plans"][0]["step_bytes"]
    assert planned["here"].startswith("not measured")
    code, out, _ = shosei("plan", "--like", "ja-small", "--params", "100e6", "--free", "depth", "--no-here")
    assert code == 0
    assert "98,803,968 parameters" in out
    code, out, _ = shosei("plan", "--like", "ja-small", "--latency-ms", "0.05", "--gpus", "H100", "--no-here", "--json")
    assert json.loads(out)["plans"][0]["answering"][0]["decode_seconds"] <= 5e-5


@given(st.sampled_from(sorted(PRESETS)), STEPS)
def test_what_is_said_to_be_in_memory_adds_up_to_the_peak(name: str, step: TrainingStep) -> None:
    spec = preset(name)
    memory = training_memory(spec, step)
    [said] = [line for line in on_paper(spec, step, memory, generation_memory(spec, 1, 8), 1) if "at its peak" in line]
    parts = re.findall(r"([\d.,]+) ([kMGT]?B)", said)
    peak, *held = [parse_bytes(number.replace(",", "") + unit, "--n") for number, unit in parts]
    assert peak == pytest.approx(memory.peak, rel=5e-3)
    assert sum(held) == pytest.approx(peak, rel=1e-2)


def test_a_cache_takes_what_the_slots_could_need_or_what_the_memory_holds() -> None:
    ja = preset("ja-large")

    def blocks(slots: int, available: int) -> int:
        return cache_blocks(ja, slots, 2048, WeightFormat.STORED, available, stored_bytes=2)

    assert blocks(64, 100 << 30) == 64 * 2048 // 32
    capped = blocks(64, 4 << 30)  # all slots could take 4.8 GB
    assert 2048 // 32 <= capped < 64 * 2048 // 32
    needed = generation_memory(ja, 64, 2048)
    held = needed.weights + needed.prefill + capped * block_bytes(ja)
    assert 0.8 < held / (4 << 30) < 0.95
    one = generation_memory(ja, 1, 2048).peak
    assert blocks(64, one) == 2048 // 32
    with pytest.raises(InputError, match=r"for 2,048 tokens; .* are free: lower --context or give --weights int4"):
        blocks(64, one - 1)


def test_a_context_holds_a_prompt_and_its_answer_and_no_more_than_the_models() -> None:
    nano = preset("nano")
    assert [slot_context(nano, asked) for asked in (0, 2, 512)] == [512, 2, 512]
    for asked, words in ((1, "take two tokens at least"), (513, "a context of 512 tokens; give no more")):
        with pytest.raises(InputError, match=words):
            slot_context(nano, asked)


def test_a_preset_that_does_not_fit_is_told_so(shosei: Shosei) -> None:
    _, out, _ = shosei("plan", "internlm-large", "--gpus", "L4", "--no-here")
    assert "training does not fit" in out
    assert "not even one row does" in out
    assert "answering with bf16 weights does not fit: 26.6 GB" in out
    assert "answering with int4 weights fits: 10.4 GB" in out


def test_this_machine_is_measured(shosei: Shosei) -> None:
    _, out, _ = shosei("plan", "nano", "--batch", "2", "--json")
    planned = json.loads(out)
    [here] = planned["plans"]
    assert planned["here"] == "measured"
    assert here["training_fits"]
    assert min(here["device"]["flops"], here["device"]["bandwidth"]) > 1e8


def test_without_torch_the_plan_says_why_this_machine_is_not_measured(
    shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "shosei.model.device", raising=False)
    code, out, _ = shosei("plan", "nano")
    assert code == 0
    assert "this machine: not measured; measuring needs torch" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a preset"),
        (["ja-smal"], "did you mean 'ja-small'"),
        (["ja-small", "--params", "1e6"], "name a preset"),
        (["--like", "ja-small"], "with one of --params"),
        (["--like", "ja-small", "--params", "1e6", "--memory", "1GB"], "with one of --params"),
        (
            ["--like", "ja-small", "--params", "1e6"],
            "needs 30,484,224 parameters, and the budget is 1,000,000 parameters",
        ),
        (["--like", "ja-small", "--memory", "1MB"], "needs 140 MB, and the budget is 1.00 MB"),
        (["--like", "ja-small", "--latency-ms", "1e-3", "--gpus", "L4"], "needs 214 µs, and the budget is 1.00 µs"),
        (["--like", "ja-small", "--params", "many"], "such as 100e6"),
        (["--like", "ja-small", "--memory", "2 apples"], "such as 2GB"),
        (["--like", "ja-small", "--memory", "2GB", "--free", "deepth"], "did you mean 'depth'"),
        (["--like", "ja-small", "--latency-ms", "5"], "needs a device"),
        (["--like", "ja-small", "--params", "1e23"], "more than a model like ja-small uses"),
        (["--like", "ja-small", "--latency-ms", "inf", "--gpus", "L4"], "--latency-ms"),
        (["ja-small", "--free", "depth"], "with one of --params"),
        (["ja-small", "--gpus", ""], "8xH100"),
        (["ja-small", "--gpus", "8xH1000"], "did you mean 'H100'"),
        (["ja-small", "--gpus", "8 of H100"], "8xH100"),
        (["ja-small", "--tokens", "-5"], "--tokens"),
        (["ja-small", "--batch", "0"], "--batch"),
        (["ja-small", "--optimizer", "sgd"], "muon"),
    ],
)
def test_bad_input_is_one_line(shosei: Shosei, arguments: list[str], words: str) -> None:
    code, _, error = shosei("plan", *arguments, "--no-here")
    assert code == 2
    assert words in error
    assert error.count("\n") == 1
