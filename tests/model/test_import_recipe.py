"""The recipe in ``examples/import``, as its user runs it, on a checkpoint that transformers made."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from foreign_chats import HERMES, TAGS, make_chat
from foreign_samples import TINY
from recipes import environment
from shosei.log import Request, Score, Step, read_log
from shosei.text import load_chat

EXAMPLE = Path(__file__).parents[2] / "examples" / "import"


def checkpoint(path: Path) -> Path:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    make_chat(path, HERMES, TAGS, rows=500)
    rows = len(AutoTokenizer.from_pretrained(path))
    end = AutoTokenizer.from_pretrained(path).eos_token_id
    config = AutoConfig.for_model("qwen2", **(TINY | {"vocab_size": rows, "eos_token_id": end, "num_hidden_layers": 2}))
    config.max_position_embeddings = 1024
    AutoModelForCausalLM.from_config(config).save_pretrained(path)
    return path


def test_a_checkpoint_is_imported_tuned_served_examined_and_carded(tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["--set", "train.epochs=1", "--set", "train.table_lr=0.01"]
    done = subprocess.run(
        [EXAMPLE / "recipe.sh", checkpoint(tmp_path / "theirs"), run, *options],
        env=environment(tmp_path, RATE="4", SECONDS_OF_LOAD="1"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "model/config.json").read_text())["model_type"] == "qwen2"
    log = read_log(run / "log", 1)
    assert {score.suite for score in log.of(Score)} == {"bookshop"}
    assert all(request.status == 200 for request in log.of(Request))
    assert len(log.of(Step)) == 6
    assert (run / "card.html").is_file()


def test_the_dialogues_and_the_questions_are_of_both_languages_and_apart() -> None:
    rows = [json.loads(line) for line in (EXAMPLE / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()]
    tasks = [json.loads(line) for line in (EXAMPLE / "suite.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = {message["content"] for row in rows for message in row["messages"]}
    assert not asked & {task["messages"][0]["content"] for task in tasks}
    assert [task["lang"] for task in tasks].count("zh") == [task["lang"] for task in tasks].count("ja") == 6
    kana = [any("ぁ" <= letter <= "ヿ" for letter in row["messages"][0]["content"]) for row in rows]
    assert kana.count(True) == kana.count(False) == 21


def test_a_template_that_drops_thoughts_teaches_the_last_answer(tmp_path: Path) -> None:
    """As Qwen3's: only the last answer has the tags of its thoughts."""
    dropping = (
        "{{ '<s>' }}{% for m in messages %}{{ '<|role|>' + m.role + '\n' }}"
        "{{ '<think></think>' if m.role == 'assistant' and loop.last }}{{ m.content + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|role|>assistant\n' }}{% endif %}"
    )
    chat = load_chat(make_chat(tmp_path, dropping))
    turns = [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, "问答问好", strict=True)]
    ids, mask = chat.training_example(turns)
    learned = [token for token, loss in zip(ids, mask, strict=True) if loss]
    assert chat.tokenizer.decode(learned) == "<think></think>好"
    assert learned[-1] == chat.tokenizer.end_id
    assert ids[: len(ids) - len(learned)] == chat.render(turns[:3])
