"""A solver with a calculator and a checker, as a LangGraph graph. Each agent has a base URL of its own.

Needs ``langgraph`` and ``langchain-openai``.
"""

from __future__ import annotations

from typing import Literal

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from two_agents import CALLS, CHECK, MAX_TOKENS, RETRIES, SOLVE, TRIES, Task, approves, calculator, read_task


class State(MessagesState):
    """The solver's conversation, and how often the checker has looked at it."""

    verdict: str
    checks: int


class TwoAgents:
    """The nodes of the graph, and the ways between them."""

    def __init__(self, task: Task) -> None:
        self.task, self.calculator = task, tool(calculator)
        self.solver = self.model("solver").bind_tools([self.calculator])
        self.checker = self.model("checker")

    def model(self, agent: str) -> ChatOpenAI:
        base_url = f"{self.task.base_url.removesuffix('/v1')}/a/{agent}/v1"
        return ChatOpenAI(
            model=self.task.model, base_url=base_url, max_retries=RETRIES, temperature=0, max_tokens=MAX_TOKENS
        )

    def solve(self, state: State) -> dict[str, list[AIMessage]]:
        return {"messages": [self.solver.invoke([SystemMessage(SOLVE[self.task.lang]), *state["messages"]])]}

    def check(self, state: State) -> dict[str, object]:
        asked = HumanMessage(f"{self.task.question}\n{last_words(state)}")
        verdict = self.checker.invoke([SystemMessage(CHECK[self.task.lang]), asked]).text
        return {"verdict": verdict, "checks": state.get("checks", 0) + 1}

    def again(self, state: State) -> dict[str, list[HumanMessage]]:
        return {"messages": [HumanMessage(state["verdict"])]}

    def after_solve(self, state: State) -> Literal["calculate", "check"]:
        calls = sum(isinstance(message, AIMessage) for message in state["messages"])
        wants = getattr(state["messages"][-1], "tool_calls", [])
        return "calculate" if wants and calls < CALLS else "check"

    def after_check(self, state: State) -> Literal["again", "__end__"]:
        return END if approves(state["verdict"]) or state["checks"] == TRIES else "again"

    def answer(self) -> str:
        graph = StateGraph(State)
        for name, node in (("solve", self.solve), ("check", self.check), ("again", self.again)):
            graph.add_node(name, node)
        graph.add_node("calculate", ToolNode([self.calculator]))
        graph.add_edge(START, "solve")
        graph.add_conditional_edges("solve", self.after_solve)
        graph.add_edge("calculate", "solve")
        graph.add_conditional_edges("check", self.after_check)
        graph.add_edge("again", "solve")
        return last_words(graph.compile().invoke({"messages": [HumanMessage(self.task.question)]}))


def last_words(state: State) -> str:
    """The last answer or result that is not empty: a weak model may say nothing, or only ever call its tool."""
    said = [message.text for message in state["messages"] if not isinstance(message, HumanMessage)]
    return next((text for text in reversed(said) if text.strip()), "")


if __name__ == "__main__":
    print(TwoAgents(read_task()).answer())
