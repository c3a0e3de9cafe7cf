"""Output and input that is not UTF-8."""

import io
import json
import os
import re
import subprocess
import sys

import pytest

from fg_search import ConfidenceIndex, cli

ODD = ["Größe der Karte – 日本 👍", "my card “pin” ½ ³ █", "pizza \u00a0 \u0301"]  # noqa: RUF001
ENCODINGS = ["ascii", "cp1252", "utf-8"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, saved_encoder, corpus):
    """Folder of a scored index whose items, labels, ids and logged queries no old code page has all of."""
    folder = tmp_path_factory.mktemp("日本")
    with ConfidenceIndex(folder / "idx", str(saved_encoder)) as index:
        index.add(corpus[0], labels=corpus[1], ids=[f"d{i}" for i in range(len(corpus[0]))])
        index.add(ODD + ODD[:1], labels=["größe", "日本", None, "カード"], ids=["ä", "日", "👍", "2"])
        index.log_queries("all")
        for text in ODD:
            index.search(text, min_query_confidence=1.0)
        index.score_items()
        index.score_labels()
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": "card"}) + "\n" for text in [*ODD, *corpus[0]]), encoding="utf-8"
    )
    return folder


class Stream(io.TextIOWrapper):
    """A stream in memory that is no terminal."""

    def __init__(self, encoding, content=b""):
        super().__init__(io.BytesIO(content), encoding=encoding, errors="strict", write_through=True)


@pytest.fixture
def run(monkeypatch):
    """Run the command line with streams of an encoding: its exit code, and the bytes of its output."""

    def run(encoding, *arguments, typed=b""):
        out, err = Stream(encoding), Stream(encoding)
        monkeypatch.setattr(sys, "argv", ["fg-search", *map(str, arguments)])
        for name, stream in (("stdin", Stream(encoding, typed)), ("stdout", out), ("stderr", err)):
            monkeypatch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code or 0, out.buffer.getvalue(), err.buffer.getvalue()

    return run


COMMANDS = [
    ["search", ODD[0]],
    ["search", "--queries", "{folder}/queries.jsonl"],
    ["search", ODD[0], "--confidence-weight", "2"],
    ["info"],
    ["review"],
    ["review", "--kind", "contradicted"],
    ["review", "--kind", "duplicate"],
    ["review", "--kind", "abstained"],
    ["confused"],
    ["missing-labels", "--min-size", "1"],
    ["evaluate", "--queries", "{folder}/queries.jsonl"],
]

SAME_EACH_TIME = [command for command in COMMANDS if "--confidence-weight" not in command]  # ties may change places


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:3]))
def test_every_table_is_written_in_any_encoding(run, made, encoding, command):
    arguments = [part.format(folder=made) for part in command]
    code, out, err = run(encoding, *arguments, "--index", made / "idx")
    assert code == 0, err
    shown = out.decode(encoding)
    assert shown
    if encoding == "ascii":
        assert "\\u2588" not in shown  # bars are drawn with what there is


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", SAME_EACH_TIME, ids=lambda command: " ".join(command[:3]))
def test_json_says_the_same_in_any_encoding(run, made, encoding, command):
    arguments = [part.format(folder=made) for part in command]
    _, out, _ = run(encoding, *arguments, "--index", made / "idx", "--json")
    _, unicode, _ = run("utf-8", *arguments, "--index", made / "idx", "--json")

    def read(output, encoding):
        return [json.loads(line) for line in output.decode(encoding).splitlines()]

    assert read(out, encoding) == read(unicode, "utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_errors_and_notices_are_written_in_any_encoding(run, made, encoding):
    code, _, err = run(encoding, "search", "x", "--index", made / "日本 👍")
    assert code == 1
    assert err.decode(encoding).startswith("error: there is no index at")
    code, _, err = run(encoding, "search", " ", "--index", made / "idx")
    assert code == 1
    code, out, _ = run(encoding, "search", "--help")
    assert code == 0
    assert b"--confidence-weight" in out


def test_a_bar_is_as_wide_in_any_encoding(run, made):
    shown = [run(encoding, "info", "--index", made / "idx")[1].decode(encoding) for encoding in ("utf-8", "ascii")]
    unicode, plain = ([line for line in text.splitlines() if " to " in line] for text in shown)
    assert [re.sub("█", "#", line) for line in unicode] == plain


def test_lines_that_cannot_be_read_are_named_and_left_out(run, made):
    typed = "my card\nGröße\nmy pin\n".encode("latin-1")
    code, out, err = run("utf-8", "search", "--index", made / "idx", "--json", typed=typed)
    assert code == 0
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["my card", "my pin"]
    assert err.decode() == "standard input:2: not UTF-8; name its encoding (--encoding cp1252)\n"
    code, out, err = run("ascii", "search", "--index", made / "idx", "--on-error", "stop", typed=typed)
    assert code == 1
    assert err.decode() == "error: standard input:2: not ASCII; set PYTHONUTF8=1 if it is UTF-8\n"


def test_half_a_character_in_an_argument_is_an_error_that_is_shown(run, made):
    code, _, err = run("utf-8", "search", "card \udcff", "--index", made / "idx")
    assert code == 1
    assert "half a character" in err.decode()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_process_of_its_own(made, encoding):
    # a list needs no encoder, which takes seconds to import
    command = [sys.executable, "-m", "fg_search", "review", "--limit", "60", "--index", str(made / "idx")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert ODD[1].split()[0] in done.stdout.decode(encoding)
