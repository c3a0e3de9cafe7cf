"""Items go into a model as documents and queries as queries, whoever brings them."""

import pytest

from fg_search import ConfidenceIndex, FeatureGroupEncoder, SentenceTransformerEmbedder

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 60}


@pytest.fixture(scope="module")
def prompted(prompted_model, corpus, tmp_path_factory):
    """Folder of an encoder of a model whose queries look nothing like its documents."""
    folder = tmp_path_factory.mktemp("prompted") / "encoder"
    FeatureGroupEncoder(prompted_model).fit(corpus[0], labels=corpus[1], **SIZES).save(folder)
    return folder


@pytest.fixture
def asked(monkeypatch):
    """Role and texts of whatever goes into a model."""
    found = []
    source = SentenceTransformerEmbedder.source

    def spy(self, texts, role):
        found.append((role, list(texts)))
        return source(self, texts, role)

    monkeypatch.setattr(SentenceTransformerEmbedder, "source", spy)
    return found


@pytest.fixture
def index(prompted, corpus, tmp_path):
    with ConfidenceIndex(tmp_path / "index", prompted) as index:
        index.add(corpus[0], ids=range(48), labels=corpus[1])
        yield index


def test_items_are_documents_and_queries_are_queries(prompted, corpus, asked, tmp_path):
    with ConfidenceIndex(tmp_path / "index", prompted) as index:
        index.add(corpus[0], labels=corpus[1])
        assert asked == [("document", corpus[0])]
        asked.clear()
        index.search("my card")
        index.search_many(["my card", ["a loan", "the loan"]])
        index.search_groups("my card", group_by="fg.label")
        assert asked == [
            ("query", ["my card"]),
            ("query", ["my card", "a loan", "the loan"]),
            ("query", ["my card"]),
        ]


def test_judged_queries_are_queries(index, questions, asked):
    texts, right = questions(120, 5)
    index.calibrate(texts, right)
    index.evaluate(texts, right)
    index.adapt(texts)
    index.check_traffic(texts)
    assert {role for role, _ in asked} == {"query"}
    assert len(asked) == 4


def test_queries_of_the_log_are_queries_until_they_become_items(index, asked):
    index.log_queries("all")
    index.search_many(["my zebra", "the zebra", "zebra please"] * 2)
    index.missing_labels(min_size=1)
    assert {role for role, _ in asked} == {"query"}
    asked.clear()
    added = index.decide_queries([query.id for query in index.logged_queries(only_open=False)], "add", "zebra")
    assert [role for role, _ in asked] == ["document"]
    assert sorted(asked[0][1]) == sorted(query.text for query in added)


def test_items_that_are_taken_for_queries_are_embedded_as_such(index, asked, corpus):
    calibration = index.calibrate()
    assert calibration.pretended
    assert {role for role, _ in asked} == {"query"}
    texts = [text for _, part in asked for text in part]
    assert len(texts) == len(set(texts)) <= 48


def test_a_refit_keeps_the_documents_and_learns_queries(index, asked, tmp_path):
    refitted = index.refit(tmp_path / "new")
    assert {role for role, _ in asked} == {"query"}
    assert refitted.head.query_familiarity is not None
    asked.clear()
    index.search("my card")
    assert asked == [("query", ["my card"])]


def test_a_migration_embeds_documents(index, asked, prompted_model, corpus):
    other = FeatureGroupEncoder(prompted_model, symmetric=True).fit(corpus[0], labels=corpus[1], **SIZES)
    asked.clear()
    index.migrate(other)
    assert {role for role, _ in asked} == {"document"}


def test_familiarity_of_a_query_is_that_among_queries(index, corpus):
    known = index.search_many(corpus[0], rank_by="base")
    assert sum(result.query_familiarity for result in known) / 48 > 0.4
    prompts = {result.hits[0].text for result in known}
    assert len(prompts) > 1


def test_embeddings_of_the_other_role_are_refused(index, corpus):
    encoder = index.encoder
    with pytest.raises(ValueError, match=r"those of a document, and the model embeds a query in another way"):
        index.search("my card", embeddings=encoder.encode(["my card"]))
    assert index.search("my card", embeddings=encoder.encode_query(["my card"])).hits
    with pytest.raises(ValueError, match=r"make them with encoder\.encode_document\(texts\)"):
        index.add(["my card"], embeddings=encoder.encode_query(["my card"]))


def test_the_command_line_and_the_page_go_the_same_ways(index, asked, tmp_path, monkeypatch, capsys):
    import sys

    from fastapi.testclient import TestClient

    from fg_search import cli
    from fg_search.web.app import create_app

    with TestClient(create_app(index), base_url="http://localhost") as page:
        assert page.get("/", params={"q": "my card"}).status_code == 200
    assert asked[0] == ("query", ["my card"])
    assert {role for role, _ in asked} == {"query"}
    asked.clear()
    index.close()
    (tmp_path / "queries.jsonl").write_text('{"text": "my pin"}\n{"text": "a loan"}\n')
    for arguments in (["my card"], ["--queries", str(tmp_path / "queries.jsonl")]):
        monkeypatch.setattr(sys, "argv", ["fg-search", "search", *arguments, "--index", str(tmp_path / "index")])
        with pytest.raises(SystemExit):
            cli.main()
    assert asked == [("query", ["my card"]), ("query", ["my pin", "a loan"])]
    assert "card" in capsys.readouterr().out
