"""Advice about arguments: texts, ids, labels and payloads of items, lists, and what calibrators and metrics take."""

import json
import re
from datetime import datetime, timezone
from uuid import UUID

import numpy as np
import pandas
import pytest
from advising import Advice
from qdrant_client import models

from fg_search import Calibrator, ConfidenceIndex, FeatureEmbeddings, IndexSettings
from fg_search.confidence.thresholds import threshold_for_precision
from fg_search.csv_rows import check_delimiter
from fg_search.errors import FormatVersionError, NotFittedError
from fg_search.evaluation.calibration_error import brier_score
from fg_search.review.issues.confusion import confused_labels
from fg_search.review.issues.duplicates import same_text

_TEXTS = ["my card pin", "pizza oven"]
_UUID = UUID(int=7)


@pytest.fixture
def index(encoder):
    with ConfidenceIndex(":memory:", encoder) as new:
        yield new


def _nested(levels):
    value = "end"
    for _ in range(levels):
        value = [value]
    return {"deep": value}


@pytest.mark.parametrize(
    ("advice", "wrong", "right"),
    [
        (Advice(" is missing (…); drop the item or give it a text"), {"texts": [None]}, {"texts": ["a card"]}),
        (Advice(" is empty…; drop the item or give it a text"), {"texts": ["card", " "]}, {"texts": ["card"]}),
        (
            Advice("… must be a list, got a table; pass one of its columns: …"),
            {"texts": pandas.DataFrame({"text": ["my card pin"]})},
            {"texts": pandas.DataFrame({"text": ["my card pin"]})["text"]},
        ),
        (
            Advice(" must be a list, got …; wrap it: […]"),
            {"texts": "my card pin"},
            {"texts": ["my card pin"]},
        ),
        (
            Advice(" must be a list, got a set, which has no order; pass a list"),
            {"texts": {"card", "loan"}},
            {"texts": ["card", "loan"]},
        ),
        (
            Advice("… …, labels are strings or whole numbers; use str(label)"),
            {"texts": ["card"], "labels": [3.5]},
            {"texts": ["card"], "labels": [str(3.5)]},
        ),
        (
            Advice(" is empty; use None where the label is unknown"),
            {"texts": ["card"], "labels": [""]},
            {"texts": ["card"], "labels": [None]},
        ),
        (
            Advice("… has … items, texts has …; give one for each text"),
            {"texts": _TEXTS, "labels": ["card"]},
            {"texts": _TEXTS, "labels": ["card", "food"]},
        ),
        (
            Advice(" ends before texts[…]; give one for each text"),
            {"texts": _TEXTS, "ids": (i for i in range(1))},
            {"texts": _TEXTS, "ids": (i for i in range(2))},
        ),
        (
            Advice(" goes on after the last of … texts; give one for each text"),
            {"texts": _TEXTS, "ids": (i for i in range(3))},
            {"texts": _TEXTS, "ids": (i for i in range(2))},
        ),
        (
            Advice(" is blank: …; drop the item or give it an id that can be seen"),
            {"texts": ["card"], "ids": [" "]},
            {"texts": ["card"], "ids": ["c"]},
        ),
        (Advice("; use int(id)"), {"texts": ["card"], "ids": [7.0]}, {"texts": ["card"], "ids": [int(7.0)]}),
        (Advice("; use str(id)"), {"texts": ["card"], "ids": [_UUID]}, {"texts": ["card"], "ids": [str(_UUID)]}),
        (
            Advice("the id … does not fit into 64 bits; use a string"),
            {"texts": ["card"], "ids": [2**64]},
            {"texts": ["card"], "ids": [str(2**64)]},
        ),
        (
            Advice("items … and … share the id … but differ; give each its own id"),
            {"texts": _TEXTS, "ids": ["a", "a"]},
            {"texts": _TEXTS, "ids": ["a", "b"]},
        ),
        (
            Advice("are the same text with different labels or payloads; pass ids to keep both, or drop one"),
            {"texts": ["card", "card"], "labels": ["a", "b"]},
            {"texts": ["card", "card"], "labels": ["a", "b"], "ids": [1, 2]},
        ),
        (
            Advice(" uses the key …, which is reserved; rename the key"),
            {"texts": ["card"], "payloads": [{"fg": 1}]},
            {"texts": ["card"], "payloads": [{"fg_": 1}]},
        ),
        (
            Advice(" holds …, which does not fit into 64 bits; use a string"),
            {"texts": ["card"], "payloads": [{"number": 2**64}]},
            {"texts": ["card"], "payloads": [{"number": str(2**64)}]},
        ),
        (
            Advice(" is nested more than … levels deep; flatten it, or store it as a string"),
            {"texts": ["card"], "payloads": [_nested(200)]},
            {"texts": ["card"], "payloads": [{"deep": json.dumps(_nested(200))}]},
        ),
    ],
)
def test_what_is_wrong_with_items_is_mended_as_the_message_says(index, advice, wrong, right):
    with advice.raised():
        index.add(**wrong)
    assert index.add(**right).written == len(index) == len(list(right["texts"]))


