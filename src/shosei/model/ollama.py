"""The Modelfile with which Ollama runs a GGUF file: chat layout, ends of answers, sampling, context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.model.hf_config import read_spec
from shosei.text import Tokenizer
from shosei.text.foreign import TEMPLATE, read_templates
from shosei.text.generation import SamplingDefaults
from shosei.text.template import FolderChat, load_templates

# Of ``SamplingDefaults``, to Ollama's names.
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
_MARKS = {"system": "\ue000", "user": "\ue001", "assistant": "\ue002"}  # private characters, in no template


def modelfile(folder: Path, gguf: Path) -> str:
    """The Modelfile, to stand beside ``gguf``, of the model in ``folder``.

    Raises InputError if its chat template does more than put text before and after each message: Ollama's templates are
    Go's and not Jinja, so that a layout of another kind would be lost.
    """
    tokenizer = Tokenizer.load(folder)
    lines = [f"FROM ./{gguf.name}"]
    if read_templates(folder)[TEMPLATE]:
        lines.append(f'TEMPLATE """{_go_template(load_templates(folder, tokenizer), folder / TEMPLATE)}"""')
    names = {tokenizer.special_id(name): name for name in tokenizer.special_names}
    lines += [f'PARAMETER stop "{names[end]}"' for end in tokenizer.end_ids if end in names]
    lines += [f"PARAMETER {name} {value}" for name, value in _sampling(folder).items()]
    return "\n".join([*lines, f"PARAMETER num_ctx {read_spec(folder).context_length}", ""])


def _sampling(folder: Path) -> dict[str, Any]:
    """As our server draws: all of it is stated, for Ollama has defaults of its own."""
    defaults = SamplingDefaults.of_folder(folder)
    return {name: getattr(defaults, key) for key, name in _SAMPLING.items()}


def _go_template(chat: FolderChat, file: Path) -> str:
    """Read off the layouts of short conversations and held against those of longer ones."""
    layout = _Layout.read(chat)
    longer = (
        ["user"],
        ["system", "user"],
        ["user", "assistant", "user"],
        ["system", *["user", "assistant"] * 2, "user"],
    )
    if any(layout.text(roles) != _rendered(chat, roles, prompt=True) for roles in longer):
        raise InputError(
            f"{file} does more than put text around each message, which Ollama's templates cannot all say; export with "
            "--format gguf, and serve that with llama-server --jinja"
        )
    texts = [layout.default, layout.announcement, *(text for pair in layout.around.values() for text in pair)]
    if any(mark in text for mark in ("{{", '"""') for text in texts):
        raise InputError(f"{file} writes marks of Ollama's own templates; export with --format gguf")
    return layout.as_go()


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a chat template puts around messages of each role, before a conversation without a system message, and
    before an answer."""

    around: dict[str, tuple[str, str]]
    default: str
    announcement: str

    @classmethod
    def read(cls, chat: FolderChat) -> _Layout:
        whole = _rendered(chat, ["system", "user", "assistant", "user"])
        begin, system_user, user_answer, answer_user, user_end = _split(whole)
        answer_end = _split(_rendered(chat, ["user", "assistant"]))[-1]
        user_begin = answer_user.removeprefix(answer_end)
        asked = _rendered(chat, ["user"])
        return cls(
            around={
                "system": (begin, system_user.removesuffix(user_begin)),
                "user": (user_begin, user_end),
                "assistant": (user_answer.removeprefix(user_end), answer_end),
            },
            default=_split(asked)[0].removesuffix(user_begin),
            announcement=_rendered(chat, ["user"], prompt=True).removeprefix(asked),
        )

    def text(self, roles: Sequence[str]) -> str:
        """The prompt of a conversation in which each message is its role's mark."""
        turns = [_MARKS[role].join(self.around[role]) for role in roles]
        return "".join(["" if roles[0] == "system" else self.default, *turns, self.announcement])

    def as_go(self) -> str:
        default = (
            f'{{{{ if ne (index .Messages 0).Role "system" }}}}{self.default}{{{{ end }}}}' if self.default else ""
        )
        cases = " else ".join(
            f'if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}{{{{'
            for role, (before, after) in self.around.items()
        )
        return f"{default}{{{{ range .Messages }}}}{{{{ {cases} end }}}}{{{{ end }}}}{self.announcement}"


def _rendered(chat: FolderChat, roles: Sequence[str], *, prompt: bool = False) -> str:
    messages = [{"role": role, "content": _MARKS[role]} for role in roles]
    return chat.text(messages, add_generation_prompt=prompt)


def _split(text: str) -> list[str]:
    return re.split(f"[{''.join(_MARKS.values())}]", text)
