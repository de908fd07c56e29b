"""How each tool call of a task ended, as far as the requests of the task's agents show it."""

from __future__ import annotations

import recorded
from recorded import HARDWARE
from shosei.log import Event, Request, RunBegin, ToolCall, ToolResult, Workflow
from shosei.metrics import Metric
from shosei.metrics.observed.tool_calls import asked_tools

MS = 1_000_000


def request(
    place: int, agent: str, asks: dict[str, str] | None = None, told: list[ToolResult] | None = None, task: str = "t"
) -> Request:
    """The call number ``place`` of a task, which takes 60 of its 100 ms and asks for tools, by id."""
    return Request(
        id=f"{task}-{place}",
        task=task,
        agent=agent,
        purpose="agents",
        seen_by="gateway",
        scheduled_ns=place * 100 * MS,
        sent_ns=place * 100 * MS,
        done_ns=(place * 100 + 60) * MS,
        status=200,
        phase="inference",
        tool_calls=[ToolCall(id, tool) for id, tool in (asks or {}).items()],
        tool_results=told or [],
    )


def ok(id: str) -> ToolResult:
    return ToolResult(id, rule=2)


def failed(id: str) -> ToolResult:
    return ToolResult(id, error=True, form="exception", rule=2)


def unclear(id: str) -> ToolResult:
    return ToolResult(id, form="undecided", rule=2)


def ends(*calls: Request, did_fail: bool = False) -> list[str]:
    return [tool.end for tool in asked_tools({"t": calls}, {"t"} if did_fail else ())]


def test_a_structured_output_ends_its_task() -> None:
    calls = request(0, "solo", {"a": "lookup"}), request(1, "solo", {"b": "final_result"}, [ok("a")])
    assert ends(*calls) == ["answered", "ended there"]
    assert ends(*calls, did_fail=True) == ["answered", "unanswered"]


def test_an_agent_that_is_asked_again_ended_with_its_last_call_before() -> None:
    calls = [
        request(0, "manager", {"a": "researcher"}),
        request(1, "researcher", {"b": "final_answer"}),
        request(2, "manager", {"c": "researcher"}, [ok("")]),
        request(3, "researcher", {"d": "final_answer"}),
        request(4, "manager", {"e": "final_answer"}, [ok("")]),
    ]
    assert ends(*calls) == ["answered", "ended there", "answered", "ended there", "ended there"]


def test_a_call_left_out_while_its_agent_went_on_has_no_result() -> None:
    assert ends(request(0, "solo", {"a": "x", "b": "y"}), request(1, "solo", told=[ok("a")])) == [
        "answered",
        "unanswered",
    ]


def test_a_handover_is_answered_in_another_agents_request() -> None:
    calls = request(0, "triage", {"a": "transfer_to_sales"}), request(1, "sales", told=[ok("a")])
    assert ends(*calls) == ["answered"]


def test_ids_that_repeat_are_the_asking_agents_own() -> None:
    calls = [
        request(0, "a", {"call_0": "x"}),
        request(1, "b", {"call_0": "y"}),
        request(2, "a", {"call_0": "z"}, [failed("call_0")]),
        request(3, "b", told=[ok("call_0")]),
        request(4, "a", told=[unclear("call_0")]),
    ]
    assert ends(*calls) == ["error", "answered", "undecided"]


def test_a_result_without_an_id_is_of_all_that_was_asked_last() -> None:
    asked = request(0, "solo", {"a": "x", "b": "y"})
    assert ends(asked, request(1, "solo", told=[ok("")])) == ["answered", "answered"]
    assert ends(asked, request(1, "solo", told=[failed("")])) == ["undecided", "error"]
    assert ends(asked, request(1, "other", told=[ok("")])) == ["ended there", "ended there"]


def test_a_repeated_request_answers_nothing_twice() -> None:
    calls = [
        request(0, "solo", {"a": "x"}),
        request(1, "solo", told=[ok("a")]),
        request(2, "solo", {"b": "x"}, [ok("a")]),
    ]
    asked = asked_tools({"t": calls})
    assert [(tool.end, tool.took_ns) for tool in asked] == [("answered", 40 * MS), ("ended there", None)]


def test_logs_of_the_first_rule_are_read() -> None:
    assert ends(request(0, "solo", {"a": "x"}), request(1, "solo", told=[ToolResult("a", True)])) == ["error"]


def run(told: list[ToolResult]) -> Metric:
    """The error rate of a run of 40 tasks, in each of which a tool is called and answered so."""
    events: list[Event] = [RunBegin(verb="agents", argv=[], hardware=HARDWARE, phase="inference")]
    for number in range(40):
        task = f"t{number}"
        events += [request(0, "solo", {"a": "lookup"}, task=task), request(1, "solo", told=told, task=task)]
        events.append(
            Workflow(
                task=task,
                system="s",
                suite="s",
                item=task,
                sample=0,
                cluster=task,
                scheduled_ns=0,
                begin_ns=0,
                end_ns=200 * MS,
                phase="inference",
            )
        )
    return recorded.metric_of(events, "error_rate", "inference")


def test_without_a_result_that_is_read_tool_success_is_not_measured() -> None:
    metric = run([])
    assert metric.figures["tool_success"].value is None
    assert any("not measured: of 40 tool calls none" in str(note) for note in metric.notes)


def test_results_that_no_rule_decides_are_counted_and_said() -> None:
    metric = run([unclear("a")])
    assert metric.figures["tool_success"].value is None
    assert any(str(note).startswith("40 of 40 tool results (100.0%)") for note in metric.notes)
    assert run([ok("a")]).figures["tool_success"].value == 1.0
