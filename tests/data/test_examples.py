"""Dialogues as the model sees them: what carries loss, what is too long, and what is said before the first step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign_chats import HERMES, PLAIN, THINKING, make_chat
from shosei.data.config import TooLong
from shosei.data.dataset import DialogueBatches
from shosei.data.dialogues import Dialogue
from shosei.data.door import read_dialogues
from shosei.data.examples import Example, check_learnable, encode, load_examples
from shosei.data.inspection import histogram, language_of, languages, stretches
from shosei.errors import InputError
from shosei.text import ChatFormat, Tokenizer, load_chat
from shosei.text.chat import ChatML
from train_samples import make_run
from verb import Shosei

CONTEXT = 64
# The mark of the next turn is all that ends an answer, as in GLM's.
MARKS_ALONE = (
    "{% for m in messages %}{{ '<|role|>' + m.role + '\n' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|role|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def chat() -> ChatML:
    return ChatML(Tokenizer.train(["user\nassistant\nsystem\n"], 300))


def dialogue(*texts: str, **fields: Any) -> Dialogue:
    """Questions and answers by turns."""
    return Dialogue([{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)], **fields)


def learnt(example: Example, chat: ChatFormat) -> list[str]:
    """The texts of the stretches with loss."""
    return ["".join(tokens) for loss, tokens in stretches(example, chat.tokenizer) if loss]


def test_an_answer_in_text_parts_teaches_its_text(chat: ChatML) -> None:
    parts = [{"type": "text", "text": "abc"}, {"type": "text", "text": "d"}]
    plain, _ = chat.training_example(dialogue("hi", "abcd").messages)
    assert (
        chat.training_example(Dialogue([dialogue("hi").messages[0], {"role": "assistant", "content": parts}]).messages)[
            0
        ]
        == plain
    )
    for content in (
        5,
        {"type": "text", "text": "a"},
        [{"type": "image_url", "text": "a"}],
        ["a"],
        [{"type": "text", "text": 5}],
    ):
        with pytest.raises(InputError, match="a message's content"):
            chat.render([{"role": "user", "content": content}])


def test_answers_that_weigh_nothing_have_no_loss(chat: ChatML, tmp_path: Path) -> None:
    foreign = load_chat(make_chat(tmp_path, MARKS_ALONE.replace("m.content }}", "m.content + '<|end|>' }}")))
    weighed = dialogue("q", "one", "q", "two", "q", "three")
    for place in (1, 5):
        weighed.messages[place]["weight"] = 0
    for form, end in ((chat, "<|im_end|>"), (foreign, "<|end|>")):
        (example,), _ = encode([weighed], form, 512)
        assert learnt(example, form) == [f"two{end}"]
        assert example[0] == encode([dialogue("q", "one", "q", "two")], form, 512)[0][0][0]


def test_a_row_that_teaches_nothing_is_counted_and_left_out(chat: ChatML) -> None:
    rows = [dialogue("q"), dialogue("q", "a"), Dialogue([{"role": "assistant", "content": "a", "weight": 0}])]
    examples, counts = encode(rows, chat, CONTEXT)
    assert len(examples) == 1
    assert counts.nothing_learnt == 2
    assert any(line.startswith("2 of 3 rows teach nothing") for line in counts.lines(CONTEXT, "cut"))


@pytest.mark.parametrize("batch_tokens", [1, 2048])
def test_no_batch_is_longer_than_the_model_reads(chat: ChatML, batch_tokens: int) -> None:
    context = 37  # no length that batches are padded to
    rows = [dialogue("q", "x" * length) for length in (1, 7, 20, 21, 22, 200)]
    examples, counts = encode(rows, chat, context)
    assert counts.too_long == 1
    assert counts.longest == len(chat.training_example(rows[-1].messages)[0])
    assert (
        max(batch.ids.shape[1] for batch in DialogueBatches(examples, 8, 1, batch_tokens, context).epoch(1)) == context
    )
    assert len(examples) == 6


def test_a_cut_dialogue_is_its_beginning(chat: ChatML) -> None:
    long = dialogue("q", "x" * 200)
    whole = chat.training_example(long.messages)
    ((ids, mask),), counts = encode([long], chat, CONTEXT)
    assert (ids, mask) == (whole[0][: CONTEXT + 1], whole[1][: CONTEXT + 1])
    (line,) = counts.lines(CONTEXT, "cut")
    assert line.startswith(
        f"1 of 1 rows are longer than the {CONTEXT} tokens that the model reads, the longest {len(whole[0])}"
    )


def test_a_dialogue_is_cut_behind_an_answer_and_not_within_the_next_question(chat: ChatML) -> None:
    short = chat.training_example(dialogue("q", "one").messages)
    examples, counts = encode([dialogue("q", "one", "x" * 200, "two")], chat, CONTEXT)
    assert examples == [short]
    assert counts.cut_answers == 0
    assert encode([dialogue("q", "x" * 200)], chat, CONTEXT)[1].cut_answers == 1


@pytest.mark.parametrize("too_long", ["cut", "split"])
def test_answers_that_are_lost_whole_are_counted(chat: ChatML, too_long: TooLong) -> None:
    """Behind the cut, or of a part whose question alone is longer than the model reads."""
    rows = [dialogue("q", "one", "x" * 200, "two"), dialogue("q", "a")]
    examples, counts = encode(rows, chat, CONTEXT, too_long)
    assert [learnt(example, chat) for example in examples] == [["one<|im_end|>"], ["a<|im_end|>"]]
    assert (counts.lost_answers, counts.cut_answers) == (1, 0)
    (line,) = counts.lines(CONTEXT, too_long)
    assert ", 1 answers are lost whole (--too-long" in line
    unlost = encode([dialogue("q", "one", "q", "x" * 200)], chat, CONTEXT, too_long)[1]
    assert (unlost.lost_answers, unlost.cut_answers) == (0, 1)


def test_a_dropped_dialogue_is_gone_and_a_short_one_stays(chat: ChatML) -> None:
    examples, counts = encode([dialogue("q", "x" * 200), dialogue("q", "a")], chat, CONTEXT, "drop")
    assert examples == [chat.training_example(dialogue("q", "a").messages)]
    assert (counts.too_long, counts.nothing_learnt) == (1, 0)


def test_a_split_dialogue_teaches_each_answer_once_behind_the_systems_words(chat: ChatML) -> None:
    long = dialogue(*(text for number in range(9) for text in (f"q{number}", f"answer {number}")))
    long.messages.insert(0, {"role": "system", "content": "brief"})
    examples, _ = encode([long], chat, CONTEXT, "split")
    assert len(examples) > 2
    answers = [answer for example in examples for answer in learnt(example, chat)]
    assert answers == [f"answer {number}<|im_end|>" for number in range(9)]
    for ids, _ in examples:
        assert len(ids) <= CONTEXT + 1
        assert chat.tokenizer.decode(ids).startswith("system\nbrief\nuser\nq")


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=2, max_size=9),
    context=st.integers(16, 200),
    too_long=st.sampled_from(["cut", "split", "drop"]),
)
def test_every_example_fits_and_has_loss(chat: ChatML, lengths: list[int], context: int, too_long: TooLong) -> None:
    row = dialogue(*("x" * length for length in lengths))
    examples, counts = encode([row], chat, context, too_long)
    assert all(len(ids) - 1 <= context and len(ids) == len(mask) and any(mask) for ids, mask in examples)
    assert bool(counts.too_long) == (len(chat.training_example(row.messages)[0]) - 1 > context)
    assert examples or counts.nothing_learnt or (too_long == "drop" and counts.too_long)


@pytest.mark.parametrize(("ends", "without_end"), [(["<|end|>"], 3), (["<|end|>", "<|role|>"], 0)])
def test_the_end_of_an_answer_is_learnt_or_told_of(tmp_path: Path, ends: list[str], without_end: int) -> None:
    """Where the template writes none, the mark of the next turn is one if the folder says that it ends answers."""
    folder = make_chat(tmp_path, MARKS_ALONE)
    tokenizer = load_chat(folder).tokenizer
    end_ids = [tokenizer.special_id(name) for name in ends]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end_ids}))
    chat = load_chat(folder)
    examples, counts = encode([dialogue("q", "one", "q", "two"), dialogue("q", "three")], chat, 512)
    assert (counts.answers, counts.without_end) == (3, without_end)
    said = [answer for example in examples for answer in learnt(example, chat)]
    assert said == [answer + ("" if without_end else "<|role|>") for answer in ("one", "two", "three")]
    assert any("does not learn to stop" in line for line in counts.lines(512, "cut")) == bool(without_end)


def test_what_a_template_refuses_is_left_out_and_shown(tmp_path: Path) -> None:
    refusing = "{% if messages[0].content == 'bad' %}{{ raise_exception('not this') }}{% endif %}" + MARKS_ALONE
    chat = load_chat(make_chat(tmp_path / "chat", refusing))
    examples, counts = encode([dialogue("bad", "a"), dialogue("q", "a")], chat, 512)
    assert len(examples) == 1
    head, fault, *_ = counts.lines(512, "cut")
    assert head == "1 of 2 rows do not fit the model's chat format: left out"
    assert fault.strip() == "row 1: the model's chat template refuses this: not this"


def test_a_template_with_a_part_of_tools_does_not_teach_empty_answers(tmp_path: Path) -> None:
    """One that knows neither tools nor calls has both in words; one that knows either would leave the other out."""
    function = {"name": "f", "arguments": "{}"}
    calling = Dialogue(
        [*dialogue("q").messages, {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}]
    )
    offered = dialogue("q", "a", tools=[{"type": "function", "function": {"name": "f"}}])
    shown = "the model's chat template shows no"
    sources = {
        "all": (HERMES, []),
        "none": (PLAIN, []),
        "tools": ("{% if tools %}{{ tools }}{% endif %}" + PLAIN, [f"{shown} calls of tools"]),
        "calls": (re.sub(r"\btools\b", "t", HERMES), [f"{shown} tools"]),
    }
    for name, (source, faults) in sources.items():
        chat = load_chat(make_chat(tmp_path / name, source))
        examples, counts = encode([calling, offered], chat, 512)
        assert [fault.split(": ")[1] for fault in counts.refused.first] == faults
        assert len(examples) == 2 - len(faults)
        assert all(len(learnt(example, chat)[0]) > len("<|end|>") for example in examples)


@pytest.mark.parametrize("too_long", ["cut", "split"])
def test_answers_that_a_template_shows_otherwise_later_on_are_told_of(tmp_path: Path, too_long: TooLong) -> None:
    """Qwen3's template takes thoughts away from all answers but the last."""
    rewriting = PLAIN.replace(
        "'\n' + m.content", "'\n' + ('<think></think>' if loop.last and m.role == 'assistant' else '') + m.content"
    )
    chat = load_chat(make_chat(tmp_path, rewriting))
    row = dialogue("q", "one", "q", "two", "q", "three")
    whole, counts = encode([row], chat, 512, too_long)
    assert [learnt(example, chat) for example in whole] == [["<think></think>three<|end|>"]]
    assert (counts.rewritten, counts.lost_answers) == (2, 0)
    assert any(line.startswith("2 answers have no loss") for line in counts.lines(512, too_long))
    examples, counts = encode([row], chat, len(whole[0][0]) - 2, too_long)
    answers = sum(len(learnt(example, chat)) for example in examples)
    assert answers + counts.rewritten + counts.lost_answers == 3
    assert min(counts.rewritten, counts.lost_answers) >= 0


