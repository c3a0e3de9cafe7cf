"""Advice of the command line: each command is run as the message of another one says."""

import json
import shlex
import socket
import sys

import pytest
from advising import Advice
from qdrant_client import models

from fg_search import ConfidenceIndex, EdgeClient, IndexSettings
from fg_search.cli import serve
from fg_search.cli.running_server import FILE, RunningServer, announced


@pytest.fixture(scope="module")
def made(saved_encoder, corpus, tmp_path_factory):
    """Folder of an index that no test changes."""
    from fg_search import FeatureGroupEncoder

    folder = tmp_path_factory.mktemp("advice")
    texts, labels = corpus
    with ConfidenceIndex(folder / "idx", FeatureGroupEncoder.load(saved_encoder)) as index:
        index.add(
            texts, ids=[f"d{i}" for i in range(len(texts))], labels=labels, payloads=[{"size.eu": 4}] * len(texts)
        )
    return folder / "idx"


@pytest.fixture
def own(encoder, tmp_path):
    """Folder of an index for one test to change."""
    with ConfidenceIndex(tmp_path / "idx", encoder) as index:
        index.add(["my card pin", "pizza oven"], ids=["c", 7], labels=["card", "food"])
    return tmp_path / "idx"


def _failed(result):
    code, _, err = result
    assert code in (1, 2), result
    return " ".join(err.replace("│", " ").split())


def _done(result):
    code, out, err = result
    assert code == 0, err
    return out, err


def test_an_index_is_made_by_the_command_that_the_message_names(run, tmp_path, saved_encoder):
    (tmp_path / "a.csv").write_text("text\nmy card\n")
    failed = _failed(run("index", tmp_path / "a.csv", "--index", tmp_path / "i"))
    assert "`fg-search index … --encoder FOLDER`" in failed
    _done(run("index", tmp_path / "a.csv", "--index", tmp_path / "i", "--encoder", saved_encoder))
    _done(run("search", "my card", "--index", tmp_path / "i"))


def test_a_folder_is_given_instead_of_memory(run, made):
    advice = Advice("an index in memory ends with the command; give a folder or a URL")
    assert advice.is_in(_failed(run("search", "my card", "--index", ":memory:")))
    _done(run("search", "my card", "--index", made))


def test_a_query_is_given_with_its_phrasings(run, made):
    advice = Advice("--also adds phrasings of QUERY; give QUERY, too")
    assert advice.is_in(_failed(run("search", "--also", "card stolen", "--index", made)))
    _done(run("search", "my card", "--also", "card stolen", "--index", made))


@pytest.mark.parametrize(
    ("advice", "option", "form"),
    [
        (Advice("a … file has no controls; leave --control out"), ("--control", "label"), "csv"),
        (Advice("a … file has no delimiter; leave --delimiter out"), ("--delimiter", ";"), "jsonl"),
    ],
)
def test_options_that_a_form_lacks_are_left_out(run, own, tmp_path, advice, option, form):
    _done(run("export", tmp_path / f"e.{form}", "--format", form, "--kind", "ambiguous", "--index", own))
    file = tmp_path / f"e.{form}"
    content = file.read_text()
    filled = content.replace("\r\n", "\n")
    if form == "jsonl":
        filled = "".join(
            json.dumps({**json.loads(row), "corrected_label": "loan"}) + "\n" for row in content.splitlines()
        )
    else:
        header, *rows = filled.splitlines()
        filled = "\n".join([header, *(row + "loan" for row in rows)]) + "\n"
    file.write_text(filled)
    failed = run("import", file, "--format", form, *option, "--index", own)
    assert advice.is_in(_failed(failed))
    _done(run("import", file, "--format", form, "--index", own))


def test_the_form_of_a_file_is_chosen_with_format(run, own, tmp_path):
    file = tmp_path / "e.jsonl"
    file.write_text('{"id": "c", "corrected_label": "loan"}\n{"id": 7, "corrected_label": "loan"}\n')
    failed = _failed(run("import", file, "--format", "label-studio", "--index", own))
    assert Advice("not JSON: …; choose the form of the file with --format").is_in(failed)
    assert "2 decisions" in _done(run("import", file, "--format", "jsonl", "--index", own))[0]