def test_missing_items_can_be_dropped_and_one_of_two_equal_texts_too(index):
    with pytest.raises(TypeError, match="drop the item"):
        index.add(["card", None])
    assert index.add(["card"], labels=["a"]).written == 1


def test_of_a_mapping_the_keys_or_the_values_are_passed(index):
    texts = {"c1": "my card pin", "f1": "pizza oven"}
    with Advice("… must be a list, got a mapping; pass its keys or its values: list(….values())").raised():
        index.add(texts)
    assert index.add(list(texts.values()), ids=list(texts.keys())).written == 2


@pytest.mark.parametrize("value", ["c1", 7])
def test_one_id_is_wrapped(index, value):
    index.add(["card"], ids=[value])
    with pytest.raises(TypeError, match=re.escape(f"wrap it: [{value!r}]")):
        index.delete(value)
    assert index.delete([value]) == 1


def test_another_name_is_chosen_for_an_index(encoder):
    with Advice("an index cannot be called …: …; choose another name").raised():
        ConfidenceIndex(":memory:", encoder, collection="a/b")
    ConfidenceIndex(":memory:", encoder, collection="a-b").close()


@pytest.mark.parametrize(("key", "path"), [("shoe size", '"shoe size"'), ("size.per cent", 'size."per cent"')])
def test_odd_names_in_filters_are_quoted_as_shown(index, key, path):
    index.add(["my card"], payloads=[{"shoe size": 4, "size": {"per cent": 4}}])

    def search(name):
        condition = models.FieldCondition(key=name, match=models.MatchValue(value=4))
        return index.search("my card", query_filter=models.Filter(must=[condition])).hits

    with Advice("the key …… is no path; put names with spaces or signs in quotes: …").raised() as caught:
        search(key)
    assert f"{path!r} in Python" in str(caught.value)
    assert len(search(path)) == 1


def test_a_field_without_values_is_filterable_by_a_kind_that_is_given(index):
    index.add(["my card"])
    with Advice("no item has a value in … to guess its kind from; say which: one of …").raised(ValueError):
        index.make_filterable(["colour"])
    assert index.make_filterable({"colour": "keyword"}) == {"colour": "keyword"}


def test_a_parameter_that_was_renamed_is_given_by_its_new_name_alone(index, encoder):
    index.add(["my card"])
    known = encoder.encode(["my card"])
    with Advice("got both …= and its old name …=; give …= alone").raised(TypeError):
        index.search("my card", embeddings=known, embedding=known)
    assert index.search("my card", embeddings=known).hits


def test_one_embedding_is_a_slice(encoder):
    embeddings = encoder.encode(_TEXTS)
    with Advice("embeddings[…] would drop the batch axis; use embeddings[…:…]").raised(TypeError):
        embeddings[1]
    assert len(embeddings[1:2]) == 1


def test_embeddings_of_another_kind_are_made_by_the_encoder(index, encoder):
    base = encoder.embed(_TEXTS)
    advice = Advice(
        "embeddings must be FeatureEmbeddings, got …; make them with encoder.encode(texts), or, if they are base "
        "embeddings, pass them as vectors=…"
    )
    with advice.raised(TypeError):
        index.add(_TEXTS, embeddings=base)
    assert index.add(_TEXTS, vectors=base).written == 2
    assert index.add(["my loan"], embeddings=encoder.encode(["my loan"])).written == 1


def test_embeddings_of_another_encoder_are_encoded_with_that_one(index, encoder, other_encoder):
    with Advice("embeddings were made by the encoder …, … was filled by …; encode with that one").raised():
        index.add(_TEXTS, embeddings=other_encoder.encode(_TEXTS))
    assert index.add(_TEXTS, embeddings=index.encoder.encode(_TEXTS)).written == 2


def test_an_index_with_tenants_is_used_by_tenant(encoder):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="shop")) as index:
        with Advice(" has tenants; choose one first: index.tenant('…')").raised():
            index.add(_TEXTS)
        assert index.tenant("leeds").add(_TEXTS).written == 2


def test_an_index_for_tenants_is_made_with_these_settings(index, encoder):
    with Advice(" was made without tenants; make one with settings=IndexSettings(tenant_key='…')").raised():
        index.tenant("leeds")
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="shop")) as new:
        assert new.tenant("leeds").add(_TEXTS).written == 2