def test_thoughts_that_are_not_shown_are_told_of(chat: ChatML, tmp_path: Path) -> None:
    row = dialogue("q", "a")
    row.messages[1]["reasoning_content"] = "hm"
    (line,) = encode([row], chat, 512)[1].lines(512, "cut")
    assert line.startswith("1 of 1 rows have thoughts")
    shown = load_chat(make_chat(tmp_path, THINKING))
    assert encode([row], shown, 512)[1].lines(512, "cut") == []


def test_names_of_messages_are_used_or_told_of(chat: ChatML, tmp_path: Path) -> None:
    rows = [dialogue("q", "a"), dialogue("q", "b")]
    rows[1].messages[0]["name"] = "松子"
    (line,) = encode(rows, chat, 512)[1].lines(512, "cut")
    assert line.startswith("1 of 2 rows have messages with a name")
    naming = load_chat(make_chat(tmp_path, MARKS_ALONE.replace("m.content }}", "m.name | default('') + m.content }}")))
    examples, counts = encode(rows, naming, 512)
    assert "松子" in naming.tokenizer.decode(examples[1][0])
    assert not counts.unshown_names


def test_strict_stops_at_what_a_template_refuses(tmp_path: Path) -> None:
    refusing = "{% if 'c' in messages[0].content %}{{ raise_exception('not this') }}{% endif %}" + MARKS_ALONE
    run = make_run(tmp_path / "run")
    chat = load_chat(make_chat(tmp_path / "chat", refusing))
    assert load_examples(run, chat, 512)
    with pytest.raises(InputError, match=r"train\.jsonl, row 3: .*not this"):
        load_examples(run, chat, 512, strict=True)
    check_learnable(read_dialogues(run), chat, 512, "cut")
    with pytest.raises(InputError, match=r"row 3: .*not this"):
        check_learnable(read_dialogues(run), chat, 512, "cut", strict=True)


