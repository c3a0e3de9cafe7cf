"""What commands print with --json has the shape that `fg-search schema` says."""

import json

import pytest
import typer
from json_schema import flaws

from fg_search import ConfidenceIndex, cli
from fg_search.cli.outputs import OUTPUTS, schema_of


@pytest.fixture(scope="module")
def place(encoder, saved_encoder, corpus, questions, tmp_path_factory):
    """A folder with an index that is calibrated and scored, with a decision and logged queries, and files."""
    folder = tmp_path_factory.mktemp("json")
    texts, labels = corpus[0], ["loan" if i % 4 == 0 else label for i, label in enumerate(corpus[1])]
    with ConfidenceIndex(folder / "idx", encoder) as index:
        index.add(texts, ids=[f"d{i}" for i in range(len(texts))], labels=labels)
        index.calibrate(*questions(300, 3))
        index.score_items()
        index.score_labels()
        index.log_queries("all")
        index.search_many(questions(40, 8)[0], target_precision=0.9, on_uncertain="abstain")
        index.decide("d0", "keep")
    with ConfidenceIndex(folder / "small", saved_encoder) as index:
        index.add(["my card", "my card pin", "pizza oven"], ids=["a", "b", "c"], labels=["card", "card", "food"])
        index.copy_to(folder / "pushed")
    queries, right = questions(80, 5)
    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(queries, right, strict=True)]
    (folder / "judged.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "texts.csv").write_text("\n".join(["text", *texts]), encoding="utf-8")
    (folder / "labels.csv").write_text("id,label\na,food\n", encoding="utf-8")
    return folder


COMMANDS = {
    "audit": "audit --index idx",
    "audit and export": "audit --index idx --export answers.jsonl",
    "search": "search card --index idx",
    "search a file": "search --queries judged.jsonl --index idx --target-precision 0.9 --limit 2",
    "search and ask back": "search card --index idx --target-precision 0.9 --on-uncertain clarify",
    "calibrate": "calibrate --queries judged.jsonl --relevant label --index idx --promise-by label",
    "evaluate": "evaluate --queries judged.jsonl --relevant label --index idx --slice length --keep",
    "history": "history --index idx",
    "adapt": "adapt --queries judged.jsonl --index idx",
    "adapt and check": "adapt --queries judged.jsonl --index idx --check",
    "score": "score --index idx",
    "review": "review --index idx --kind contradicted --evidence 1 --limit 3",
    "review queries": "review --index idx --kind abstained",
    "confused": "confused --all --index idx",
    "push": "push small --index pushed",
    "pull": "pull small --index pushed",
    "decide": "decide label a --label food --index small",
    "decisions": "decisions --index small",
    "undo": "undo --index small",
    "relabel": "relabel labels.csv --index small",
    "export": "export out.csv --kind ambiguous --index small",
    "import": "import out.csv --index small",
    "missing-labels": "missing-labels --min-size 1 --index idx",
    "decide-queries": "decide-queries dismiss QUERY --index idx",
    "forget-queries": "forget-queries --all --index small",
    "describe": "describe texts.csv --encoder ENCODER",
    "info": "info --index idx",
    "check": "check --index idx",
    "index": "index texts.csv --index small",
    "delete": "delete a nobody --index small",
    "filterable": "filterable size:integer --index small",
    "optimize": "optimize --index small",
    "copy": "copy small copied",
    "snapshot": "snapshot small.snap --index small",
    "restore": "restore small.snap --index restored",
    "migrate": "migrate ENCODER --index small",
}
ELSEWHERE = {"quickstart", "fit", "recover", "adopt", "sync"}  # see test_quickstart.py, test_cli.py, test_adopt.py


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_print_what_their_schema_says(run, place, saved_encoder, monkeypatch, name):
    monkeypatch.chdir(place)
    query = next(iter(open_queries(place)), "none") if "QUERY" in COMMANDS[name] else ""
    words = [{"ENCODER": saved_encoder, "QUERY": query}.get(word, word) for word in COMMANDS[name].split()]
    code, out, err = run(*words, "--json", stdin=b"")
    assert code in (0, 3, 4), err
    lines = out.splitlines()
    assert lines
    shape = schema_of(words[0])
    for line in lines:
        assert list(flaws(json.loads(line), shape)) == []


def open_queries(place):
    with ConfidenceIndex(place / "idx") as index:
        return [query.id for query in index.logged_queries()]


def test_every_command_prints_json_or_has_a_reason_not_to():
    commands = typer.main.get_command(cli.app).commands
    printing = {name for name, command in commands.items() if any("--json" in p.opts for p in command.params)}
    assert set(commands) - printing == {"serve", "mcp", "demo", "schema"}
    assert set(OUTPUTS) == printing
    assert {words.split()[0] for words in COMMANDS.values()} | ELSEWHERE == printing


def test_a_schema_is_printed_for_one_command_and_for_all(run, monkeypatch):
    assert json.loads(run("schema", "delete")[1]) == schema_of("delete")
    for name in [name for name in OUTPUTS if name not in ("delete", "restore")]:
        monkeypatch.delitem(OUTPUTS, name)
    assert set(json.loads(run("schema")[1])) == {"delete", "restore"}
    code, _, err = run("schema", "serve")
    assert (code, "prints no JSON; these do:" in err) == (2, True)


def test_the_checker_finds_flaws():
    shape = schema_of("delete")
    assert list(flaws({"removed": 1, "unknown": ["a", 2], "items": 3}, shape)) == []
    for wrong in ({"removed": 1, "items": 3}, {"removed": "1", "unknown": [], "items": 3}, [], None):
        assert list(flaws(wrong, shape))
    assert list(flaws({"removed": True, "unknown": [[]], "items": 3}, shape))


def test_default_lists_are_of_what_is_likely(run, place):
    index = ("--index", place / "idx")
    code, out, err = run("export", place / "likely.csv", *index, "--json")
    assert code == 0, err
    likely = json.loads(out)["items"]
    assert "--min-score 0 writes them, too" in err
    every = json.loads(run("export", place / "all.csv", *index, "--min-score", 0, "--json")[1])["items"]
    assert likely < every
    scores = [
        json.loads(line)["score"]
        for line in run("review", *index, "--kind", "contradicted", "--json", "--limit", 100)[1].splitlines()
    ]
    assert likely == sum(score >= 0.5 for score in scores)
    listed, whole = (
        [json.loads(line) for line in run("confused", *index, *more, "--json")[1].splitlines()]
        for more in ((), ("--all",))
    )
    assert len(listed) <= len(whole)
    assert all(pair["score"] > 0 or pair["first_as_second"] + pair["second_as_first"] >= 3 for pair in listed)
