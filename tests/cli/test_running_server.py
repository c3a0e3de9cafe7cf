"""A search that a running ``fg-search serve`` answers, since it has the folder open."""

import json
import re
import stat
import threading

import portalocker
import pytest

from fg_search import ConfidenceIndex
from fg_search.cli import search, serve
from fg_search.cli.running_server import FILE, LOCK, RunningServer
from fg_search.web.server import server

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, saved_encoder, corpus, questions):
    """A calibrated index."""
    path = tmp_path_factory.mktemp("served") / "index"
    with ConfidenceIndex(path, str(saved_encoder)) as index:
        index.add(corpus[0], ids=range(48), labels=corpus[1], payloads=[{"price": i} for i in range(48)])
        index.calibrate(*questions(60, 0))
    return path


@pytest.fixture
def while_served(run, monkeypatch, folder):
    """What commands do while the index is served, one after the other."""

    def answers(*commands, options=(), before=lambda: None):
        done = []

        def run_app(app, listener):
            running = server(app)
            thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
            thread.start()
            before()
            with monkeypatch.context() as patch:
                patch.setattr(search, "open_index", None)  # nothing is loaded
                done.extend(run(*command) for command in commands)
            running.should_exit = True
            thread.join(10)

        monkeypatch.setattr(serve, "run_app", run_app)
        assert run("serve", "--index", folder, "--port", 0, *options)[0] == 0
        return done

    return answers


def test_it_prints_what_the_index_itself_would(run, while_served, folder, tmp_path):
    (tmp_path / "q.csv").write_text("text,no\nmy card pin,1\npizza oven,2\n")
    asking = ("search", "--index", folder, "--json", "--limit", 3)
    commands = [
        (*asking, "my card pin", "--also", "card blocked", "--explain", "--where", "price<40"),
        (*asking, "--queries", tmp_path / "q.csv", "--target-precision", "0.5", "--on-uncertain", "clarify"),
        ("search", "--index", folder, "my card pin"),
        (*asking, "my card pin", "--where", "prise=3"),
    ]
    alone = [run(*command) for command in commands]
    served = while_served(*commands)
    for (code, out, err), (same_code, same_out, same_err) in zip(alone, served, strict=True):
        assert (same_code, rounded(same_out)) == (code, rounded(out))
        assert "has the index open, and answers" in same_err
        assert ("did you mean 'price'?" in same_err) == ("did you mean 'price'?" in err)
    assert alone[3][0] == 4


def rounded(out):
    """Numbers to six digits: JSON objects, or a table as it is."""
    return [
        json.loads(line, parse_float=lambda text: round(float(text), 6)) for line in out.splitlines() if line[:1] == "{"
    ] or out


def test_what_a_server_cannot_do_is_refused(while_served, folder):
    refused = while_served(
        ("search", "card", "--index", folder, "--filter", "{}", "--log"),
        ("search", "card", "--index", folder, "--on-uncertain", "raise"),
        ("search", "card", "--index", folder, "--collection", "other"),
        ("search", "card", "--index", folder, "--limit", 1000),
    )
    assert [code for code, _, _ in refused] == [1] * 4
    for (_, out, err), said in zip(
        refused,
        ("cannot do --filter, --log", "cannot do --on-uncertain raise", "not for another one", "limit"),
        strict=True,
    ):
        assert (out, said in err) == ("", True)


def test_all_other_commands_say_who_has_the_folder_open(while_served, folder, tmp_path):
    place = ("--index", folder)
    refused = while_served(("info", *place), ("undo", *place), ("copy", folder, tmp_path / "c"), ("score", *place))
    for code, out, err in refused:
        assert (code, out) == (1, "")
        assert re.search(r"`fg-search serve` has \S+ open at http://\S+; do it on its page, or stop it first\n$", err)


def test_where_it_is_stays_between_the_two(run, while_served, folder):
    seen = []

    def look():
        seen.append(stat.S_IMODE((folder / FILE).stat().st_mode))

    ((code, _, _),) = while_served(("search", "card", "--index", folder), options=("--token", TOKEN), before=look)
    assert (code, seen) == (0, [0o600])
    assert not (folder / FILE).exists()
    (folder / FILE).write_text('{"address": "http://127.0.0.1:9/"}')  # of a server that was killed
    code, _, err = run("search", "card", "--index", folder)
    assert (code, "answers" in err) == (0, False)


def test_those_who_ask_at_the_same_time_are_no_server(tmp_path):
    (tmp_path / FILE).write_text('{"address": "http://127.0.0.1:9/"}')  # of a server that was killed
    (tmp_path / LOCK).touch(0o444)
    with (tmp_path / LOCK).open() as other:
        portalocker.lock(other, portalocker.LockFlags.SHARED)
        assert RunningServer.of(str(tmp_path)) is None
    (tmp_path / LOCK).unlink()
    assert RunningServer.of(str(tmp_path)) is None
    assert [path.name for path in tmp_path.iterdir()] == [FILE]  # who asks writes nothing


def test_columns_of_hits_are_shown_and_explained_once(run, folder):
    options = ("--index", folder, "--limit", 2)
    columns = ("--show", "price", "--show", "id", "--show", "colour")
    code, out, err = run("search", *options, *columns, stdin=b"my card\nloan")
    assert code == 0, err
    assert re.search(r" price +id +colour +text", out)
    assert len(re.findall(r" (\d+) +\1 +- ", out)) == 4  # the price of an item is its number
    assert out.count("item conf.: how clearly") == 1
    assert err.count("no hit has a column 'colour' to show; there are 'id', 'price'") == 1