def test_exact_duplicates_are_kept_and_counted(chat: ChatML) -> None:
    rows = [dialogue("q", "a"), dialogue("q", "b"), dialogue("q", "a"), dialogue("q", "a", lang="ja")]
    examples, counts = encode(rows, chat, CONTEXT)
    assert len(examples) == 4
    assert counts.lines(CONTEXT, "cut") == ["2 of 4 rows are exact duplicates of others: kept, each counts"]


def test_a_clean_set_of_rows_is_nothing_to_speak_of(chat: ChatML) -> None:
    assert encode([dialogue("q", "a"), dialogue("q", "b")], chat, CONTEXT)[1].lines(CONTEXT, "cut") == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天天气很好。", "zh"),
        ("今日はいい天気ですね。", "ja"),
        ("カタカナ", "ja"),
        ("把「カタカナ」写成平假名应该是什么样子，请直接告诉我最后的答案", "zh"),
        ("Hello there", "en"),
        ("请用 Python 写一个函数", "zh"),
        ("12 + 34", "other"),
        ("안녕하세요", "other"),
        ("", "other"),
    ],
)
def test_languages_are_told_by_their_script(text: str, language: str) -> None:
    assert language_of(text) == language


@given(st.lists(st.integers(1, 5000), max_size=50))
def test_a_histogram_counts_each_length_once(lengths: list[int]) -> None:
    bins = histogram(lengths)
    assert [number for *_, number in bins] == [
        sum(first <= length <= last for length in lengths) for first, last, _ in bins
    ]
    assert sum(number for *_, number in bins) == len(lengths)