def test_the_form_of_a_file_is_that_of_its_ending(run, own, tmp_path):
    file = tmp_path / "e.jsonl"
    export = ("--kind", "ambiguous", "--limit", 2, "--index", own)
    _done(run("export", file, *export))
    rows = [{**json.loads(row), "corrected_label": "loan"} for row in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "2 decisions" in _done(run("import", file, "--index", own))[0]
    advice = Advice("… may be for Label Studio or Argilla; say which: --format label-studio")
    for command in (("export", tmp_path / "e.json", *export), ("import", tmp_path / "e.json", "--index", own)):
        assert advice.is_in(_failed(run(*command)).replace("│", ""))
    _done(run("export", tmp_path / "e.json", "--format", "label-studio", *export))


def test_an_import_is_saved_as_utf_8_or_its_encoding_is_named(run, own, tmp_path):
    file = tmp_path / "e.csv"
    content = 'id,corrected_label\n"""c""",café\n'
    file.write_bytes(content.encode("cp1252"))
    failed = _failed(run("import", file, "--index", own))
    assert Advice("not …: byte 0x… in line …; save it as UTF-8, or name its encoding").is_in(failed)
    assert "(--encoding cp1252)" in failed
    _done(run("import", file, "--encoding", "cp1252", "--index", own))
    file.write_bytes(content.encode())
    _done(run("import", file, "--index", own))
    with ConfidenceIndex(own) as index:
        assert index.labels_of(["c"]) == {"c": "café"}


@pytest.mark.parametrize(
    ("advice", "given", "form", "right"),
    [
        (Advice("…; pass --ids json"), "text", "7", "json"),
        (Advice("…; pass --ids text"), "json", "8", "text"),
    ],
)
def test_ids_are_read_as_the_message_says(run, own, tmp_path, advice, given, form, right):
    with ConfidenceIndex(own) as index:
        index.add(["my loan"], ids=["8"])
    failed = _failed(run("delete", form, "--ids", given, "--index", own))
    assert advice.is_in(failed)
    assert "1 item removed" in _done(run("delete", form, "--ids", right, "--index", own))[0]


def test_rows_replace_items_of_the_other_type_with_ids(run, own, tmp_path):
    (tmp_path / "a.csv").write_text("text,no\npizza oven,7\n")
    arguments = ("index", tmp_path / "a.csv", "--id", "no", "--index", own)
    advice = Advice("these rows are added as further items. To replace those items instead, pass --ids …")
    _, err = _done(run(*arguments))
    assert advice.is_in(err)
    assert "pass --ids json" in err
    out, err = _done(run(*arguments, "--ids", "json"))
    assert not advice.is_in(err)
    assert "3 in the index" in out


def test_a_column_with_a_dot_is_put_in_quotes_as_shown(run, made):
    def search(key):
        condition = f'{{"must": [{{"key": {key}, "match": {{"value": 4}}}}]}}'
        code, out, err = run("search", "my card", "--filter", condition, "--index", made)
        assert code in (0, 4)  # found, or nothing found
        return out, err

    _, err = search('"size.eu"')
    advice = Advice("as a path, but there is a column of this name; to filter by it, put it in quotes: …")
    assert advice.is_in(err)
    quoted = err.strip().rpartition("quotes: ")[2]
    assert search(quoted)[1] == ""


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_said_as_the_shell_takes_it(run, own, tmp_path, delimiter):
    (tmp_path / "a.csv").write_text(
        delimiter.join(["text", "label"]) + "\n" + delimiter.join(["my card", "card"]) + "\n"
    )
    failed = _failed(run("index", tmp_path / "a.csv", "--delimiter", ",", "--index", own))
    written = failed.partition(", --delimiter ")[2].removesuffix(")")
    (said,) = shlex.split(written)
    _done(run("index", tmp_path / "a.csv", "--delimiter", said, "--index", own))


def test_new_labels_of_an_export_are_made_if_they_are_meant(run, own, tmp_path):
    _done(run("export", tmp_path / "e.csv", "--kind", "ambiguous", "--index", own))
    header, *rows = (tmp_path / "e.csv").read_text().splitlines()
    (tmp_path / "e.csv").write_text("\n".join([header, *(row + "loan" for row in rows)]) + "\n")
    arguments = ("relabel", tmp_path / "e.csv", "--id", "id", "--index", own)
    advice = Advice("nothing was changed: … new; pass --new-label")
    assert advice.is_in(_failed(run(*arguments)))
    out, _ = _done(run(*arguments, "--new-label"))
    assert "2 of 2 items" in out


def test_bad_rows_stop_a_command_that_says_so(run, own, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "my card"}\n{"text": ""}\n')
    _, err = _done(run("index", tmp_path / "a.jsonl", "--index", own))
    assert "--on-error stop" in err
    assert "is empty" in _failed(run("index", tmp_path / "a.jsonl", "--on-error", "stop", "--index", own))


def test_a_lost_index_is_recovered_and_of_several_the_named_one(run, own):
    with EdgeClient(own) as client:
        gone = models.DeleteAlias(alias_name="fg_search")
        client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=gone)])
        (first,) = [collection.name for collection in client.get_collections().collections]
        file = client.snapshot_path(first, client.create_snapshot(first).name)
        second = "fg_search.0123456789abcdef"
        client.recover_snapshot(second, file)
        operation = client.get_collection(second).config.metadata["fg_search_operation"]
        client.update_collection(second, metadata={"fg_search_operation": {**operation, "id": second[-16:]}})
    assert "`fg-search recover` brings it back" in _failed(run("search", "my card", "--index", own))
    failed = _failed(run("recover", "--index", own))
    assert Advice("choose one of … collections: …; `fg-search recover … --from NAME` takes one of them").is_in(failed)
    _done(run("recover", "--index", own, "--from", first))
    _done(run("search", "my card", "--index", own))


