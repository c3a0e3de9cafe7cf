"""How clusters of queries are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.queries.cluster_names import cluster_names

SUNDAY = ["Are you open on Sunday?", "is the shop open on Sunday", "what about Sunday, are you open", "open on sunday"]
PIN = ["change the pin number", "what is my pin number", "I forgot the pin number of my card", "a new pin number"]
OTHERS = [
    f"what is the {thing} of my order, and are you on it" for thing in ("price", "size", "weight", "colour", "age")
]


def names(*clusters, others=OTHERS, background=()):
    """Names of clusters, in this order."""
    texts = [text for cluster in clusters for text in cluster]
    rows, first = [], 0
    for cluster in clusters:
        rows.append(list(range(first, first + len(cluster))))
        first += len(cluster)
    return cluster_names(rows, [*texts, *others], background)


def test_a_name_is_a_phrase_of_the_queries():
    assert names(SUNDAY, PIN) == ["open on Sunday", "pin number"]


def test_a_common_word_ends_a_name_only_where_it_ends_queries():
    sharing = [f"share my location with {name}" for name in ("mom", "Ada", "Ben", "work")]
    asked = ["who made you", "I wonder who made you", "who made you then", "please say who made you"]
    everywhere = [*(f"go with {name}, will you who are here" for name in "abcd"), *(f"pizza {i}" for i in range(20))]
    (sharing_name, asked_name) = names(sharing, asked, others=everywhere)
    assert not sharing_name.endswith("with")
    assert asked_name == "who made you"


def test_names_stand_out_from_the_background():
    texts = ["return the tent today", "return a tent", "can I return the tent"]
    assert names(texts, others=["pay it"]) == ["return the tent"]
    assert names(texts, others=["pay it"], background=["return the parcel"] * 9) == ["tent"]


@pytest.mark.parametrize(
    ("cluster", "name"),
    [
        (["?", "!", "?!"], "?"),
        (["1111111111", "1111111111 call", "at 1111111111"], "1111111111"),
        (["Has my refund been paid out yet?", "money", "still waiting"], "Has my refund been"),
        (["取消我的订单", "取消我的订单", "取消我的订单"], "取消我的订单"),
        (["Wo ist meine Rechnung?", "meine Rechnung fehlt", "Rechnung"], "meine Rechnung"),
    ],
)
def test_names_of_any_language_and_of_none(cluster, name):
    assert names(cluster) == [name]


@given(st.lists(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4), max_size=4))
def test_every_cluster_has_a_short_name_of_its_queries(clusters):
    for cluster, name in zip(clusters, names(*clusters), strict=True):
        assert 0 < len(name) <= 48
        assert all(any(word in text for text in cluster) for word in name.split(" "))
