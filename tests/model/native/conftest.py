"""The libraries that this machine can run; without a compiler the tests that need one are skipped."""

from __future__ import annotations

import pytest

from native_samples import HAS_COMPILER, HERE, name_of
from shosei.model.native import library as libraries
from shosei.model.native.instructions import InstructionSet
from shosei.model.native.library import Library


@pytest.fixture(scope="session", params=HERE, ids=name_of)
def library(request: pytest.FixtureRequest) -> Library:
    if not HAS_COMPILER:
        pytest.skip("there is no C compiler")
    target: InstructionSet = request.param
    return libraries.load(target)
