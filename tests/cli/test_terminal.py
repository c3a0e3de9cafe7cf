"""How the command line looks in a terminal: help, versions, colours, narrow tables."""

import io
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

import fg_search
from fg_search import ConfidenceIndex, cli, display
from fg_search.review.decisions import ReviewDecision
from fg_search.review.items import ReviewItem

PROGRAM = typer.main.get_command(cli.app)


@pytest.fixture(scope="module")
def shop(encoder):
    """Items with long texts, which no test changes."""
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(["my card pin " * 40, "pizza\n\noven " * 40], ids=["a", "b"], labels=["card", "food"])
        yield index


def shown(draw, *arguments, width=80, **options):
    out = io.StringIO()
    draw(Console(file=out, width=width, **options.pop("console", {})), *arguments, **options)
    return out.getvalue()


def test_commands_are_in_groups_and_each_has_an_example(run):
    for name, command in PROGRAM.commands.items():
        assert command.rich_help_panel in cli.COMMANDS
        assert re.fullmatch(rf"Example: `fg-search {name}( .*)?`", command.epilog)
        context = PROGRAM.make_context("fg-search", [], resilient_parsing=True)
        words = shlex.split(command.epilog.removeprefix("Example: `").removesuffix("`"))[2:]
        command.make_context(name, words, parent=context)  # every option is one


@pytest.mark.parametrize("width", [80, 120])
def test_help_fits_into_the_terminal(monkeypatch, width):
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", width)
    for name in ("search", "index", "fit"):
        out = CliRunner().invoke(cli.app, [name, "--help"]).output
        assert max(map(len, out.splitlines())) <= width
        assert "Options of files" in out
        assert "[required]" in out


def test_the_version_is_told(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith(f"fg-search {fg_search.__version__} (Python ")


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
    ids=["nothing", "a number", "a policy"],
)
def test_threads_that_wait_soon_leave_their_cores_to_others_unless_told(monkeypatch, given, spins):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["fg-search", "--version"])
    with pytest.raises(SystemExit):
        cli.run()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_completion_is_there(run):
    assert "--install-completion" in run("--help")[1]


def test_an_answer_and_an_abstention_have_colours_of_their_own(shop):
    colours = {"color_system": "standard", "force_terminal": True, "no_color": False}
    answer = shown(display.result, shop.search("my card pin"), console=colours)
    asked = {"min_query_confidence": 1, "on_uncertain": "abstain"}
    abstention = shown(display.result, shop.search("zebra", **asked), console=colours)
    flagged = shown(display.result, shop.search("zebra", min_query_confidence=1), console=colours)
    assert "\x1b[1;32manswer\x1b[0m" in answer
    assert "\x1b[1;31mabstain\x1b[0m" in abstention
    assert "\x1b[33muncertain\x1b[0m" in flagged
    assert "answer" not in flagged.split(":")[0]


