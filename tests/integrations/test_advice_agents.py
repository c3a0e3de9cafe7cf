"""What agents are told to do, and an agent that does it: examples/agent.py."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from advising import Advice
from asked import ANSWERED, TARGET, UNKNOWN, WEAK

pytest.importorskip("mcp.server.mcpserver", reason="needs mcp 2: pip install 'fg-search[mcp]'")

from mcp import Client

from fg_search import ConfidenceIndex
from fg_search.errors import StorageError
from fg_search.integrations.answers import SearchAnswer
from fg_search.integrations.mcp import create_server

TOLD = {
    "choices": Advice("It is not clear which of the choices is meant. Ask which one."),
    "weak": Advice("Do not answer from it; ask for more detail, or say that there is no sure answer."),
    "nothing": Advice("Nothing is known about this here. Say so; do not make up an answer."),
}


@pytest.fixture(scope="module")
def agent():
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "examples" / "agent.py")))


def say(agent, index, question, **options):
    """What the agent says to a question."""

    async def ask():
        async with Client(create_server(index, **options)) as client:
            return await agent.answer(client, question)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("question", "options", "outcome", "said"),
    [
        (ANSWERED, {"target_precision": TARGET}, "answer", "That is about card: "),
        (WEAK, {"target_precision": TARGET}, "weak", "I found something, but I am not sure that it answers that."),
        ("my card with the", {"target_precision": 0.95, "on_uncertain": "clarify"}, "choices", "Do you mean "),
    ],
)
def test_an_agent_does_what_it_is_told(agent, calibrated, question, options, outcome, said):
    assert say(agent, calibrated, question, **options).startswith(said)
    result = calibrated.search(question, **{"on_uncertain": "abstain", **options})
    told = SearchAnswer.of(result, options["target_precision"])
    assert told.outcome == outcome
    assert told.advice == "The hits answer the question." if outcome == "answer" else TOLD[outcome].is_in(told.advice)


def test_an_agent_says_that_nothing_is_known_and_passes_the_question_on(agent, encoder, corpus):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        assert say(agent, index, UNKNOWN) == "I know nothing about that. I have passed the question on."
        assert [entry.text for entry in index.logged_queries()] == [UNKNOWN]
        told = SearchAnswer.of(index.search(UNKNOWN, min_query_confidence=0.2, on_uncertain="abstain"))
        assert TOLD["nothing"].is_in(told.advice)


def test_an_agent_tells_a_failure_from_an_abstention(agent, calibrated, monkeypatch):
    def away(*_, **__):
        raise StorageError("the server does not answer")

    monkeypatch.setattr(type(calibrated), "search", away)
    said = say(agent, calibrated, ANSWERED)
    assert said.startswith("I could not look that up, so I cannot tell whether there is an answer.")
    assert "the server does not answer" in said


def test_nothing_is_promised_without_a_target(in_memory):
    told = SearchAnswer.of(in_memory.search(ANSWERED))
    assert Advice("These are the best hits. Nothing is promised of them: check that they answer the question.").is_in(
        told.advice
    )
