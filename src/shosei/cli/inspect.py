"""``shosei data --inspect``: a run's training rows as its model sees them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from shosei.cli.common import result

if TYPE_CHECKING:
    from shosei.log import Run

_BAR = 40  # characters of the fullest bin
_LEARNT, _GIVEN = "  + ", "    "


def inspect_rows(run: Run, count: int, as_json: bool) -> None:
    """Show the first ``count`` examples, then what became of the run's rows, their lengths and languages."""
    from shosei.config import load
    from shosei.data.door import read_dialogues
    from shosei.data.examples import encode
    from shosei.data.inspection import histogram, languages, stretches
    from shosei.model import folder
    from shosei.text import load_chat
    from shosei.train import TrainConfig
    from shosei.train.preparation import shape_of

    dialogues, chat = read_dialogues(run), load_chat(run.tokenizer)
    config = load(TrainConfig, "train", run.toml if run.toml.is_file() else None)
    vocab_size = chat.tokenizer.vocab_size
    spec = folder.read_spec(run.model) if run.model.is_dir() else shape_of(config, vocab_size)
    examples, counts = encode(dialogues, chat, spec.context_length, config.too_long)
    shown = [list(stretches(example, chat.tokenizer)) for example in examples[:count]]
    lengths = histogram(len(ids) for ids, _ in examples)
    by_language = languages(dialogues)
    if as_json:
        rows = [[{"loss": learnt, "tokens": tokens} for learnt, tokens in row] for row in shown]
        values = {"run": str(run.folder), **asdict(counts), "context": spec.context_length, "rows": rows}
        result(values | {"lengths": lengths, "languages": by_language}, [], as_json=True)
        return
    for number, row in enumerate(shown, 1):
        _show(number, row)
    with_loss = sum(sum(mask) for _, mask in examples)
    tokens = sum(len(ids) for ids, _ in examples)
    lines = [f"{len(examples):,} examples of {len(dialogues):,} rows, {tokens:,} tokens, {with_loss:,} with loss"]
    lines += counts.lines(spec.context_length, config.too_long)
    lines += ["", "tokens         examples", *_bars(lengths), "", "language by script, of the rows"]
    lines += [f"{language:8}{number / max(1, len(dialogues)):8.1%}" for language, number in by_language.items()]
    result({}, lines, as_json=False)


def _show(number: int, row: list[tuple[bool, list[str]]]) -> None:
    """One example, a line for each stretch: those with loss begin with +, and are green on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    tokens, learnt = sum(len(each) for _, each in row), sum(len(each) for loss, each in row if loss)
    console.print(f"example {number}: {tokens} tokens, {learnt} with loss (+)", markup=False, soft_wrap=True)
    for loss, words in row:
        line = Text((_LEARNT if loss else _GIVEN) + "│".join(words), style="bold green" if loss else "")
        console.print(line, soft_wrap=True)
    console.print()


def _bars(bins: list[tuple[int, int, int]]) -> list[str]:
    most = max((number for *_, number in bins), default=1)
    return [f"{f'{first:,}–{last:,}':14}{number:9,}  {'█' * -(-_BAR * number // most)}" for first, last, number in bins]
