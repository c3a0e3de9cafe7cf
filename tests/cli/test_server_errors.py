"""On the command line, whatever a server answers is one line with cause and remedy, and exit code 1."""

import socket

import pytest
from fake_server import hang_up, other_json, web_page

KEY = "a-secret-key"


def html(server):
    server.fail("GET", *[web_page] * 9)


def foreign(server):
    server.fail("GET", *[other_json] * 9)


def busy(server):
    server.fail("GET", *[503] * 99)


def gone(server):
    server.fail("GET", *[hang_up] * 99)


def keyed(server):
    server.keys = {"another": True}


def reader(server):
    server.keys = {KEY: False}


def old(server):
    server.version = "1.12.4"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (html, "is no Qdrant server"),
        (foreign, "is no Qdrant server"),
        (busy, "503"),
        (gone, "no Qdrant server answers at"),
        (keyed, "does not know the API key"),
        (reader, "use one that may write"),
        (old, "is Qdrant 1.12.4, which is too old"),
    ],
)
def test_it_is_one_line(run, fake_server, saved_encoder, corpus, tmp_path, monkeypatch, state, message):
    monkeypatch.setenv("QDRANT_API_KEY", KEY)
    state(fake_server)
    (tmp_path / "rows.csv").write_text("text\n" + "\n".join(corpus[0]))
    for command in (["index", tmp_path / "rows.csv", "--encoder", saved_encoder], ["info"]):
        if command == ["info"] and state is reader:
            continue  # which needs to read only
        code, out, err = run(*command, "--index", fake_server.url, "--retry-for", 0)
        assert (code, out) == (1, "")
        (line,) = [line for line in err.splitlines() if not line.startswith("Loading")]
        assert line.startswith("error: ")
        assert message in line
        assert KEY not in line


def test_a_key_with_a_line_break_is_not_printed(run, fake_server, monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", f"{KEY}\n")
    code, _, err = run("info", "--index", fake_server.url)
    assert code == 1
    assert "the API key holds a line break" in err
    assert KEY not in err


def test_the_time_is_an_option_and_a_variable(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert run("info", "--index", url, "--retry-for", "0.5")[0] == 1
    assert run("info", "--index", url, "--retry-for", "-1")[0] == 2
    monkeypatch.setenv("FG_SEARCH_RETRY_FOR", "0")
    assert "no Qdrant server answers" in run("info", "--index", url)[2]
    monkeypatch.setenv("FG_SEARCH_RETRY_FOR", "soon")
    assert run("info", "--index", url)[0] == 2


def test_a_name_that_cannot_be_one_is_told(run, saved_encoder, tmp_path, corpus):
    (tmp_path / "rows.csv").write_text("text\nmy card\n")
    folder = tmp_path / "i"
    arguments = ("index", tmp_path / "rows.csv", "--encoder", saved_encoder, "--index", folder, "--collection", "..")
    code, _, err = run(*arguments)
    assert code == 1
    assert "an index cannot be called '..': it starts with a dot" in err
    assert not folder.exists()
