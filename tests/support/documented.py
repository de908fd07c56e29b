"""The command lines that the documents show, as a reader would paste them.

Those in fenced ``sh`` blocks, and those within a sentence that are whole: with something to work on, not just named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Decisions and benchmarks tell what was typed on a day; nobody is to type it today.
DOCUMENTS = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("install", "build", "serve", "deploy", "measure", "agents", "compare", "ci")
    ),
    *(ROOT / "docs" / f"{name}.md" for name in ("metrics", "models", "profiles", "tune", "tune-train", "tune-agents")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
_PROGRAMS = ("shosei", "torchrun", "make", "pip", "python", "curl", ".", "./recipe.sh", "ci/measure.sh", "case")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_SPAN = re.compile(r"`([^`]+)`")
_UNFENCED = re.compile(r"^    (?:shosei|torchrun|make|pip|python) .*", re.M)
_NEED_NOTHING = ("shosei models", "shosei metrics", "shosei agents list")


@dataclass(frozen=True)
class Shown:
    """A command as ``document`` shows it, with or without a block of its own."""

    document: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text}"

    @property
    def program(self) -> str:
        return next(word for word in self.text.split() if not re.match(r"[A-Z_]+=", word))


def shown(document: Path) -> Iterator[Shown]:
    """Every command of a document, in its order. Raises ValueError for a program that no test knows to run."""
    text = document.read_text(encoding="utf-8")
    name = str(document.relative_to(ROOT))
    place = 0
    for block in _BLOCK.finditer(text):
        yield from (Shown(name, span) for span in _spans(text[place : block.start()]))
        place = block.end()
        if block[1] == "sh":
            for line in _lines(block[2]):
                command = Shown(name, line)
                if command.program not in _PROGRAMS:
                    raise ValueError(f"{command}: a program that no test knows to run")
                yield command
    yield from (Shown(name, span) for span in _spans(text[place:]))
    if hidden := _UNFENCED.search(_BLOCK.sub("", text)):
        raise ValueError(f"{name}: '{hidden[0].strip()}' stands in no fenced block, where no test finds it")


def mentions(text: str) -> Iterator[str]:
    """The verbs with their options that a text names, whole commands or not."""
    for span in re.findall(r"`([^`\n]+)`|'(shosei [^'\n]+)'", _BLOCK.sub("", text)):
        words = " ".join("".join(span).split())
        if found := re.search(r"(?:^|\s)(shosei [a-z].*)", words):
            yield found[1]


def _lines(block: str) -> Iterator[str]:
    """A block's commands: continued lines are joined, what is said of them is left out, a ``case`` is one of them."""
    joined = re.sub(r"\s+# .*$", "", block.replace("\\\n", " "), flags=re.M)
    for found in re.finditer(r"[^\n]+\ncase .*?^esac$|[^\n]+", joined, re.M | re.S):
        yield found[0] if "\ncase " in found[0] else " ".join(found[0].split())


def _spans(text: str) -> Iterator[str]:
    for span in _SPAN.findall(text):
        command = " ".join(span.split())
        program = next((word for word in command.split() if "=" not in word), "")
        if program in ("make", "pip", "python") or (program == "shosei" and _whole(command)):
            yield command


def _whole(command: str) -> bool:
    """Whether a verb has what it works on: an operand, or a run. Some need nothing."""
    if command in _NEED_NOTHING:
        return True
    own, dashes, _ = command.partition(" -- ")
    operand = re.search(r"shosei (?:agents [a-z]+|(?!agents)[a-z]+) (?!-)\S", own) and not dashes
    return "…" not in own and bool(operand or " --run " in own)