def test_a_copy_of_other_settings_is_made_by_the_command(run, own, tmp_path, saved_encoder):
    with pytest.raises(ValueError, match="`fg-search copy`"):
        ConfidenceIndex(own, settings=IndexSettings(base_vectors="float16"))
    _done(run("copy", own, tmp_path / "copy", "--base-vectors", "float16"))
    ConfidenceIndex(tmp_path / "copy", settings=IndexSettings(base_vectors="float16")).close()


def test_scores_queries_and_calibrations_are_made_by_the_commands_that_are_named(run, own, tmp_path, corpus, questions):
    texts, labels = corpus
    with ConfidenceIndex(own) as index:
        index.add(texts, labels=labels)
    assert "`fg-search score` first" in _failed(run("review", "--kind", "contradicted", "--index", own))
    _done(run("score", "--index", own))
    _done(run("review", "--kind", "contradicted", "--index", own))

    assert Advice("no open queries in the log; see `fg-search search --log`").is_in(
        _done(run("review", "--kind", "abstained", "--index", own))[0]
    )
    _done(run("search", "stolen passport", "--log", "--min-query-confidence", 1, "--index", own))
    out, _ = _done(run("review", "--kind", "abstained", "--index", own))
    assert "stolen passport" in out
    assert Advice("no cluster of open queries is large enough; see `--min-size`").is_in(
        _done(run("missing-labels", "--index", own))[0]
    )
    assert "stolen passport" in _done(run("missing-labels", "--min-size", 1, "--index", own))[0]
    failed = _failed(run("forget-queries", "nobody", "--index", own))
    assert Advice("the log has no query … (… such id(s)); `fg-search review --kind abstained` lists their ids").is_in(
        failed
    )
    (query,) = map(json.loads, _done(run("review", "--kind", "abstained", "--json", "--index", own))[0].splitlines())
    assert "1 query removed" in _done(run("forget-queries", query["id"], "--index", own))[0]

    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(*questions(120, 1), strict=True)]
    (tmp_path / "q.jsonl").write_text("\n".join(rows) + "\n")
    assert Advice("none; see `fg-search calibrate`").is_in(_done(run("info", "--index", own))[0])
    judged = ("--queries", tmp_path / "q.jsonl", "--index", own)
    shown = _done(run("evaluate", *judged))[0]
    assert Advice("the index is not calibrated; see `fg-search calibrate`").is_in(shown)
    _done(run("calibrate", *judged))
    both = ("--check", "--expected-unanswerable", 0.2)
    assert Advice("--check compares queries; leave out --expected-unanswerable").is_in(
        _failed(run("adapt", *judged, *both))
    )
    _done(run("adapt", *judged, "--check"))
    assert "see `fg-search calibrate`" not in _done(run("info", "--index", own))[0]
    assert "see `fg-search calibrate`" not in _done(run("evaluate", *judged))[0]

    out, _ = _done(run("fit", "--refresh", own, "-o", tmp_path / "enc"))
    assert Advice("its calibration was for the old head: run `fg-search calibrate` again").is_in(out)
    _done(run("calibrate", *judged))
    _done(run("search", "my card", "--target-precision", 0.6, "--index", own))


