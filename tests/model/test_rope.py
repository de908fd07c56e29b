"""RoPE scalings against transformers, beyond the original context, and through ``config.json`` in both spellings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from foreign_samples import edit, save
from model_samples import ROWS
from shosei.errors import InputError
from shosei.model import folder
from shosei.spec.rope import LinearScaling, Llama3Scaling, YarnScaling

# Original contexts that 300 positions leave far behind.
KINDS = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "llama3, Llama 3.2's": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "yarn, all its settings": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "attention_factor": 0.8,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
        "truncate": False,
    },
}
IDS = torch.randint(0, ROWS, (1, 300), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("architecture", "spelling"), [("llama", "rope_parameters"), ("qwen3", "rope_scaling")])
def test_logits_are_those_of_transformers_beyond_the_original_context(
    name: str, architecture: str, spelling: str, tmp_path: Path
) -> None:
    rope = KINDS[name]
    theirs = save(architecture, tmp_path / "theirs", rope_scaling=dict(rope), head_dim=32, max_position_embeddings=512)
    if spelling == "rope_scaling":  # as transformers wrote it before version 5
        old = {"type" if key == "rope_type" else key: value for key, value in rope.items()}
        edit(tmp_path / "theirs/config.json", rope_parameters=None, rope_scaling=old, rope_theta=50_000.0)
    ours, spec = folder.load(tmp_path / "theirs")
    folder.convert(tmp_path / "theirs", tmp_path / "again")
    assert folder.read_spec(tmp_path / "again") == spec
    with torch.no_grad():
        expected = theirs(IDS).logits
        assert (ours.logits(ours(IDS)) - expected).abs().max() < 1e-4
        again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
        assert torch.equal(again(IDS).logits, expected)


def test_each_pair_is_kept_stretched_or_between() -> None:
    theta, size, context = 5e5, 128, 8192
    turns = [context / (2 * math.pi * theta ** (2 * pair / size)) for pair in range(size // 2)]
    llama3 = Llama3Scaling(8.0, 1.0, 4.0, context).divisors(theta, size)
    yarn = YarnScaling(8.0, context, truncate=False).divisors(theta, size)
    for divisors, slow, fast in ((llama3, 1, 4), (yarn, 1, 32)):
        assert all(divisor == 1 for divisor, turn in zip(divisors, turns, strict=True) if turn >= fast)
        assert all(divisor == 8 for divisor, turn in zip(divisors, turns, strict=True) if turn <= slow)
        assert divisors == sorted(divisors)
    assert LinearScaling(3.0).divisors(theta, 4) == [3.0, 3.0]
    assert YarnScaling(4.0, context).magnitude == pytest.approx(0.1 * math.log(4) + 1)


def test_yarn_answers_as_far_as_it_stretches(tmp_path: Path) -> None:
    save("qwen2", tmp_path, rope_scaling=dict(KINDS["yarn"]), max_position_embeddings=64)
    assert folder.read_spec(tmp_path).context_length == 256


@pytest.mark.parametrize(
    ("rope", "says"),
    [
        ({"rope_type": "longrope", "factor": 4}, "'longrope' is not supported; these are: default, dynamic, linear"),
        ({"rope_type": "yarn", "factor": 4, "mscale": 0.7}, "'yarn' with mscale is not supported"),
        ({"rope_type": "linear", "factor": 4, "partial_rotary_factor": 0.5}, "with partial_rotary_factor"),
        ({"rope_type": "default", "partial_rotary_factor": 0.5}, "with partial_rotary_factor"),
        ({"rope_type": ["yarn"], "factor": 4}, "is not supported; these are"),
        ({"rope_type": "yarn"}, "key 'factor' is missing"),
        ({"rope_type": "linear", "factor": "x"}, "not a number of the kind"),
        ({"rope_type": "linear", "factor": 0}, "not a number of the kind"),
        ({"rope_type": "linear", "factor": "2"}, "factor = '2' is not a number"),
        ({"rope_type": "default", "rope_theta": True}, "rope_theta = True is not a number"),
        ({"factor": 2.0}, "factor = 2.0 says nothing without a rope_type"),
        ({"rope_type": "yarn", "factor": 4, "truncate": "false"}, "truncate = 'false' is neither true nor false"),
        ({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 1}, "not a number of the kind"),
    ],
)
def test_what_is_not_computed_is_refused(rope: dict[str, object], says: str, tmp_path: Path) -> None:
    save("llama", tmp_path / "theirs")
    edit(tmp_path / "theirs/config.json", rope_parameters=rope)
    with pytest.raises(InputError, match=says) as error:
        folder.read_spec(tmp_path / "theirs")
    assert "config.json" in str(error.value)
