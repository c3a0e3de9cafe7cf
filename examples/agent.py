"""Use 4: an agent that says what it knows, what it is not sure of, what it does not know, and that a search has failed.

    python examples/agent.py ["a question" ...] [--index INDEX]

The agent searches over the Model Context Protocol (pip install 'fg-search[mcp]'). Its model is a script, so that the
example needs none: put yours in its place. Build the index first: python examples/index_with_confidence.py
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client

QUESTIONS = [
    "Can I see the courier's route for the parcel with the camping chairs?",
    "It does not work",
    "Who won the chess championship last year?",
]


@dataclass
class Call:
    """A tool call that a model asks for."""

    tool: str
    arguments: dict[str, Any]


@dataclass
class Answered:
    """What came of a tool call: structured content, or the text of an error."""

    call: Call
    content: dict[str, Any] | None
    error: str | None = None


Model = Callable[[str, list[Answered]], Call | str]


def scripted_model(question: str, seen: list[Answered]) -> Call | str:
    """What a model does that reads the answers of the tools: a further call, or what it says."""
    if not seen:
        return Call("search", {"question": question, "limit": 3})
    first, last = seen[0], seen[-1]
    if first.content is None:
        return f"I could not look that up, so I cannot tell whether there is an answer. ({first.error})"
    found = first.content
    if found["outcome"] == "answer":
        return f"That is about {found['hits'][0]['label']}: {found['hits'][0]['text']}"
    if found["outcome"] == "choices":
        return f"Do you mean {' or '.join(choice['label'] for choice in found['choices'])}?"
    if found["outcome"] == "weak":
        return "I found something, but I am not sure that it answers that. Can you tell me more?"
    if last.call.tool == "search":
        return Call("report_missing", {"question": question})
    passed_on = "" if last.content is None else " I have passed the question on."
    return f"I know nothing about that.{passed_on}"


async def answer(client: Client, question: str, model: Model = scripted_model) -> str:
    """Let the model call tools until it says something."""
    seen: list[Answered] = []
    while True:
        wanted = model(question, seen)
        if isinstance(wanted, str):
            return wanted
        result = await client.call_tool(wanted.tool, wanted.arguments)
        if result.is_error:
            seen.append(Answered(wanted, None, " ".join(getattr(part, "text", "") for part in result.content)))
        else:
            seen.append(Answered(wanted, result.structured_content))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("questions", nargs="*", default=QUESTIONS)
    parser.add_argument("--index", type=Path, default=Path("support-index"))
    options = parser.parse_args()

    command = ["-m", "fg_search", "mcp", str(options.index)]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    async with Client(stdio_client(server)) as client:
        for question in options.questions:
            print(f"{question}\n  {await answer(client, question)}\n")


if __name__ == "__main__":
    asyncio.run(main())
