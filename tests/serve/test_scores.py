"""Log-probabilities and forms of a real ``shosei serve``, against transformers on the same folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from serve_process import make_model, serving
from shosei.text import Tokenizer

ASK: list[Any] = [{"role": "user", "content": "東京の天気は？"}]
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["東京", "北京"]}},
    "required": ["city"],
    "additionalProperties": False,
}
GBNF = 'root ::= "x" digit digit\ndigit ::= [0-9]\n'
LARK = 'start: "x" DIGIT DIGIT\nDIGIT: /[0-9]/\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("scores") / "model", context=512)


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[openai.OpenAI]:
    with serving(model) as (_, url), openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def logprobs_of(model: Path, ids: list[int]) -> torch.Tensor:
    theirs = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.no_grad():
        return torch.log_softmax(theirs(torch.tensor([ids])).logits[0].double(), -1)


def test_echoed_prompts_have_their_log_probabilities(client: openai.OpenAI, model: Path) -> None:
    """As lm-eval asks for the likelihood of given texts: several at once, as ids, one token more than it wants."""
    tokenizer = Tokenizer.load(model)
    prompts = [tokenizer.encode("今天天气怎么样？😀"), tokenizer.encode("東京の")]
    made = client.completions.create(
        model="nano", prompt=prompts, echo=True, logprobs=1, max_tokens=1, temperature=0, seed=1
    )
    assert [choice.index for choice in made.choices] == [0, 1]
    for ids, choice in zip(prompts, made.choices, strict=True):
        assert choice.logprobs
        listed, best = choice.logprobs.token_logprobs or [], choice.logprobs.top_logprobs or []
        assert len(listed) == len(best) == len(choice.logprobs.tokens or []) == len(ids) + 1
        expected = logprobs_of(model, ids)
        assert (listed[0], best[0]) == (None, None)
        for place, token in enumerate(ids[1:]):
            assert listed[place + 1] == pytest.approx(float(expected[place, token]), abs=1e-3)
            assert max(best[place + 1].values()) == pytest.approx(float(expected[place].max()), abs=1e-3)
            assert listed[place + 1] in best[place + 1].values()
        assert choice.text.startswith(tokenizer.decode(ids))
        offsets = choice.logprobs.text_offset or []
        assert offsets[0] == 0
        assert offsets == sorted(offsets)
        assert offsets[-1] == len(tokenizer.decode(ids))


def test_special_tokens_of_a_prompt_of_ids_stand_in_the_text_and_count_in_its_offsets(
    client: openai.OpenAI, model: Path
) -> None:
    tokenizer = Tokenizer.load(model)
    ids = [tokenizer.begin_id, *tokenizer.encode("東京"), tokenizer.end_id, *tokenizer.encode("の")]
    made = client.completions.create(model="nano", prompt=ids, echo=True, logprobs=0, max_tokens=2, temperature=0)
    text, listed = made.choices[0].text, made.choices[0].logprobs
    assert listed
    offsets, end = listed.text_offset or [], tokenizer.written(tokenizer.end_id).decode()
    assert text[offsets[ids.index(tokenizer.end_id, 1)] :].startswith(end + "の")
    assert text[: offsets[len(ids)]] == b"".join(map(tokenizer.written, ids)).decode()


def test_nothing_but_the_prompt_can_be_asked_for(client: openai.OpenAI) -> None:
    for form in ({}, {"stop_token_ids": [*range(256)]}):  # even where the answer would have ended at once
        made = client.completions.create(
            model="nano", prompt="今天", echo=True, logprobs=0, max_tokens=0, extra_body=form
        )
        choice = made.choices[0]
        assert (choice.text, choice.finish_reason) == ("今天", "length")
        assert made.usage
        assert made.usage.completion_tokens == 0


@pytest.mark.parametrize("alternatives", [0, 3])
def test_a_chats_tokens_have_their_scores_whole_and_streamed(
    client: openai.OpenAI, model: Path, alternatives: int
) -> None:
    body: dict[str, Any] = {"model": "nano", "max_tokens": 12, "temperature": 1, "seed": 3, "messages": ASK}
    body |= {"logprobs": True, "top_logprobs": alternatives}
    whole = client.chat.completions.create(**body).choices[0]
    assert whole.logprobs
    content = whole.logprobs.content or []
    written = b"".join(bytes(each.bytes or []) for each in content)
    assert written.decode("utf-8", "replace").startswith((whole.message.content or "")[:-1])
    tokenizer = Tokenizer.load(model)
    by_bytes = {tokenizer.written(token): token for token in range(tokenizer.vocab_size)}
    ids = [by_bytes[bytes(each.bytes or [])] for each in content]
    prompt = AutoTokenizer.from_pretrained(model).apply_chat_template(ASK, add_generation_prompt=True)["input_ids"]
    expected = logprobs_of(model, [*prompt, *ids])[len(prompt) - 1 :]
    for row, (token, each) in enumerate(zip(ids, content, strict=True)):
        assert each.logprob == pytest.approx(float(expected[row, token]), abs=1e-3)
        best = [best.logprob for best in each.top_logprobs]
        assert best == pytest.approx(expected[row].topk(alternatives).values.tolist(), abs=1e-3)
    streamed = [
        each
        for chunk in client.chat.completions.create(stream=True, **body)
        for choice in chunk.choices
        for each in (choice.logprobs.content or [] if choice.logprobs else [])
    ]
    assert streamed == content


def test_without_asking_there_are_no_scores(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(model="nano", messages=ASK, max_tokens=3).choices[0].logprobs is None
    assert client.completions.create(model="nano", prompt="x", max_tokens=3).choices[0].logprobs is None


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ({"guided_choice": ["晴れ", '"x"\n']}, '晴れ|"x"\n'),
        ({"guided_regex": r"[a-c]{3}/\d\n"}, r"[a-c]{3}/\d\n"),
        ({"guided_grammar": GBNF}, r"x\d\d"),
        ({"guided_grammar": LARK}, r"x\d\d"),
        ({"guided_json": CITY}, r'\{"city":"(東京|北京)"\}'),
        ({"guided_json": json.dumps(CITY)}, r'\{"city":"(東京|北京)"\}'),
        ({"structured_outputs": {"json": CITY}}, r'\{"city":"(東京|北京)"\}'),
        ({"structured_outputs": {"regex": "a/b"}}, "a/b"),
        ({"structured_outputs": {"choice": ["a"]}}, "a"),
        ({"structured_outputs": {"grammar": GBNF}}, r"x\d\d"),
    ],
)
def test_an_answer_has_the_form_that_is_asked_for(client: openai.OpenAI, form: dict[str, Any], pattern: str) -> None:
    for seed in range(2):
        body: dict[str, Any] = {"model": "nano", "max_tokens": 60, "seed": seed, "extra_body": form}
        chat = client.chat.completions.create(messages=ASK, **body).choices[0].message.content
        text = client.completions.create(prompt="x", **body).choices[0].text
        assert re.fullmatch(pattern, chat or "")
        assert re.fullmatch(pattern, text)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"guided_grammar": "((("}, "guided_grammar"),
        ({"structured_outputs": {"grammar": ""}}, "structured_outputs.grammar"),
    ],
)
def test_a_grammar_that_is_none_names_its_field(client: openai.OpenAI, form: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError, match="neither GBNF nor Lark") as error:
        client.completions.create(model="nano", prompt="x", extra_body=form)
    assert error.value.param == param


def test_a_schema_may_stand_beside_json_object(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_object", "schema": CITY}
    made = client.chat.completions.create(model="nano", messages=ASK, response_format=form, max_tokens=60)
    assert json.loads(made.choices[0].message.content or "")["city"] in ("東京", "北京")


def test_an_answer_of_a_form_ends_although_it_is_to_be_longer(client: openai.OpenAI) -> None:
    form = {"guided_choice": ["a"], "min_tokens": 30}
    made = client.chat.completions.create(model="nano", messages=ASK, extra_body=form)
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("a", "stop")


def test_several_answers_differ_and_the_first_is_the_only_one_of_its_seed(client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"model": "nano", "messages": ASK, "max_tokens": 20, "seed": 4}
    several = client.chat.completions.create(n=3, **body).choices
    assert len({choice.message.content for choice in several}) == 3
    assert several[0].message.content == client.chat.completions.create(**body).choices[0].message.content


def test_an_answer_that_ignores_its_end_goes_on_and_one_with_a_stop_id_ends(client: openai.OpenAI, model: Path) -> None:
    body: dict[str, Any] = {"model": "nano", "messages": ASK, "max_tokens": 300, "seed": 6}
    endless = client.chat.completions.create(extra_body={"ignore_eos": True}, **body)
    assert endless.usage
    assert endless.usage.completion_tokens == 300
    tokens = list(range(Tokenizer.load(model).vocab_size))
    stopped = client.chat.completions.create(extra_body={"stop_token_ids": tokens}, **body)
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("", "stop")


def test_the_models_completions_begin_as_its_documents_do(client: openai.OpenAI, model: Path) -> None:
    tokenizer = Tokenizer.load(model)
    made = client.completions.create(model="nano", prompt="今天", max_tokens=1)
    assert made.usage
    assert made.usage.prompt_tokens == len(tokenizer.encode_documents(["今天"])[0]) - 1
