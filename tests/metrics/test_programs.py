"""The program that an answer holds: run, it must do what a person sees in the answer."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.metrics.grading.programs import build_program, extract_code

CASES = Path(__file__).parent / "cases" / "programs.jsonl"
PROMPT = (
    'from typing import List\n\ndef add(a: int, b: int) -> int:\n    """The sum.\n\n    >>> add(1, 2)\n    3\n    """\n'
)
GOOD = "def add(a, b):\n    return a + b\n"
HELPED = "def add(a, b):\n    return _both(a, b)\n"
HELPER = "def _both(a, b):\n    return a + b\n"
WORSE = "def add(a, b):\n    return a - b\n"
PROMPTED = ">>> def add(a, b):\n...     return a + b\n...\n"
BODY = "    total = a\n    total += b\n    return total\n"

RIGHT = {
    "a fence": f"```python\n{GOOD}```",
    "another language first": f"```bash\npip install numpy\n```\n```python\n{GOOD}```",
    "a usage first": f"```python\nprint(add(1, 2))\n```\nwith\n```python\n{GOOD}```",
    "a usage last": f"```python\n{GOOD}```\nUse it so:\n```python\nassert add(1, 2) == 4, 'as you like'\n```",
    "doctests last": f"```python\n{GOOD}```\n```python\n>>> add(1, 2)\n3\n```",
    "a stray closing fence": f"{GOOD}```",
    "a stray closing fence and a line": f"{GOOD}```\n",
    "a fence that is not closed": f"好的：\n```python\n{GOOD}",
    "tildes": f"~~~python\n{GOOD}~~~",
    "more backticks": f"````py\n{GOOD}````",
    "a fence in a list": "1. So:\n   ```python\n" + "".join(f"   {line}\n" for line in GOOD.splitlines()) + "   ```\n",
    "a fence within a line": f"はい。```py\n{GOOD}```以上です。",
    "carriage returns": f"```python\n{GOOD}```".replace("\n", "\r\n"),
    "prose after, in English": f"{GOOD}\nThis function adds two numbers.",
    "prose after, in Chinese": f"{GOOD}\n这个函数返回两个数的和。",
    "prose after, in Japanese": f"代码如下：\n{GOOD}\n二つの数の和を返します。\n以上です",
    "prose that is Python": f"{GOOD}\nDone\n\nComplexity: O(n)\n",
    "prose before and between": f"First a helper.\n\n{HELPER}\nThen the function itself:\n\n{HELPED}\nDone.",
    "a future import": f"```python\nfrom __future__ import annotations\n\n{GOOD}```",
    "a future import among others": "```python\nimport math\n```\n"
    f"```python\nfrom __future__ import annotations\n{GOOD}```",
    "a helper in another fence": f"```python\n{HELPER}```\nand\n```python\n{HELPED}```",
    "a helper in a later fence": f"```python\n{HELPED}```\nwhere\n```python\n{HELPER}print(_both(1, 2) / 0)\n```",
    "a constant in another fence": "```python\nZERO = 0\n```\n```python\ndef add(a, b):\n    return ZERO + a + b\n```",
    "an import in another fence": "```python\nimport operator\n```\n"
    "```python\ndef add(a, b):\n    return operator.add(a, b)\n```",
    "a helper's helper": "```python\ndef one(a, b):\n    return two(a, b)\n```\n"
    "```python\ndef two(a, b):\n    return a + b\n```\n"
    "```python\ndef add(a, b):\n    return one(a, b)\n```",
    "a correction": "```python\ndef add(a, b):\n    return a - b\n```\nWait, that subtracts.\n```python\n"
    + GOOD
    + "```",
    "a signature shown again": f"```python\n{GOOD}```\nIts signature is\n```python\ndef add(a, b):\n    ...\n```",
    "a class": "```python\nclass Solution:\n    def add(self, a, b):\n        return a + b\n```",
    "an unfenced class": "class Solution:\n    def add(self, a: int, b: int) -> int:\n        return a + b",
    "a usage in the same fence": f"```python\n{GOOD}\na, b = map(int, input().split())\nprint(add(a, b))\n```",
    "a wrong assert in the same fence": f"```python\n{GOOD}\nassert add(1, 2) == 4\n```",
    "a constant after the function": "```python\ndef add(a, b):\n    return ZERO + a + b\n\n"
    "ZERO = 0\nprint(add(1))\n```",
    "an alias after the function": "```python\ndef plus(a, b):\n    return a + b\n\nadd = plus\nadd()\n```",
    "a fence in a docstring": '```python\ndef add(a, b):\n    """Adds.\n\n    ```\n    add(1, 2)\n    ```\n    """\n'
    "    return a + b\n```",
    "a lambda": "```python\nadd = lambda a, b: a + b\n```",
    "a decorator": f"import functools\n\n@functools.cache\n{GOOD}",
    "a main guard": f"```python\n{GOOD}\nif __name__ == '__main__':\n    print(add(int(input()), 1))\n```",
    "the prompt again": f"{PROMPT}    return a + b",
    "the prompt again, fenced": f"```python\n{PROMPT}    return a + b\n```",
    "the body": BODY,
    "the body and prose": f"{BODY}\nThat is all.",
    "the body, fenced": f"```python\n{BODY}```",
    "the body, fenced, without indentation": "```python\ntotal = a\ntotal += b\nreturn total\n```",
    "the body, its first line without indentation": BODY.lstrip(),
    "one line": "return a + b",
    "a thought with a draft": "<think>\n```python\ndef add(a, b):\n    return a - b\n```\n</think>\n```python\n"
    + GOOD
    + "```",
    "a thought that the template opened": "def add(a, b): return a - b\n</think>\n" + GOOD,
    "prose in the fence": f"```python\nHere it is:\n{GOOD}\nThat was it.\n```",
    "typed at a prompt": f"```python\n{PROMPTED}```",
    "typed at a prompt, with an example": f"```python\n{PROMPTED}>>> add(1, 2)\n3\n```",
    "indentation of no-break spaces": "def add(a, b):\n\u00a0\u00a0\u00a0\u00a0return a + b\n",
    "indentation of full-width spaces": "def add(a, b):\n\u3000\u3000return a + b\n",
    "HTML": "So:<pre><code class='python'>def add(a, b):\n    return a + b if a &lt; b else b + a\n</code></pre>",
    "code within a line": "Use `def add(a, b): return a + b`.",
    "what not to write": f"```python\n{GOOD}```\nDo not write it like this:\n```python\n{WORSE}```",
    "what not to write, in Chinese": f"```python\n{GOOD}```\n错误写法：\n\n```python\n{WORSE}```",
    "what seems not to be written": f"Never use global state. Do not write more than this:\n```python\n{GOOD}```",
    "a fence that breaks off after it": f"```python\n{GOOD}\ndef other(x):\n    return [x for x in",
}
WRONG = {
    "nothing": "",
    "a refusal": "我不会。",
    "one word": "add",
    "another function": "```python\ndef plus(a, b):\n    return a + b\n```",
    "a wrong one": "```python\ndef add(a, b):\n    return a - b\n```",
    "right only in the thought": f"<think>\n{GOOD}</think>\n```python\ndef add(a, b):\n    return a * b\n```",
    "cut off in the thought": f"<think>\n```python\n{GOOD}```",
    "a stub": "```python\ndef add(a, b):\n    pass\n```",
    "cut off": "```python\ndef add(a, b):\n    return (a +",
    "deeper than Python reads": "```python\ndef add(a, b):\n    return " + "(" * 5000 + "a + b" + ")" * 5000 + "\n```",
    "no text": "```python\n\0\n```",
}
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3 and candidate(-1, 1) == 0\n"
RUN = "program, name, test = __import__('json').loads(input())\nspace = {'__name__': 'candidate'}\n" + (
    "exec(compile(program, 'program', 'exec'), space)\ntests = {}\nexec(test, tests)\ntests['check'](space[name])"
)


def passes(answer: str, prompt: str, entry_point: str, test: str) -> bool:
    program = build_program(answer, entry_point, prompt)
    return (
        bool(program)
        and not subprocess.run(
            [sys.executable, "-I", "-S", "-c", RUN],
            input=json.dumps([program, entry_point, test]),
            text=True,
            capture_output=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (2, 2)),
        ).returncode
    )


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_passes_however_it_is_presented(name: str) -> None:
    assert passes(RIGHT[name], PROMPT, "add", CHECK)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_stays_wrong(name: str) -> None:
    assert not passes(WRONG[name], PROMPT, "add", CHECK)


@pytest.mark.parametrize("case", [json.loads(line) for line in CASES.read_text("utf-8").splitlines()])
def test_a_reader_who_did_not_know_the_rules_agrees(case: dict[str, Any]) -> None:
    assert passes(case["answer"], case["prompt"], case["entry_point"], case["test"]) == case["right"]


def test_helpers_of_the_prompt_stand_before_the_program() -> None:
    prompt = 'import math\n\ndef half(x):\n    return x / 2\n\ndef add(a, b):\n    """Twice the half."""\n'
    for answer in ("def add(a, b):\n    return half(2 * (a + b))", "    return half(2 * (a + b))"):
        assert passes(answer, prompt, "add", CHECK)


def test_without_a_prompt_there_is_nothing_to_go_on_with() -> None:
    assert build_program("    return a + b", "add") == ""
    assert passes(f"```python\n{GOOD}```", "", "add", CHECK)


@pytest.mark.parametrize(
    "piece", ["```\n", "x = (\n", "```python\nx = (\n```\n", "def f(x):\n    return x y\n", "<pre>"]
)
def test_an_answer_that_repeats_itself_is_read_all_the_same(piece: str) -> None:
    program = build_program(f"```python\n{GOOD}```\n" + piece * 2_000, "add", PROMPT)
    assert "return a + b" in program


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(build_program(text, "add", PROMPT), str)
    assert isinstance(extract_code(text), str)


@given(st.text(st.characters(exclude_characters="`~\r<"), max_size=40), st.text(max_size=40))
def test_prose_around_a_fence_changes_nothing(before: str, after: str) -> None:
    after = after.replace("`", "").replace("~", "").replace("<", "")
    assert build_program(f"{before}\n```python\n{GOOD}```\n{after}", "add") == GOOD.strip()