def test_code_is_trusted_on_the_command_line_too(run, model_with_code, corpus, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{t},{b}\n" for t, b in zip(*corpus, strict=True)))
    fit = (
        "fit",
        tmp_path / "a.csv",
        "--label",
        "label",
        "--model",
        model_with_code,
        "-o",
        tmp_path / "e",
        "--groups",
        2,
    )
    failed = _failed(run(*fit))
    assert "on the command line, add --trust-remote-code" in failed
    _done(run(*fit, "--trust-remote-code"))
    index = ("index", tmp_path / "a.csv", "--encoder", tmp_path / "e", "--index", tmp_path / "i")
    assert "add --trust-remote-code" in _failed(run(*index))
    _done(run(*index, "--trust-remote-code"))


def test_an_unusable_cache_is_replaced_or_left_out(run, made, corpus, tmp_path, tiny_model):
    tiny_model.save(str(tmp_path / "model"), create_model_card=False)
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{t},{b}\n" for t, b in zip(*corpus, strict=True)))
    (tmp_path / "cache").write_text("")
    fit = ("fit", tmp_path / "a.csv", "--model", tmp_path / "model", "-o", tmp_path / "e", "--groups", 2)
    assert "--no-cache" in _done(run(*fit, "--cache", tmp_path / "cache"))[1]
    for option in (("--cache", tmp_path / "another"), ("--no-cache",)):
        assert "cannot be used" not in _done(run(*fit, *option))[1]


@pytest.fixture
def served(monkeypatch):
    """Addresses of what would be served."""
    addresses = []
    monkeypatch.setattr(serve, "run_app", lambda _, listener: addresses.append(listener.getsockname()))
    return addresses


def test_a_page_that_others_reach_has_a_token_or_stays_here(run, made, served, monkeypatch):
    advice = Advice(
        "can be reached by others: give a token of at least … characters in FG_SEARCH_TOKEN, or listen on 127.0.0.1"
    )
    assert advice.is_in(_failed(run("serve", "--index", made, "--host", "0.0.0.0", "--port", 0)))
    _done(run("serve", "--index", made, "--host", "127.0.0.1", "--port", 0))
    monkeypatch.setenv("FG_SEARCH_TOKEN", "0123456789abcdef0123456789abcdef")
    _done(run("serve", "--index", made, "--host", "0.0.0.0", "--port", 0))
    assert [host for host, _ in served] == ["127.0.0.1", "0.0.0.0"]


def test_another_port_is_chosen(run, made, served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        failed = _failed(run("serve", "--index", made, "--port", taken.getsockname()[1]))
        assert Advice("cannot listen on …, port …: …; choose another --port").is_in(failed)
        _done(run("serve", "--index", made, "--port", 0))
    assert len(served) == 1


def test_the_page_is_served_once_its_extra_is_there(run, made, served, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "uvicorn", None)
        failed = _failed(run("serve", "--index", made, "--port", 0))
    assert Advice("the page needs …; pip install 'fg-search[web]'").is_in(failed)
    _done(run("serve", "--index", made, "--port", 0))


def test_diagrams_are_drawn_once_their_extra_is_there(run, made, tmp_path, monkeypatch):
    (tmp_path / "q.csv").write_text("text,label\nmy card,card\npizza,food\n")
    evaluate = ("evaluate", "--queries", tmp_path / "q.csv", "--index", made, "--plots", tmp_path / "plots")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        failed = _failed(run(*evaluate))
    assert Advice("diagrams need matplotlib; pip install 'fg-search[plots]'").is_in(failed)
    _done(run(*evaluate))


def test_what_a_running_server_cannot_do_is_done_without_it(run, made):
    search = ("search", "card", "--index", made)
    with announced(str(made), RunningServer("http://127.0.0.1:9/", "fg_search", None, None)):
        failed = _failed(run(*search, "--filter", "{}"))
    assert Advice("… and cannot do …: leave it out, or stop the server first").is_in(failed)
    _done(run(*search, "--filter", "{}"))


def test_a_server_of_another_release_is_started_with_this_one(run, made):
    search = ("search", "card", "--index", made)
    server = RunningServer("http://127.0.0.1:9/", "fg_search", None, None)
    with announced(str(made), server):
        said = made / FILE
        said.write_text('{"url": "http://127.0.0.1:9/"}')
        failed = _failed(run(*search))
    assert "of another release of fg_search, which cannot be asked; stop it, and start it with this release" in failed
    with announced(str(made), server):
        assert RunningServer.of(str(made)) == server


def test_a_second_opinion_is_given_by_the_number_of_the_first(run, own):
    at = ("--index", own)
    assert Advice("nobody gave a second opinion; see `fg-search review --kind second`").is_in(
        _done(run("decisions", "--agreement", *at))[0]
    )
    alone = Advice("two agree about many items; leave --item out")
    assert alone.is_in(_failed(run("decisions", "--agreement", "--item", "c", *at)))
    _done(run("decide", "keep", "c", "--reviewer", "Ada", *at))
    refused = _failed(run("export", own / "to-do.csv", "--kind", "second", *at))
    assert Advice("give second opinions on the page, or by `fg-search decide --opinion-on`").is_in(refused)
    listed = json.loads(_done(run("review", "--kind", "second", "--reviewer", "Ben", "--json", *at))[0])
    opinion = ("--opinion-on", listed["opinion_on"], "--reviewer", "Ben")
    _done(run("decide", "label", "c", "--label", "food", *opinion, *at))
    assert "0%" in _done(run("decisions", "--agreement", *at))[0]
