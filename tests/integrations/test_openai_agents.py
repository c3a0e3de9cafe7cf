"""An index as a function of OpenAI's agents, with a script in place of a model: docs/how-to/openai-agents.md."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("agents", reason="needs openai-agents")

from agents import Agent, Model, ModelResponse, RunConfig, Runner, function_tool
from agents.usage import Usage
from asked import ANSWERED, TARGET, UNKNOWN
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from fg_search.errors import StorageError
from fg_search.integrations.answers import SearchAnswer


class Scripted(Model):
    """Searches for what it is asked, then says what it was told."""

    async def get_response(self, system_instructions, input, *_, **__):  # noqa: A002  the SDK's names
        told = [item["output"] for item in input if item.get("type") == "function_call_output"]
        if told:
            text = ResponseOutputText(type="output_text", text=told[-1], annotations=[])
            said = ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[text])
            return ModelResponse(output=[said], usage=Usage(), response_id=None)
        wanted = json.dumps({"question": input[0]["content"]})
        call = ResponseFunctionToolCall(type="function_call", call_id="1", name="search", arguments=wanted)
        return ModelResponse(output=[call], usage=Usage(), response_id=None)

    def stream_response(self, *_, **__):
        raise NotImplementedError


def run(index, question):
    def search(question: str) -> SearchAnswer:
        """Find what answers a question."""
        result = index.search(question, target_precision=TARGET, on_uncertain="abstain", explain=True)
        return SearchAnswer.of(result, target_precision=TARGET)

    agent = Agent(name="Support", model=Scripted(), tools=[function_tool(search, failure_error_function=None)])
    running = Runner.run(agent, [{"role": "user", "content": question}], run_config=RunConfig(tracing_disabled=True))
    return asyncio.run(running).final_output


def test_an_agent_is_told_what_was_found(calibrated):
    assert "outcome='answer'" in run(calibrated, ANSWERED)
    assert "outcome='nothing'" in run(calibrated, UNKNOWN)
    assert "Nothing is known about this here." in run(calibrated, UNKNOWN)


def test_a_failure_stays_one(calibrated, monkeypatch):
    def away(*_, **__):
        raise StorageError("the server does not answer")

    monkeypatch.setattr(type(calibrated), "search", away)
    with pytest.raises(Exception, match="the server does not answer"):
        run(calibrated, ANSWERED)