def test_a_moment_without_a_time_zone_is_replaced_by_one_with_it(index):
    with Advice("before has no time zone; use datetime.now(timezone.utc) and the like").raised():
        index.forget_queries(before=datetime.now())
    assert index.forget_queries(before=datetime.now(timezone.utc)) == 0


def test_another_delimiter_is_given():
    with Advice("the delimiter … is not possible; give one character, such as ';' or a tab").raised():
        check_delimiter("ab")
    assert [check_delimiter(one) for one in ";\t"] == [";", "\t"]


def test_one_value_is_given_for_each():
    with Advice("given has … items, predicted has …; give one for each item").raised():
        confused_labels(["a", "b"], ["a"])
    assert confused_labels(["a", "b"], ["a", "b"]) == []
    with Advice("labels has … items, texts has …; give one for each text").raised():
        same_text(["a", "b"], ["x"])
    assert len(same_text(["a", "a"], ["x", "y"])) == 1


def test_a_calibrator_learns_from_right_and_wrong_results():
    advice = Advice(
        "all … results are …: a calibrator needs both, right and wrong; add held-out queries of the other kind"
    )
    with advice.raised():
        Calibrator().fit({"score": [0.1, 0.9]}, [True, True])
    Calibrator().fit({"score": [0.1, 0.9, 0.2]}, [True, True, False])


def test_a_calibrator_is_fitted_before_it_predicts():
    calibrator = Calibrator()
    with Advice("this calibrator was not fitted; call fit(features, correct) on judged queries").raised(NotFittedError):
        calibrator.predict({"score": [0.5]})
    assert calibrator.fit({"score": [0.1, 0.9]}, [False, True]).predict({"score": [0.5]}).shape == (1,)


def test_few_results_are_calibrated_with_the_other_method():
    features, right = {"score": [0.1, 0.9, 0.8], "margin": [0.1, 0.4, 0.2]}, [False, True, True]
    advice = Advice(
        "isotonic calibration of several features needs … right and … wrong results, got … of one kind; "
        "use method='logistic'"
    )
    with advice.raised():
        Calibrator(method="isotonic").fit(features, right)
    Calibrator(method="logistic").fit(features, right)


def test_a_precision_is_shown_by_more_queries_or_asked_for_lower():
    advice = Advice(
        " queries cannot show a precision of … with a certainty of …: even without an error it takes …; "
        "calibrate on more, or ask for less"
    )
    found = threshold_for_precision(np.linspace(0.5, 1, 10), np.ones(10), 0.95)
    assert found.threshold is None
    assert advice.is_in(found.reason)
    assert threshold_for_precision(np.linspace(0.5, 1, 300), np.ones(300), 0.95).threshold is not None
    assert threshold_for_precision(np.linspace(0.5, 1, 10), np.ones(10), 0.5).threshold is not None


def test_scores_are_calibrated_before_they_are_taken_for_probabilities():
    scores, right = np.array([-1.0, 0.5, 2.0, 3.0]), [False, False, True, True]
    with Advice("probability[…] is …, outside 0 to 1; calibrate it first").raised():
        brier_score(scores, right)
    features = {"score": scores}
    assert brier_score(Calibrator().fit(features, right).predict(features), right) < 0.25


def test_what_a_newer_release_wrote_is_read_by_a_release_that_knows_its_format(encoder, tmp_path):
    """The upgrade is played the other way round: what this release wrote is what it reads."""
    calibrator = Calibrator().fit({"score": [0.1, 0.9]}, [False, True])
    newer = {**calibrator.to_dict(), "format": 99}
    advice = Advice("the calibrator has format …, this release reads up to …; upgrade fg_search")
    with advice.raised(FormatVersionError):
        Calibrator.from_dict(newer)
    assert Calibrator.from_dict({**newer, "format": calibrator.to_dict()["format"]}).features == ("score",)

    encoder.encode(_TEXTS).save(tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz") as file:
        content = dict(file)
    np.savez(tmp_path / "newer.npz", **{**content, "format": np.int64(99)})
    with Advice("… has format …, this release reads up to …; upgrade fg_search").raised(FormatVersionError):
        FeatureEmbeddings.load(tmp_path / "newer.npz")
    assert len(FeatureEmbeddings.load(tmp_path / "e.npz")) == 2


def test_a_histogram_gets_one_count_for_each_interval():
    from fg_search.plots import confidence_histogram

    with Advice("counts is empty; give one count for each interval").raised():
        confidence_histogram([])
    confidence_histogram([1, 2])


@pytest.mark.parametrize("chosen", [{"tenant_sharding": True}, {"payload_m": 16}])
def test_settings_of_tenants_go_with_their_key(chosen):
    with Advice(" is for an index with tenants; give tenant_key, too").raised(ValueError):
        IndexSettings(**chosen)
    IndexSettings(**chosen, tenant_key="owner")
