import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from fg_search.cli import app

runner = CliRunner()


def start(index, *options, **environment):
    """The command in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fg_search", "serve", "--index", str(index), "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"http://\S+", line):
            return process, found[0]
    pytest.fail("".join(lines))


def test_it_serves_until_it_is_interrupted(tmp_path, saved_encoder, corpus):
    from fg_search import ConfidenceIndex

    with ConfidenceIndex(tmp_path / "i", str(saved_encoder)) as index:
        index.add(corpus[0], labels=corpus[1])
    process, address = start(tmp_path / "i", FG_SEARCH_TOKEN="a token that is long")
    try:
        request = urllib.request.Request(
            f"{address}api/search",
            json.dumps({"query": "card blocked"}).encode(),
            {"Content-Type": "application/json", "Authorization": "Bearer a token that is long"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert json.load(response)["hits"][0]["label"] == "card"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}api/review", timeout=30)
        for proto in ("http", "https"):
            page = urllib.request.Request(f"{address}login", headers={"X-Forwarded-Proto": proto})
            with urllib.request.urlopen(page, timeout=30) as response:
                assert ("Secure" in response.headers["Set-Cookie"]) == (proto == "https")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)
        process.stderr.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "search.example", "::"])
def test_an_address_that_others_reach_needs_a_token(host, tmp_path):
    done = runner.invoke(app, ["serve", "--index", str(tmp_path), "--host", host])
    assert done.exit_code == 2
    assert "FG_SEARCH_TOKEN" in done.output


def test_a_short_token_is_refused(tmp_path):
    done = runner.invoke(app, ["serve", "--index", str(tmp_path), "--token", "short"])
    assert done.exit_code == 2
    assert "16 characters" in done.output


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fg_search.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    done = runner.invoke(app, ["serve", "--index", str(tmp_path)])
    assert done.exit_code == 1
    assert "pip install 'fg-search[web]'" in str(done.exception)


def test_a_port_that_is_taken_is_told(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = runner.invoke(app, ["serve", "--index", str(tmp_path), "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 1
    assert "choose another --port" in str(done.exception)


def test_what_is_announced_is_served(tmp_path, saved_encoder, monkeypatch):
    """A name that stands for an address: the address, which is told, is answered beside the name."""
    import socket

    from fastapi.testclient import TestClient

    from fg_search import ConfidenceIndex
    from fg_search.cli import serve

    ConfidenceIndex(tmp_path / "i", str(saved_encoder)).close()
    asked = []

    def run_app(page, listener):
        client = TestClient(page, base_url=serve.address(listener))
        asked.extend(client.get("/login", headers=headers).status_code for headers in ({}, {"host": "other.example"}))

    monkeypatch.setattr(serve, "listen", lambda host, port: socket.create_server(("127.0.0.2", 0)))
    monkeypatch.setattr(serve, "run_app", run_app)
    options = ["--host", "search.example", "--allowed-host", "proxy.example", "--token", "a token that is long"]
    done = runner.invoke(app, ["serve", "--index", str(tmp_path / "i"), *options])
    assert (done.exit_code, asked) == (0, [200, 421])
