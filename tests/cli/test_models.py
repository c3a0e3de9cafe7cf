"""Models on the command line: code of their own, truncated embeddings, caches that cannot be used, unreadable texts."""

import json
import sys

import pytest

from fg_search import cli

LONG = "please help with my card the pin blocked stolen magnetic loan mortgage"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process: its exit code, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fg-search", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture
def rows(corpus, tmp_path):
    """A file with the corpus."""
    lines = [json.dumps({"text": text, "label": label}) for text, label in zip(*corpus, strict=True)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "rows.jsonl"


def test_code_of_a_model_has_to_be_trusted_by_every_command(run, rows, model_with_code, tmp_path):
    enc, idx, trust = tmp_path / "enc", tmp_path / "idx", "--trust-remote-code"
    fit = ("fit", rows, "--label", "label", "--model", model_with_code, "-o", enc, "--groups", 4)
    like_rows = tmp_path / "queries.jsonl"
    like_rows.write_text(rows.read_text().replace('", "label"', ' please", "label"'))
    queries = ("--queries", like_rows)
    for command in (
        fit,
        ("index", rows, "--label", "label", "--encoder", enc, "--index", idx),
        ("search", "my card", "--index", idx),
        ("calibrate", "--index", idx, *queries),
        ("evaluate", "--index", idx, *queries),
        ("describe", rows, "--encoder", enc),
        ("fit", "--refresh", idx, "-o", tmp_path / "new"),
        ("migrate", enc, "--index", idx),
    ):
        code, _, err = run(*command)
        assert (code, "add --trust-remote-code" in " ".join(err.split())) == (1, True), (command, err)
        code, _, err = run(*command, trust)
        if command[0] == "calibrate":
            continue  # all of these queries are right
        assert code == 0, (command, err)


def test_embeddings_can_be_truncated(run, rows, tmp_path, transformer_folder):
    enc = tmp_path / "enc"
    code, _, err = run("fit", rows, "--label", "label", "--model", transformer_folder, "--truncate-dim", 6, "-o", enc)
    assert code == 0, err
    assert run("index", rows, "--encoder", enc, "--index", tmp_path / "idx")[0] == 0
    code, out, _ = run("info", "--index", tmp_path / "idx", "--json")
    assert json.loads(out)["metadata"]["dimension"] == 6


def test_a_default_cache_that_cannot_be_used_is_one_warning(run, rows, tmp_path, transformer_folder, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FG_SEARCH_CACHE", str(tmp_path / "file" / "cache"))
    enc = tmp_path / "enc"
    code, _, err = run("fit", rows, "--label", "label", "--model", transformer_folder, "-o", enc)
    assert code == 0
    assert " ".join(err.split()).count("cannot be used") == 1
    assert "--no-cache" in err
    code, _, err = run("index", rows, "--encoder", enc, "--index", tmp_path / "idx")
    assert code == 0
    assert "going on without it" in " ".join(err.split())


def test_texts_that_are_read_in_part_are_named(run, rows, tmp_path, transformer_folder):
    enc, idx = tmp_path / "enc", tmp_path / "idx"
    with rows.open("a") as file:
        file.write(json.dumps({"text": LONG, "label": "card"}) + "\n" + json.dumps({"text": "👍", "label": "food"}))
    _, _, err = run("fit", rows, "--label", "label", "--model", transformer_folder, "-o", enc)
    assert "1 of 50 texts are longer than the 12 tokens" in err
    assert "texts[48]" in err
    _, _, err = run("index", rows, "--encoder", enc, "--index", idx)
    assert "1 of 50 items are longer" in err
    assert "'👍'" in err
    _, out, _ = run("search", "👎", "--index", idx, "--json")
    assert "the model can read nothing of the query" in json.loads(out)["reason"]
