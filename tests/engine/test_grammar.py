"""Answers of a model with random weights that are held to a grammar: always what the grammar says."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from model_samples import peaked_model
from shosei.engine.engine import Engine
from shosei.engine.grammar import Grammars, lark_of
from shosei.engine.protocol import Failed, Grammar, Submit, Token
from shosei.errors import InputError
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec
from shosei.text import Tokenizer

TOKENIZER = Tokenizer.train(["今天天气怎么样？东京、大阪。", '東京の天気は？{"name":"x"}'] * 2, 330)
# More rows than the tokenizer has entries, as a foreign model may have.
SPEC = ModelSpec(
    name="random",
    vocab_size=350,
    d_model=32,
    n_layers=2,
    intermediate_size=64,
    n_heads=2,
    n_kv_heads=1,
    head_dim=16,
    tied=False,
    rope_theta=1e4,
    context_length=1024,
)
SCHEMAS: list[dict[str, Any]] = [
    {"enum": ["晴れ", "雨", "多云"]},
    {"type": "integer", "minimum": -5, "maximum": 120},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    {"type": "string", "maxLength": 12},
    {
        "type": "object",
        "properties": {
            "都市": {"type": "string", "enum": ["東京", "北京"]},
            "気温": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
            "详情": {"$ref": "#/$defs/detail"},
        },
        "required": ["都市", "気温", "详情"],
        "additionalProperties": False,
        "$defs": {
            "detail": {
                "type": "object",
                "properties": {"note": {"type": "string", "maxLength": 6}, "ok": {"type": ["boolean", "null"]}},
                "required": ["ok"],
                "additionalProperties": False,
            }
        },
    },
]


@pytest.fixture(scope="module")
def model() -> Transformer:
    return peaked_model(SPEC, seed=3)


@pytest.fixture(scope="module")
def grammars(tmp_path_factory: pytest.TempPathFactory) -> Grammars:
    folder = tmp_path_factory.mktemp("tokenizer")
    TOKENIZER.save(folder)
    return Grammars(folder, SPEC.vocab_size)


def of_schema(schema: dict[str, Any]) -> Grammar:
    compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return Grammar(f"start: %json {json.dumps(compact, ensure_ascii=False)}")


def submit(number: int, grammar: Grammar | None, temperature: float = 1.0, max_tokens: int = 500) -> Submit:
    prompt = TOKENIZER.encode(f"第{number}問")
    return Submit(number, prompt, max_tokens, temperature, 0.95, number, [TOKENIZER.end_id], grammar)


def run(engine: Engine, requests: list[Submit]) -> dict[int, list[Token | Failed]]:
    for request in requests:
        engine.submit(request)
    events: dict[int, list[Token | Failed]] = {}
    while engine.busy:
        for event in engine.step():
            events.setdefault(event.id, []).append(event)
    return events


def ids(events: list[Token | Failed]) -> list[int]:
    return [event.token for event in events if isinstance(event, Token) and event.finish != "stop"]


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 1.9])
def test_every_finished_answer_keeps_its_schema(model: Transformer, grammars: Grammars, temperature: float) -> None:
    asked = [SCHEMAS[number % len(SCHEMAS)] for number in range(20)]
    engine = Engine(model, SPEC, slots=8, grammars=grammars)
    requests = [submit(number, of_schema(schema), temperature) for number, schema in enumerate(asked)]
    answers = run(engine, requests)
    finishes = [answers[number][-1].finish for number in range(20)]
    assert finishes.count("stop") >= (10 if temperature else 1)
    for number, schema in enumerate(asked):
        text = TOKENIZER.decode(ids(answers[number]))
        if finishes[number] == "stop":
            jsonschema_rs.validator_for(schema).validate(json.loads(text))
            assert not text[:1].isspace()


def test_unconstrained_neighbours_are_unaffected(model: Transformer, grammars: Grammars) -> None:
    free = [submit(number, None, temperature=number % 2, max_tokens=30) for number in range(6)]
    held = [submit(10 + number, of_schema(schema)) for number, schema in enumerate(SCHEMAS)]
    alone = run(Engine(model, SPEC, slots=4), free)
    mixed = [request for pair in zip(free, held, strict=False) for request in pair] + free[len(held) :]
    together = run(Engine(model, SPEC, slots=4, grammars=grammars), mixed)
    assert {number: ids(together[number]) for number in alone} == {number: ids(alone[number]) for number in alone}


def test_an_answer_that_meets_max_tokens_has_the_finish_length(model: Transformer, grammars: Grammars) -> None:
    asked = submit(0, of_schema({"type": "string", "minLength": 100}), max_tokens=7)
    answer = run(Engine(model, SPEC, slots=1, grammars=grammars), [asked])[0]
    assert (len(answer), answer[-1].finish) == (7, "length")


def test_a_grammar_with_a_trigger_begins_with_that_token(model: Transformer, grammars: Grammars) -> None:
    free = ids(run(Engine(model, SPEC, slots=1), [submit(0, None, max_tokens=60)])[0])
    at = 5
    assert free.index(free[at]) == at
    grammar = Grammar(f'start: <[{free[at]}]> "東京"', trigger=free[at])
    held = ids(run(Engine(model, SPEC, slots=1, grammars=grammars), [submit(0, grammar, max_tokens=60)])[0])
    assert held[: at + 1] == free[: at + 1]
    assert TOKENIZER.decode(held[at + 1 :]) == "東京"


@pytest.mark.parametrize("lark", ["nonsense", 'start: %json {"type": "nonsense"}'])
def test_a_bad_grammar_fails_alone(model: Transformer, grammars: Grammars, lark: str) -> None:
    engine = Engine(model, SPEC, slots=2, grammars=grammars)
    answers = run(engine, [submit(0, Grammar(lark)), submit(1, None, max_tokens=3)])
    assert isinstance(answers[0][0], Failed)
    assert answers[0][0].kind == "invalid_request"
    assert len(ids(answers[1])) == 3


class Panic(BaseException):
    """As Rust's reach Python."""