def test_the_verb_shows_rows_as_the_model_sees_them(tmp_path: Path, shosei: Shosei) -> None:
    run = make_run(tmp_path / "run")
    run.log.mkdir()
    rows = [dialogue("今天天气好吗？", "ab\n"), dialogue("元気ですか。", "はい\x1b。"), dialogue("only asked")]
    run.write("data/train.jsonl", "".join(json.dumps({"messages": row.messages}) + "\n" for row in rows))
    code, out, _ = shosei("data", "--inspect", run.folder, "--rows", "2")
    assert code == 0
    lines = out.splitlines()
    with_loss = [line.removeprefix("  + ").replace("│", "") for line in lines if line.startswith("  + ")]
    byte_tokens = "".join(f"<0x{byte:02X}>" for byte in "はい".encode())
    assert with_loss[0] == "ab⏎<|im_end|>"
    assert with_loss[1].startswith(f"{byte_tokens}\\x1b<0xE3>")
    assert len(with_loss) == 2
    assert "1 of 3 rows teach nothing, as no answer of theirs has loss: left out" in lines
    assert [line.split() for line in lines[-4:]] == [
        ["zh", "33.3%"],
        ["ja", "33.3%"],
        ["en", "33.3%"],
        ["other", "0.0%"],
    ]

    values = json.loads(shosei("data", "--inspect", run.folder, "--rows", "1", "--json")[1])
    (shown,) = values["rows"]
    chat = load_chat(run.tokenizer)
    _, mask = chat.training_example(rows[0].messages)
    assert [loss for part in shown for loss in [part["loss"]] * len(part["tokens"])] == mask
    assert (values["examples"], values["nothing_learnt"], values["context"]) == (2, 1, 512)
    assert sum(number for *_, number in values["lengths"]) == 2
    assert values["languages"] == languages(rows)


def test_inspecting_takes_no_settings_of_generated_questions(tmp_path: Path, shosei: Shosei) -> None:
    run = make_run(tmp_path / "run")
    run.log.mkdir()
    for more in (["--seed", "1"], ["--text", tmp_path]):
        code, _, err = shosei("data", "--inspect", run.folder, *more)
        assert (code, err.count("\n")) == (2, 1)
        assert str(more[0]) in err
