"""The MCP server: its tools in memory, over standard streams and over HTTP, and the conformance package."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("mcp.server.mcpserver", reason="needs mcp 2: pip install 'fg-search[mcp]'")

import httpx
import httpx2
import uvicorn
from asked import ANSWERED, TARGET, UNKNOWN, WEAK
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from typer.testing import CliRunner

from fg_search import ConfidenceIndex
from fg_search.cli import app as program
from fg_search.cli import mcp as command
from fg_search.errors import StorageError
from fg_search.integrations.mcp import create_server
from fg_search.integrations.mcp.http import http_app
from fg_search.integrations.mcp.server import INSTRUCTIONS

TOKEN = "a token that is long enough"
CONFORMANCE = {
    "dns-rebinding-protection",
    "ping",
    "prompts-list",
    "resources-list",
    "server-initialize",
    "server-sse-multiple-streams",
    "tools-list",
}


def calls(server, *wanted):
    """Results of tool calls, by a client of the SDK."""

    async def ask():
        async with Client(server) as client:
            return [await client.call_tool(name, arguments) for name, arguments in wanted]

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def server(calibrated):
    return create_server(calibrated, target_precision=TARGET)


def test_an_agent_sees_three_tools_with_structured_output(server):
    async def look():
        async with Client(server) as client:
            return client.instructions, client.server_info, (await client.list_tools()).tools

    instructions, info, tools = asyncio.run(look())
    assert (instructions, info.name) == (INSTRUCTIONS, "fg-search")
    assert [tool.name for tool in tools] == ["search", "describe_index", "report_missing"]
    assert [tool.annotations.read_only_hint for tool in tools] == [True, True, False]
    assert {"outcome", "reason", "promised_precision", "hits", "nearest"} <= tools[0].output_schema["properties"].keys()
    assert all(tool.description and tool.output_schema["properties"] for tool in tools)
    assert tools[0].input_schema["required"] == ["question"]


def test_a_search_tells_answers_from_weak_ones_from_nothing(server, calibrated):
    answered, weak, nothing = (
        result.structured_content for result in calls(server, *[("search", {"question": q}) for q in ASKED])
    )
    found = calibrated.search(ANSWERED, limit=5, target_precision=TARGET)
    assert [hit["id"] for hit in answered["hits"]] == [hit.id for hit in found.hits]
    assert answered["hits"][0]["payload"] == found.hits[0].payload
    assert (answered["outcome"], answered["decision"], answered["promised_precision"]) == ("answer", "answer", TARGET)
    assert answered["confidence"] == pytest.approx(found.confidence)
    assert answered["nearest"] is None
    for one, outcome in ((weak, "weak"), (nothing, "nothing")):
        assert (one["outcome"], one["decision"], one["hits"]) == (outcome, "abstain", [])
        assert one["promised_precision"] is None
        assert "is below what a precision of 80.0% takes" in one["reason"]
        assert one["nearest"]["text"]
    assert "Nothing is known about this" in nothing["advice"]


ASKED = [ANSWERED, WEAK, UNKNOWN]


def test_options_of_a_search(server, calibrated):
    limited, even, strict = calls(
        server,
        ("search", {"question": ANSWERED, "limit": 2}),
        ("search", {"question": ANSWERED, "where": {"parity": [0]}}),
        ("search", {"question": ANSWERED, "target_precision": 0.999}),
    )
    assert len(limited.structured_content["hits"]) == 2
    assert {hit["payload"]["parity"] for hit in even.structured_content["hits"]} == {0}
    assert strict.structured_content["decision"] == "abstain"
    half, wrong = calls(
        server,
        ("search", {"question": ANSWERED, "where": {"parity": 0.5}}),
        ("search", {"question": ANSWERED, "where": {"partiy": 0}}),
    )
    assert "no point passes the filters" in half.structured_content["reason"]
    assert wrong.is_error  # it would look as if nothing was known
    assert "no item has a value under 'partiy'; did you mean 'parity'?" in wrong.content[0].text
    (unclear,) = calls(
        create_server(calibrated, target_precision=0.95, on_uncertain="clarify"),
        ("search", {"question": "my card with the"}),
    )
    assert unclear.structured_content["outcome"] == "choices"
    assert unclear.structured_content["choices"][0]["example"]


def test_a_failure_is_an_error_and_no_abstention(in_memory, calibrated, monkeypatch):
    uncalibrated, empty = calls(
        create_server(in_memory), ("search", {"question": "a", "target_precision": 0.9}), ("search", {"question": ""})
    )
    assert uncalibrated.is_error
    assert empty.is_error
    assert "calibrate" in uncalibrated.content[0].text
    assert "tells nothing about whether there is an answer" in uncalibrated.content[0].text

    def away(*_, **__):
        raise StorageError("the server does not answer")

    monkeypatch.setattr(type(calibrated), "search", away)
    (failed,) = calls(create_server(calibrated), ("search", {"question": ANSWERED}))
    assert failed.is_error
    assert "the search failed: the server does not answer" in failed.content[0].text


def test_without_a_promise_nothing_is_promised(in_memory):
    found, unknown, described = calls(
        create_server(in_memory),
        ("search", {"question": ANSWERED}),
        ("search", {"question": UNKNOWN}),
        ("describe_index", {}),
    )
    assert found.structured_content["outcome"] == "answer"
    assert "Nothing is promised" in found.structured_content["advice"]
    assert unknown.structured_content["outcome"] == "nothing"
    assert described.structured_content["calibrated"] is False
    assert described.structured_content["promised_precisions"] == []


def test_the_index_is_described(server):
    (described,) = calls(server, ("describe_index", {}))
    told = described.structured_content
    assert (told["items"], sorted(told["labels"])) == (48, ["card", "food", "loan", "travel"])
    assert (told["calibrated"], told["judged_queries"], told["default_target_precision"]) == (True, 200, TARGET)
    assert told["promised_precisions"][0] == 0.8
    assert 0 < told["unanswerable_share"] < 1
    assert told["promise_holds"] is None


def test_what_is_missing_is_reported(encoder, corpus):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0])
        (reported,) = calls(create_server(index), ("report_missing", {"question": ANSWERED, "note": "no phone number"}))
        assert reported.structured_content == {"question": ANSWERED, "logged": True}
        (entry,) = index.logged_queries()
        assert (entry.text, entry.reason) == (ANSWERED, "reported as missing: no phone number")


def test_an_agent_talks_to_the_command_over_standard_streams(tmp_path, saved_encoder):
    with ConfidenceIndex(tmp_path / "index", str(saved_encoder)):
        pass
    started = StdioServerParameters(
        command=sys.executable, args=["-m", "fg_search", "mcp", str(tmp_path / "index")], env={**os.environ}
    )
    described, failed = calls(
        stdio_client(started), ("describe_index", {}), ("search", {"question": ANSWERED, "limit": 0})
    )
    assert described.structured_content["items"] == 0
    assert failed.is_error
    with ConfidenceIndex(tmp_path / "index"):
        pass  # the command has ended, and left the folder


def test_the_command_serves_over_standard_streams(tmp_path, saved_encoder, corpus, monkeypatch):
    with ConfidenceIndex(tmp_path / "index", str(saved_encoder)) as index:
        index.add(corpus[0], labels=corpus[1])
    found = []
    monkeypatch.setattr(
        MCPServer, "run", lambda server: found.extend(calls(server, ("search", {"question": ANSWERED})))
    )
    done = CliRunner().invoke(program, ["mcp", str(tmp_path / "index"), "--log-all"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert found[0].structured_content["hits"][0]["label"] == "card"
    with ConfidenceIndex(tmp_path / "index") as index:
        assert [entry.text for entry in index.logged_queries(only_open=False)] == [ANSWERED]


# HTTP


@contextmanager
def serving(app):
    """Address of an application."""
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        running.should_exit = True
        thread.join(10)


def test_agents_need_the_token_over_http(server):
    async def ask(address):
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            return await client.call_tool("search", {"question": ANSWERED})

    with serving(http_app(server, TOKEN)) as address:
        found = asyncio.run(ask(address))
        assert found.structured_content["hits"][0]["label"] == "card"
        for header in ({}, *({"Authorization": one} for one in (f"Bearer {TOKEN}x", TOKEN, "Basic abc"))):
            answer = httpx.post(address, json={}, headers=header)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        for stranger, status in (({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403)):
            answer = httpx.post(address, json={}, headers={"Authorization": f"Bearer {TOKEN}", **stranger})
            assert answer.status_code == status


def test_the_command_serves_over_http_on_this_machine_alone(tmp_path, saved_encoder, corpus, monkeypatch):
    with ConfidenceIndex(tmp_path / "index", str(saved_encoder)) as index:
        index.add(corpus[0], labels=corpus[1])
    served = []
    monkeypatch.setattr(command, "run_app", lambda app, listener: served.append((app, listener.getsockname()[0])))
    for options in (["--token", TOKEN], ["--log-all"]):
        done = CliRunner().invoke(program, ["mcp", str(tmp_path / "index"), "--http", "--port", "0", *options])
        assert done.exit_code == 0, done.output
        assert re.search(r"http://127\.0\.0\.1:\d+/mcp", done.output)
        assert ("Authorization: Bearer " in done.output) == ("--token" not in options)  # one was drawn, and is told
    assert [host for _, host in served] == ["127.0.0.1"] * 2


def test_a_target_out_of_range_is_refused(tmp_path):
    done = CliRunner().invoke(program, ["mcp", str(tmp_path), "--target-precision", "90"])
    assert done.exit_code == 2
    assert "target_precision" in done.output


def test_a_short_token_is_refused(tmp_path):
    done = CliRunner().invoke(program, ["mcp", str(tmp_path), "--http", "--token", "short"])
    assert done.exit_code == 2
    assert "16 characters" in done.output


def test_the_conformance_package_of_the_protocol_passes(server):
    programs = Path(os.environ.get("MCP_CONFORMANCE", "missing"), "node_modules", ".bin")
    if not programs.is_dir():
        pytest.skip("needs npm packages: MCP_CONFORMANCE names where node@22 and @modelcontextprotocol/conformance are")
    with serving(server.streamable_http_app()) as address:  # the package has no way to give a token
        baseline = Path(__file__).with_name("conformance.yml")
        arguments = ["server", "--url", address, "--expected-failures", baseline]
        done = subprocess.run(
            [programs / "node", programs / "conformance", *arguments], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = set(re.findall(r"✓ ([\w-]+): [1-9]", done.stdout))
    assert passed >= CONFORMANCE, done.stdout
