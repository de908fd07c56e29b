"""Agents that a gateway told by their prompts: which of those prompts are one agent's, and how it is called."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from shosei.log import Request
from shosei.log.events import UNATTRIBUTED
from shosei.log.guessed_agent import GUESSED, GuessedAgent
from shosei.metrics.metric import Text, Words, text

MOST_AGENTS = 64
MOST_WORDINGS = 8  # of prompts that begin alike; if there are more, something changes in them, and they are one agent's


def settled(calls: Sequence[Request]) -> list[Request]:
    """The calls, with each guess settled now that all prompts are known. Of too many agents, the rest are nobody."""
    agents = _agents(call.agent for call in calls if call.attribution == GUESSED)
    if not agents:
        return list(calls)
    counts = Counter(agents[call.agent] for call in calls if call.attribution == GUESSED)
    kept = {agent for agent, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_AGENTS]}
    final = {name: agent if agent in kept else UNATTRIBUTED for name, agent in agents.items()}
    return [
        msgspec.structs.replace(call, agent=final[call.agent]) if call.attribution == GUESSED else call
        for call in calls
    ]


def _agents(names: Iterable[str]) -> dict[str, str]:
    """The agent of each name: its own, or that of all whose prompts begin alike, where those are too many."""
    alike: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for name in names:
        guessed = GuessedAgent.of(name)
        alike[guessed.words, guessed.beginning].add(name)
    return {
        name: str(GuessedAgent(words, beginning, beginning)) if len(wordings) > MOST_WORDINGS else name
        for (words, beginning), wordings in alike.items()
        for name in wordings
    }


def names(calls: Iterable[Request]) -> dict[str, Words]:
    """How guessed agents are called: by their first words, with digits where others begin with the same."""
    known = {call.agent for call in calls if call.attribution == GUESSED} - {UNATTRIBUTED}
    guessed = {name: GuessedAgent.of(name) for name in sorted(known)}
    shared = Counter(agent.words for agent in guessed.values())
    return {
        name: text("agents.guessed", name=f"{agent.words} {agent.whole}" if shared[agent.words] > 1 else agent.words)
        for name, agent in guessed.items()
    }


def notes(calls: Sequence[Request]) -> list[Text]:
    """What a reader must know of guesses among calls that are settled."""
    guessed = [call for call in calls if call.attribution == GUESSED]
    lost = sum(call.agent == UNATTRIBUTED for call in guessed)
    told, of = len(guessed) - lost, len(calls)
    notes = []
    if told:
        notes.append(text("agents.guessed_calls", count=told, calls=of, share=f"{told / of:.1%}"))
    if lost:
        notes.append(text("agents.too_many_guessed", count=lost, share=f"{lost / of:.1%}", most=MOST_AGENTS))
    return notes
