import json
import re
import shlex
import sys
from functools import partialmethod

import pytest

from fg_search import ConfidenceIndex, FeatureGroupEncoder


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick") / "model"
    tiny_model.save(str(folder))
    return folder


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """A smaller head than is usual, trained for a moment."""
    smaller = partialmethod(FeatureGroupEncoder.fit, groups=4, hidden=16, steps=60)
    monkeypatch.setattr(FeatureGroupEncoder, "fit", smaller)


@pytest.fixture
def shop(corpus, tmp_path, monkeypatch):
    """A table with semicolons, in the encoding of a spreadsheet."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"A{i};{' '.join(text.split()[:2])};{text};{label};{i / 4};größe"
        for i, (text, label) in enumerate(zip(*corpus, strict=True))
    ]
    header = "sku;title;description;category;price;note"
    (tmp_path / "shop.csv").write_text("\n".join([header, *rows]), encoding="cp1252")
    return tmp_path


def test_from_a_file_to_an_answer_and_an_abstention(run, shop, model):
    code, out, err = run("quickstart", "shop.csv", "--model", model)
    assert code == 0, err
    assert "loading" not in err  # nothing new where nobody watches
    assert "read as cp1252" in out
    assert "title + description" in out
    assert "English" not in out  # of a model that somebody chose, nothing is said
    assert "answer" in out
    assert "abstain" in out
    said = out.splitlines()
    search = next(line.strip() for line in said if "fg-search search" in line)
    assert search.endswith("--show id")
    with ConfidenceIndex(shop / "shop-search" / "index") as index:
        assert len(index) == 48
    code, out, err = run(*shlex.split(search)[1:], "--where", "price<6", "--json")
    assert code in (0, 4), err
    assert all(hit["payload"]["price"] < 6 for hit in json.loads(out)["hits"])
    correct = next(line.strip() for line in said if "fit --refresh" in line)
    with ConfidenceIndex(shop / "shop-search" / "index") as index:
        index.relabel({"A0": "loan"})
    for command in correct.split(" && "):
        code, _, err = run(*shlex.split(command)[1:])
        assert code == 0, err
    assert (shop / "shop-search" / "encoder-2").is_dir()
    code, _, err = run("quickstart", "shop.csv", "--model", model)
    assert (code, "name another folder" in err) == (2, True)


def test_a_row_that_came_twice_is_one_item(run, shop, model, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # what takes time is said before, too
    rows = (shop / "shop.csv").read_text("cp1252").splitlines()
    (shop / "twice.csv").write_text("\n".join([*rows, rows[7]]).replace(".", ","), encoding="utf-8")
    monkeypatch.setattr("fg_search.cli.quickstart.DEFAULT_MODEL", str(model))
    code, out, err = run("quickstart", "twice.csv", "--model", model)
    assert code == 0, err
    assert "it learned from English texts" in out
    assert "1 row came twice" in out
    said = ("loading .*model …", "loaded in", "fitted on", "calibrating on the items .* …", "calibrated in")
    assert re.search("(.|\n)*".join(said), err)
    assert "indexed 48 items, 1 row twice in" in err
    with ConfidenceIndex(shop / "twice-search" / "index") as index:
        assert index.items(["A7"])[0].payload["price"] == 1.75


def test_without_labels_groups_of_like_texts_are_learned(run, shop, model, corpus):
    (shop / "plain.csv").write_text("text\n" + "\n".join(corpus[0]), encoding="utf-8")
    code, out, err = run("quickstart", "plain.csv", "--model", model, "-o", shop / "new", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["columns"]["label"] is None
    assert found["target_precision"] is None
    assert found["items"] == 48
    assert "fg-search serve" in " ".join(found["next"].values())


def test_types_of_columns_can_be_chosen(run, shop, model):
    quick = ("quickstart", "shop.csv", "--model", model, "--json", "--types", "price=text", "-o", shop / "new")
    assert run(*quick)[0] == 0
    index = ("--index", shop / "new" / "index", "--json")
    hit = json.loads(run("search", "my card", *index)[1])["hits"][0]
    assert isinstance(hit["payload"]["price"], str)
    again = ("index", "shop.csv", "--index", shop / "new" / "index", "--id", "sku", "--label", "category")
    again += ("--text", "title", "--text", "description", "--encoding", "auto")
    code, _, err = run(*again)
    assert (code, "types of columns: price float" in err) == (0, True)
    hit = json.loads(run("search", "my card", *index)[1])["hits"][0]
    assert isinstance(hit["payload"]["price"], float)
    assert run(*again, "--types", "price=money")[0] == 2
    code, _, err = run(*again, "--types", "weight=float")
    assert (code, "no column 'weight'" in err) == (1, True)
    code, _, err = run(*again, "--types", "note=float")
    assert (code, "'note' holds 'größe', which is no float" in err) == (1, True)


def test_what_is_not_finished_leaves_no_folder(run, shop, model, monkeypatch):
    quick = ("quickstart", "shop.csv", "--model", model, "--json", "-o", shop / "new")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(ConfidenceIndex, "calibrate", _interrupt)
        assert run(*quick)[0] == 130
    assert not (shop / "new").exists()
    (shop / "one.csv").write_text("text\nmy card\nmy card\n")
    code, _, err = run("quickstart", "one.csv", "--model", model)
    assert (code, "1 text to learn from; it takes two at least" in err) == (1, True)
    assert not (shop / "one-search").exists()
    assert run(*quick)[0] == 0


def _interrupt(*args, **options):
    raise KeyboardInterrupt