def test_colours_are_left_out_where_no_color_is_set(shop, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    found = shown(display.result, shop.search("my card pin"), console={"force_terminal": True})
    assert "answer" in found
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", found)


@pytest.mark.parametrize("width", [80, 120])
def test_long_texts_are_shortened_unless_they_are_to_be_whole(shop, width):
    result = shop.search("my card pin")
    short, whole = (shown(display.result, result, width=width, full=full) for full in (False, True))
    assert max(map(len, short.splitlines())) <= width
    assert "…" in short
    assert len(short.splitlines()) <= 25
    assert short.count("pin") < 40 < whole.count("pin")
    items = shop.review()
    assert "…" in shown(display.review, items, width=width)
    assert shown(display.review, items, width=width, full=True).count("oven") == 40


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("user_id", ["a", "9ac7b8ce-fae6-58d8-82d0-dc7dd47355a9"])
def test_numbers_ids_and_words_stay_whole_in_a_narrow_terminal(user_id, width):
    item = ReviewItem(
        id=user_id, text="extraordinarily many words " * 3, label="card_swallowed_abroad", kind="ambiguous", score=0.5,
        confidence=0.31, group_confidence=(), reason="16 of 16 groups are undecided", payload={},
    )  # fmt: skip
    out = shown(display.review, [item], width=width)
    whole = [user_id, "card_swallowed_abroad", "extraordinarily", "undecided", "0.31"]
    decision = ReviewDecision(
        number=1795755136815145, time="2026-11-27T04:52:00+00:00", reviewer="Ada", id=user_id, action="label",
        before="card_swallowed_abroad", after="food_order_request",
    )  # fmt: skip
    listed = shown(display.decisions, [decision], width=width)
    assert all(word in out.split() for word in whole), out
    assert {user_id, "1795755136815145", "card_swallowed_abroad", "food_order_request"} <= set(listed.split()), listed
    *table, _ = out.splitlines()  # a legend is below it
    assert max(map(len, table + listed.splitlines())) <= width


def test_what_was_calibrated_is_listed(run, encoder, corpus, questions, tmp_path):
    place = ("--index", tmp_path / "idx")
    with ConfidenceIndex(tmp_path / "idx", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
    assert "nothing was calibrated yet" in run("history", *place)[1]
    with ConfidenceIndex(tmp_path / "idx") as index:
        index.evaluate(*questions(60, 5), keep=True, reviewer="Grace")
        learned = index.calibrate(*questions(200, 3), reviewer="Ada")
    first, second = run("history", *place)[1].split("evaluate by")[1].split("calibrate by")
    assert "Grace" in first
    assert "nothing" in first
    assert "Ada" in second
    assert f"{learned.threshold(0.8).coverage:.0%}" in second


def test_what_was_decided_is_listed_and_taken_back(run, encoder, tmp_path):
    with ConfidenceIndex(tmp_path / "idx", encoder) as index:
        index.add(["my card", "pizza", "the loan"], ids=["a", "b", 3], labels=["card", "food", "loan"])
    place = ("--index", tmp_path / "idx")
    assert "nothing was decided" in run("decisions", *place)[1]
    code, out, err = run("decide", "label", "a", "--label", "food", "--reviewer", "Ada", *place)
    assert code == 0, err
    assert "'a' has the label 'food'" in out
    undo = re.search(r"`fg-search (undo \d+)` takes it back", out)[1]
    listed = run("decisions", *place)[1]
    assert "card → food" in listed
    assert "Ada" in listed
    code, out, err = run(*undo.split(), *place)
    assert (code, "'a' has the label 'card' again" in out) == (0, True), err
    assert "nothing was decided" in run("decisions", "--standing", *place)[1]
    assert run("undo", *place)[0] == 1
    code, _, err = run("decide", "keep", "3", *place)
    assert (code, "it has 3, a number; pass --ids json" in err) == (1, True)
    assert run("decide", "delete", "3", "--ids", "json", *place)[0] == 0
    code, _, err = run("decide", "label", "a", "--label", "crad", *place)
    assert (code, "did you mean 'card'?" in err) == (1, True)
    assert run("decide", "label", "a", *place)[0] == 2
    code, _, err = run("decide", "a", "--label", "card", *place)
    assert (code, "The action comes first. Example:" in " ".join(err.replace("│", "").split())) == (2, True)
    code, _, err = run("search", "card", "--top-k", "3", *place)
    assert (code, "did you mean --limit?" in err) == (2, True)
    assert run("decide", "keep", "a", "--label", "card", *place)[0] == 2


def test_one_item_is_one_item(run, encoder, tmp_path):
    with ConfidenceIndex(tmp_path / "idx", encoder) as index:
        index.add(["my card", "pizza"], ids=["a", "b"], labels=["card", "food"])
    assert run("delete", "a", "--index", tmp_path / "idx")[1].startswith("1 item removed, 1 in the index")


def test_a_search_that_finds_nothing_says_so_by_its_exit_code(run, encoder, tmp_path):
    with ConfidenceIndex(tmp_path / "idx", encoder) as index:
        index.add(["my card", "pizza"], payloads=[{"n": 1}, {"n": 2}])
    search = ("search", "my card", "--index", tmp_path / "idx", "--json")
    assert run(*search)[0] == 0
    assert run(*search, "--where", "n>5")[0] == 4
    assert run(*search, "--min-query-confidence", 1, "--on-uncertain", "abstain")[0] == 4
    assert run(*search[:1], *search[2:], "--where", "n>5", stdin=b"my card\n")[0] == 0


def test_help_loads_no_engine_and_no_model():
    script = "import sys, fg_search.cli; print([n for n in ('qdrant_client', 'torch', 'scipy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
