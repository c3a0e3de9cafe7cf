"""An index as a tool of DSPy's ReAct, with a script in place of a model, as docs/how-to/dspy.md has it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("dspy", reason="needs dspy (half a minute to install, with litellm; nightly runs have it)")

import dspy
from asked import ANSWERED, TARGET, UNKNOWN, WEAK
from dspy.utils import DummyLM

from fg_search.errors import StorageError
from fg_search.integrations.answers import SearchAnswer


def answer(index, question):
    """What an agent says that goes by the tool's outcome."""

    def search(question: str) -> SearchAnswer:
        """Find what answers a question."""
        result = index.search(question, target_precision=TARGET, on_uncertain="abstain", explain=True)
        return SearchAnswer.of(result, target_precision=TARGET)

    told = {f'"outcome": "{outcome}"': outcome for outcome in ("answer", "weak", "nothing")}
    told["Execution error in search"] = "failed"
    done = {"next_thought": "", "next_tool_name": "finish", "next_tool_args": "{}", "reasoning": ""}
    look = {"next_thought": "", "next_tool_name": "search", "next_tool_args": json.dumps({"question": question})}
    with dspy.context(lm=DummyLM({**{key: {**done, "answer": said} for key, said in told.items()}, "": look})):
        return dspy.ReAct("question -> answer", tools=[search])(question=question).answer


@pytest.mark.parametrize(("question", "outcome"), [(ANSWERED, "answer"), (WEAK, "weak"), (UNKNOWN, "nothing")])
def test_an_agent_is_told_what_was_found(calibrated, question, outcome):
    assert answer(calibrated, question) == outcome


def test_a_failure_is_none_of_these(calibrated, monkeypatch):
    def away(*_, **__):
        raise StorageError("the server does not answer")

    monkeypatch.setattr(type(calibrated), "search", away)
    assert answer(calibrated, ANSWERED) == "failed"
