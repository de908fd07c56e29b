"""A solver with a calculator and a checker, in plain ``openai`` code. Each agent names itself in a header."""

from __future__ import annotations

import json
from typing import Any

from openai import OpenAI
from two_agents import CALLS, CHECK, MAX_TOKENS, RETRIES, SOLVE, TRIES, Task, approves, calculator, read_task

CALCULATOR: Any = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluates arithmetic.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    },
}


def client(agent: str) -> OpenAI:
    """Finds the server in OPENAI_BASE_URL."""
    return OpenAI(default_headers={"x-agent": agent}, max_retries=RETRIES)


def solve(task: Task, question: str) -> str:
    """The solver's answer; where it only ever calls the calculator, what that said last."""
    messages: list[Any] = [{"role": "system", "content": SOLVE[task.lang]}, {"role": "user", "content": question}]
    with client("solver") as solver:
        for _ in range(CALLS):
            said = (
                solver.chat.completions.create(
                    model=task.model, messages=messages, tools=[CALCULATOR], temperature=0, max_tokens=MAX_TOKENS
                )
                .choices[0]
                .message
            )
            if not said.tool_calls:
                return said.content or ""
            messages.append(said)
            for call in said.tool_calls:
                messages.append({"role": "tool", "tool_call_id": call.id, "content": called(call)})
    return str(messages[-1]["content"])


def called(call: Any) -> str:
    """What the calculator says; a weak model's arguments may be none."""
    try:
        return calculator(**json.loads(call.function.arguments))
    except (TypeError, ValueError):
        return "Error: give one expression"


def check(task: Task, answer: str) -> str:
    messages: list[Any] = [
        {"role": "system", "content": CHECK[task.lang]},
        {"role": "user", "content": f"{task.question}\n{answer}"},
    ]
    with client("checker") as checker:
        said = checker.chat.completions.create(
            model=task.model, messages=messages, temperature=0, max_tokens=MAX_TOKENS
        )
    return said.choices[0].message.content or ""


def main() -> None:
    task = read_task()
    question, answer = task.question, ""
    for _ in range(TRIES):
        answer = solve(task, question)
        verdict = check(task, answer)
        if approves(verdict):
            break
        question = f"{task.question}\n{answer}\n{verdict}"
    print(answer)


if __name__ == "__main__":
    main()
