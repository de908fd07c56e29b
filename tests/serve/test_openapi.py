"""The server's own document, by which schemathesis makes requests: none may make it fail, each error has OpenAI's form.

What it makes is different in each version of it; what was found once stands in malformed.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode

from serve_process import make_model, serving, status

_SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("openapi")
    with serving(make_model(folder / "model"), "--run", folder / "run") as (_, url):
        yield url


@pytest.fixture(scope="module")
def document(url: str) -> Any:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.mark.long
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: str(mode.value))
def test_no_request_makes_the_server_fail(document: Any, mode: GenerationMode) -> None:
    operations = [operation.ok() for operation in document.get_all_operations()]
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # any text may stand in its path

        @_SETTINGS
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            response = case.call(timeout=60)
            if response.status_code >= 400:
                error = response.json()["error"]
                assert error.keys() == {"message", "type", "param", "code"}
                limited = isinstance(case.body, dict) and bool(case.body.get("timeout"))
                own_timeout = limited and response.status_code == 504 and error["code"] == "timeout"
                assert response.status_code < 500 or own_timeout, response.text

        check()


def test_the_document_has_every_path_and_the_server_is_ready_after_all_that(document: Any, url: str) -> None:
    named = {operation.ok().path for operation in document.get_all_operations()}
    assert {"/v1/chat/completions", "/v1/completions", "/v1/feedback", "/v1/models", "/tokenize", "/readyz"} <= named
    assert status(f"{url}/readyz") == 200
