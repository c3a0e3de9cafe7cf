"""In strict mode, as managed Qdrant sets it, an index does all that it does elsewhere."""

import inspect
from typing import Any

import pytest
from every_method import EVEN, QUESTIONS, Called, walk
from qdrant_client import models
from strict_mode import StrictClient

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import ServerError

COPIES = 3  # more items than a request may return or write


@pytest.fixture
def many(rows) -> dict[str, Any]:
    """Arguments of ``add`` for three copies of the corpus."""
    return {
        **{name: values * COPIES for name, values in rows.items() if name != "ids"},
        "ids": [f"{copy}-{user_id}" for copy in range(COPIES) for user_id in rows["ids"]],
    }


@pytest.fixture
def client():
    strict = StrictClient()
    yield strict
    strict.close()


def test_every_method_does_in_strict_mode_what_it_does_without(
    client, encoder, other_encoder, many, questions, tmp_path
):
    settings = IndexSettings(filterable={"parity": "integer"})
    with (
        ConfidenceIndex(client, encoder, settings=settings) as strict,
        ConfidenceIndex(":memory:", encoder, settings=settings) as free,
    ):
        called = Called(strict)
        found = walk(called, other_encoder, many, questions, tmp_path / "strict", StrictClient())
        assert found == walk(Called(free), other_encoder, many, questions, tmp_path / "free", StrictClient())
    elsewhere = {
        "check",
        "close",
        "restore",
        "recover",
        "snapshot",
        "tenant",
        "client",
        "logging",
        "location",
        "metadata",
        "adopt",
        "plan_adoption",
        "sync",
        "undo_adoption",
    }
    public = {name for name, _ in inspect.getmembers(ConfidenceIndex) if not name.startswith("_")}
    assert public - called.names - elsewhere == {"calibration", "encoder"}


def test_an_index_with_tenants_works_in_strict_mode(client, encoder, rows, tmp_path, questions):
    settings = IndexSettings(tenant_key="owner", filterable={"parity": "integer"})
    with ConfidenceIndex(client, encoder, settings=settings) as shared:
        one = shared.tenant("one")
        one.add(**rows)
        shared.tenant("two").add(**rows)
        one.log_queries("all")
        one.calibrate(*questions(40, 0))
        assert one.search(QUESTIONS[0], query_filter=EVEN, min_confidence=0.2).hits
        assert len(one.logged_queries(only_open=False)) == 1
        one.score_labels()
        one.score_items()
        assert one.review(kind="ambiguous", query_filter=EVEN)
        one.decide("d0", "keep")
        one.undo()
        assert [decision.id for decision in one.decisions()] == ["d0", "d0"]
        assert one.info().points == 48
        shared.refit(tmp_path / "new", set_aside=0.5)
        assert one.search(QUESTIONS[0], min_confidence=0.2).hits
        assert one.delete(query_filter=EVEN) == 24


def parities(count):
    """A filter of so many conditions, which all items match."""
    is_any = models.FieldCondition(key="parity", match=models.MatchAny(any=[0, 1]))
    return models.Filter(must=[models.Filter(should=[is_any]), *[is_any] * (count - 1)])


