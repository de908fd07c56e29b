"""Where memory ends, the newest request is refused, and the others go on as if it had never come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model_samples import peaked_model, reduced
from shosei.engine.engine import Engine, answer_greedily
from shosei.engine.protocol import OUT_OF_MEMORY, Failed, Submit, Token
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec

SPEC = replace(reduced("nano"), context_length=64)

# The long prompt's layers are 8,000 x 4,096 numbers wide, 131 MB each; 64 MB are left.
CONFINED = """
import json, resource
from dataclasses import replace
import torch
from model_samples import peaked_model, reduced
from shosei.engine.engine import Engine, answer_greedily
from shosei.engine.protocol import Failed, Submit
from shosei.proc import numbers
torch.set_num_threads(1)
spec = replace(reduced("nano"), context_length=9000, intermediate_size=4096)
model = peaked_model(spec, seed=3)
alone = answer_greedily(model, spec, [[1, 2, 3]], [12], [])[0]
engine = Engine(model, spec, 2)
engine.submit(Submit(1, [1, 2, 3], 12))
events = engine.step()
size = numbers("/proc/self/status")["VmSize"]
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), resource.RLIM_INFINITY))
engine.submit(Submit(2, [5] * 8000, 4))
while engine.busy:
    events += engine.step()
print(json.dumps({
    "alone": alone,
    "beside": [event.token for event in events if event.id == 1],
    "failed": [(event.id, event.kind) for event in events if isinstance(event, Failed)],
}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads its own size in /proc")
def test_a_prompt_for_which_there_is_no_memory_is_refused_and_its_neighbour_never_knows() -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", CONFINED], capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["failed"] == [[2, OUT_OF_MEMORY]]
    assert outcome["beside"] == outcome["alone"]


class Scarce(torch.nn.Module):
    """A model that gets no memory at the passes named by ``fails``; the first is 0."""

    def __init__(self, model: Transformer, fails: set[int]) -> None:
        super().__init__()
        self.model, self.norm, self.logits = model, model.norm, model.logits
        self.fails, self.passes = fails, 0

    def forward(self, *arguments: object) -> Tensor:
        self.passes += 1
        if self.passes - 1 in self.fails:
            raise torch.OutOfMemoryError("no memory")
        output: Tensor = self.model(*arguments)
        return output


@pytest.fixture(scope="module")
def model() -> Transformer:
    return peaked_model(SPEC, seed=3)


def answers(model: Transformer, spec: ModelSpec, fails: set[int], prompts: list[list[int]]) -> dict[int, list[int]]:
    """Of those that end; the first prompt comes a step before the others."""
    engine = Engine(Scarce(model, fails), spec, 4)  # type: ignore[arg-type]
    events = []
    for number, prompt in enumerate(prompts):
        engine.submit(Submit(number, prompt, 6))
        if number == 0:
            events += engine.step()
    while engine.busy:
        events += engine.step()
    failed = {event.id for event in events if isinstance(event, Failed)}
    assert all(event.kind == OUT_OF_MEMORY for event in events if isinstance(event, Failed))
    tokens = [event for event in events if isinstance(event, Token)]
    return {
        number: [event.token for event in tokens if event.id == number]
        for number in range(len(prompts))
        if number not in failed
    }


@pytest.mark.parametrize(("fails", "left"), [({1}, [0, 1]), ({1, 2}, [0]), ({3}, [0, 1]), ({3, 4}, [0]), ({0}, [1, 2])])
def test_the_newest_are_given_up_and_the_rest_answer_as_they_would_alone(
    model: Transformer, fails: set[int], left: list[int]
) -> None:
    prompts = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    expected = answer_greedily(model, SPEC, prompts, [6] * 3, [])
    assert answers(model, SPEC, fails, prompts) == {number: expected[number] for number in left}


def test_another_error_is_not_taken_for_one_of_memory(model: Transformer) -> None:
    class Broken(Scarce):
        def forward(self, *arguments: object) -> Tensor:
            raise RuntimeError("shapes do not match")

    engine = Engine(Broken(model, set()), SPEC, 1)  # type: ignore[arg-type]
    engine.submit(Submit(1, [1], 1))
    with pytest.raises(RuntimeError, match="shapes"):
        engine.step()
