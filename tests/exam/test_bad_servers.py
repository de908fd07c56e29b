"""What a bad server can do to an exam: its own request fails, in the server's words, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exam_server import Refusal, Server, suite_file
from verb import Shosei


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"choices": [{"message": {"content": "\xff\xfe"}}]}', "not in the API's form"),
        (b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not in the API's form"),
        (b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b', "choices": []}', "not in the API's form"),
        (b'{"choices": {"0": 1}}', "not in the API's form"),
        (b"[]", "not in the API's form"),
        (b"", "not in the API's form"),
        (b'"' + b"x" * (1 << 25) + b'"', "longer than 16 MiB"),
    ],
)
def test_one_bad_answer_is_an_error_of_its_request_only(
    server: Server, tmp_path: Path, shosei: Shosei, body: bytes, words: str
) -> None:
    server.answers = {"悪": body, "良": "正"}
    suite = suite_file(tmp_path, "one", "悪", "良")
    code, out, _ = shosei("exam", server.url, "--suite", suite, "--run", tmp_path / "run", "--json")
    assert code == 0
    suite_result = json.loads(out)["suites"]["one"]
    assert (suite_result["answered"], suite_result["errors"], suite_result["score"]) == (1, {"malformed": 1}, 1.0)
    assert words in suite_result["first_error"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": "many"}}',
        b'{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": -1}}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
    ],
)
def test_what_the_official_client_reads_is_an_answer(
    server: Server, tmp_path: Path, shosei: Shosei, body: bytes
) -> None:
    server.answers = {"悪": body, "良": "正"}
    suite = suite_file(tmp_path, "one", "悪", "良")
    code, out, _ = shosei("exam", server.url, "--suite", suite, "--run", tmp_path / "run", "--json")
    suite_result = json.loads(out)["suites"]["one"]
    assert (code, suite_result["answered"], suite_result["errors"], suite_result["score"]) == (0, 2, {}, 0.5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no such adapter", "code": 404}}, "no such adapter"),
        ({"error": "no such adapter"}, "no such adapter"),
        ({"detail": "no such adapter"}, "no such adapter"),
        (["no such adapter"], '["no such adapter"]'),
    ],
)
def test_the_server_s_own_words_are_told(server: Server, tmp_path: Path, shosei: Shosei, body: Any, words: str) -> None:
    server.answers = {"い": Refusal(404, body)}
    _, out, _ = shosei("exam", server.url, "--suite", suite_file(tmp_path, "one", "い"), "--run", tmp_path / "run")
    assert f"the first failure: 4xx: {words}" in out


def test_a_wrong_key_is_said_to_be_one(server: Server, tmp_path: Path, shosei: Shosei) -> None:
    server.answers = {"い": Refusal(401, {"error": {"message": "bad key"}})}
    _, out, _ = shosei("exam", server.url, "--suite", suite_file(tmp_path, "one", "い"), "--run", tmp_path / "run")
    assert "the server refused the key (401): bad key" in out