@pytest.mark.parametrize("raised", [RuntimeError("out of\nfuel"), Panic("out of\nfuel")])
def test_a_client_hears_of_whatever_the_library_raises(
    model: Transformer, grammars: Grammars, raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("llguidance.LLMatcher", broken)
    asked = [submit(0, Grammar('start: "never compiled before"')), submit(1, None)]
    answers = run(Engine(model, SPEC, slots=2, grammars=grammars), asked)
    assert answers[0] == [Failed(0, "the grammar cannot be compiled: out of fuel", "invalid_request")]
    assert isinstance(answers[1][-1], Token)


def test_a_grammar_that_becomes_too_complex_ends_its_own_answer_only(model: Transformer, grammars: Grammars) -> None:
    """The parses of this one are more with every token."""
    ambiguous = submit(0, Grammar("start: s{60,}\ns: s s s | s s | /./"))
    free = submit(1, None, max_tokens=100)
    answers = run(Engine(model, SPEC, slots=2, grammars=grammars), [ambiguous, free])
    failed = answers[0][-1]
    assert isinstance(failed, Failed)
    assert (failed.kind, "cannot be followed" in failed.message) == ("invalid_request", True)
    assert ids(answers[1]) == ids(run(Engine(model, SPEC, slots=2), [free])[1])


def test_a_grammar_that_is_compiled_again_begins_anew(model: Transformer, tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path)
    grammars = Grammars(tmp_path, SPEC.vocab_size, kept=1)
    first, other = Grammar('start: "東京" "北京"'), Grammar('start: "大阪"')
    for grammar, text in ((first, "東京北京"), (first, "東京北京"), (other, "大阪"), (first, "東京北京")):
        answer = run(Engine(model, SPEC, slots=1, grammars=grammars), [submit(0, grammar)])[0]
        assert TOKENIZER.decode(ids(answer)) == text


def test_an_engine_without_grammars_refuses_them(model: Transformer) -> None:
    answer = run(Engine(model, SPEC, slots=1), [submit(0, of_schema({}))])[0]
    assert isinstance(answer[0], Failed)


@pytest.mark.parametrize(
    ("schema", "fault"),
    [({"type": "string"}, ""), ({"type": "nonsense"}, "nonsense"), ({"pattern": "(", "type": "string"}, "unclosed")],
)
def test_a_schema_is_checked_before_it_is_used(grammars: Grammars, schema: dict[str, Any], fault: str) -> None:
    refused = pytest.raises(InputError, match=fault) if fault else nullcontext()
    with refused:
        grammars.check(of_schema(schema).lark)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(InputError, match=r"'\.\[structured\]'"):
        lark_of("start: 'x'")
    with pytest.raises(InputError, match=r"'\.\[structured\]'"):
        Grammars(Path("nowhere"), 300).constraint(Grammar("start: 'x'"))