def test_the_conditions_of_the_index_leave_room_for_those_of_the_user(client, encoder, rows, tmp_path):
    """Of five conditions, those for a tenant, the least confidence and items set aside would take all."""
    settings = IndexSettings(tenant_key="owner", filterable={"parity": "integer"})
    labels = ["other" if i % 16 == 0 else label for i, label in enumerate(rows["labels"])]

    def use(place):
        with ConfidenceIndex(place, encoder, settings=settings) as index:
            one = index.tenant("one")
            one.add(**{**rows, "labels": labels})
            one.score_labels()
            index.refit(tmp_path / type(place).__name__, set_aside=0.2)
            assert one.info().set_aside
            wanted = {"min_confidence": 0.2, "limit": 48, "query_filter": parities(2)}
            hits = one.search(QUESTIONS[0], rank_by="base", **wanted).hits
            groups = one.search_groups(QUESTIONS[0], group_by="parity", query_filter=parities(2)).groups
            assert one.review(kind="ambiguous", query_filter=parities(2))
            if place is client:
                check_refusals(one)
            return [hit.id for hit in hits], {group.value for group in groups}

    def check_refusals(one):
        words = "strict mode allows 5 conditions in a filter, and this one has 6: {} of yours and {}"
        for count, call in (
            (3, lambda few: one.search(QUESTIONS[0], min_confidence=0.2, query_filter=few)),
            (3, lambda few: one.search_groups(QUESTIONS[0], group_by="parity", query_filter=few)),
            (4, lambda few: one.review(kind="ambiguous", query_filter=few)),
            (3, lambda few: one.delete(query_filter=few)),
        ):
            with pytest.raises(ServerError, match=words.format(count, 6 - count)):
                call(parities(count))

    found = use(client)
    assert found == use(":memory:")
    assert len(found[0]) < 48


def test_an_old_index_gets_its_missing_payload_indexes_when_it_is_opened(client, encoder, rows):
    with ConfidenceIndex(client, encoder) as index:
        index.add(**rows)
        index.score_labels()
        index.decide("d0", "keep")
    for schema in client._schemas.values():  # of a release that made fewer
        schema.clear()
    with ConfidenceIndex(client) as index:
        assert index.review(kind="contradicted") is not None
        assert index.info().points == 48
        assert index.labels()
        assert [decision.id for decision in index.decisions()] == ["d0"]


def test_a_filter_on_a_field_without_an_index_is_answered_with_the_command_that_makes_one(client, encoder, rows):
    with ConfidenceIndex(client, encoder) as index:
        index.add(**rows)
        words = r"`fg-search filterable parity`, or index\.make_filterable\(\['parity'\]\)"
        with pytest.raises(ServerError, match=words):
            index.search(QUESTIONS[0], query_filter=EVEN)
        with pytest.raises(ServerError, match=words):
            index.search_groups(QUESTIONS[0], group_by="parity")
        assert index.make_filterable(["parity"]) == {"parity": "integer"}
        assert index.search(QUESTIONS[0], query_filter=EVEN).hits
    with ConfidenceIndex(client) as index:
        assert index.metadata.settings.filterable == {"parity": "integer"}


def test_fields_named_when_an_index_is_opened_become_filterable(client, encoder, rows):
    ConfidenceIndex(client, encoder).add(**rows)
    with ConfidenceIndex(client, settings=IndexSettings(filterable={"parity": "integer"})) as index:
        assert index.search(QUESTIONS[0], query_filter=EVEN).hits
        assert index.metadata.settings.filterable == {"parity": "integer"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "float"),
        (["a", "2026-01-01"], "keyword"),
        (["2026-01-01", "2026-01-01T10:00:00Z"], "datetime"),
        (["2026", "20260101"], "keyword"),
        ([True, None], "bool"),
        ([["a", "b"], []], "keyword"),
        ([{"lon": 1.0, "lat": 2.0}], "geo"),
        ([1, "a"], "keyword"),
    ],
)
def test_the_kind_of_a_field_is_guessed_from_its_values(local, values, kind):
    local.add(["my card", "a flight"][: len(values)], payloads=[{"some": {"field": value}} for value in values])
    assert local.make_filterable(["some.field"]) == {"some.field": kind}


def test_fields_that_cannot_be_filterable_are_refused(local):
    local.add(["my card"], payloads=[{"a": 1}])
    with pytest.raises(ValueError, match='no item has a value in "nothing"'):
        local.make_filterable(["nothing"])
    with pytest.raises(ValueError, match="must be one of keyword, integer"):
        local.make_filterable({"a": "number"})
    with pytest.raises(ValueError, match="the index's own"):
        local.make_filterable({"fg.label": "keyword"})
    with pytest.raises(ValueError, match="is no path"):
        IndexSettings(filterable={"a b": "keyword"})
    with pytest.raises(TypeError, match="must map fields to kinds"):
        IndexSettings(filterable=["a"])
