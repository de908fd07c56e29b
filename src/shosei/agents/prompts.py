"""Everything that the shipped systems say to a model, by language, and the skills that a router chooses from.

Short on purpose: a model of two million parameters reads it. ``nano`` is trained on these very words. A run may have
others in their place: its setting ``NAME_LANG``, such as ``solve_ja``.
"""

from __future__ import annotations

from shosei.wire.system import setting

# A skill is a specialist's tools, by name; a router answers LANGUAGE-SKILL, such as ``zh-calculator``.
SKILLS: dict[str, tuple[str, ...]] = {
    "calculator": ("calculator", "numerals"),
    "calendar": ("calendar",),
    "days": ("days_between", "weekday"),
    "numerals": ("numerals",),
    "units": ("convert",),
    "python": ("python",),
    "chat": (),
}

_NAMES = " ".join(SKILLS)

ROUTE = {
    "zh": f"选专家：zh或ja-{_NAMES}",
    "ja": f"専門家を選べ：zhかja-{_NAMES}",
    "en": f"Name the specialist, zh-, ja- or en- and one of: {_NAMES}",
}
SOLVE = {
    "zh": "用工具，只答结果。",
    "ja": "道具を使い、結果だけ答えよ。",
    "en": "Use the tools. Reply with the result only.",
}
CHECK = {
    "zh": "答案对吗？对就答OK，不对就说明原因。",
    "ja": "答えは正しいか。正しければOK、違えば理由を答えよ。",
    "en": "Is the answer right? Reply OK, or say what is wrong.",
}
PLAN = {
    "zh": "分成几步，每行一步，至多四步。",
    "ja": "手順に分けよ。一行に一つ、四つまで。",
    "en": "Split it into at most four steps, one a line.",
}
WORK = {"zh": "只做这一步。", "ja": "この手順だけ行え。", "en": "Do this step only."}
WRITE = {
    "zh": "根据结果回答问题。",
    "ja": "結果から質問に答えよ。",
    "en": "Answer the question from the results.",
}
DEBATE = {
    "zh": "看看别人的答案，再答一次。",
    "ja": "他の答えを見て、もう一度答えよ。",
    "en": "Read the other answers, then answer again.",
}

_WORDS = {
    "route": ROUTE,
    "solve": SOLVE,
    "check": CHECK,
    "plan": PLAN,
    "work": WORK,
    "write": WRITE,
    "debate": DEBATE,
}


def prompt(name: str, lang: str) -> str:
    """What the agent of that role is told in ``lang``."""
    return setting(f"{name}_{lang}", _WORDS[name][lang])


def examples(lang: str) -> list[dict[str, str]]:
    """Questions with their answers that a solver is shown as earlier turns: the setting ``examples_LANG``, if any.

    A paragraph each, its first line the question, the others the answer. Raises ValueError for one of a single line.
    """
    turns = []
    for paragraph in filter(None, (each.strip() for each in setting(f"examples_{lang}", "").split("\n\n"))):
        question, _, answer = paragraph.partition("\n")
        if not answer:
            raise ValueError(f"the example '{question[:40]}' has no answer: write it in the next line")
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return turns
