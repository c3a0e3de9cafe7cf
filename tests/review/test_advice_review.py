"""Advice about review: decisions, and files with labels that were chosen in another tool."""

import copy
import json

import pytest
from advising import Advice

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import DecisionConflictError, NotScoredError
from fg_search.integrations.argilla import from_argilla, to_argilla
from fg_search.review.exports.csv_table import from_csv, to_csv
from fg_search.review.exports.jsonl import from_jsonl, to_jsonl
from fg_search.review.exports.label_studio import from_label_studio, to_label_studio


@pytest.fixture
def index(encoder):
    with ConfidenceIndex(":memory:", encoder) as new:
        new.add(["my card pin", "pizza oven"], ids=["c", 7], labels=["card", "food"])
        yield new


@pytest.fixture
def items(index):
    return index.review(kind="ambiguous")


@pytest.mark.parametrize(
    ("advice", "wrong", "right"),
    [
        (
            Advice("action=… takes no label; use action='label'"),
            {"action": "keep", "label": "loan"},
            {"action": "label", "label": "loan"},
        ),
        (
            Advice("there is no suggested label to accept; use action='label'"),
            {"action": "accept"},
            {"action": "label", "label": "loan"},
        ),
        (
            Advice("reviewer is empty; say who decides, or leave it out"),
            {"action": "keep", "reviewer": " "},
            {"action": "keep", "reviewer": "Ada"},
        ),
        (
            Advice("reviewer is empty; say who decides, or leave it out"),
            {"action": "keep", "reviewer": ""},
            {"action": "keep"},
        ),
    ],
)
def test_a_decision_is_made_as_the_message_says(index, advice, wrong, right):
    with advice.raised():
        index.decide("c", **wrong)
    index.decide("c", **right)
    assert len(index.decisions()) == 1


def test_a_suggestion_that_was_seen_is_accepted(local, rows):
    local.add([*rows["texts"], "stolen card pin"], ids=[*rows["ids"], "x"], labels=[*rows["labels"], "food"])
    local.score_labels()
    (item,) = [item for item in local.review(kind="contradicted") if item.id == "x"]
    with Advice(" takes no suggested label; use action='accept'").raised():
        local.decide("x", "keep", suggested=item.suggested_label)
    local.decide("x", "accept", suggested=item.suggested_label)
    assert local.labels_of(["x"]) == {"x": item.suggested_label}


def test_the_later_decision_is_taken_back_first(index):
    first = index.decide("c", "label", "loan")
    second = index.decide("c", "label", "travel")
    with Advice("there is a later decision about … (… by …); take that back first").raised(DecisionConflictError):
        index.undo(first.number)
    index.undo(second.number)
    index.undo(first.number)
    assert index.labels_of(["c"]) == {"c": "card"}


def test_logged_queries_are_added_with_a_label(index):
    index.log_queries()
    index.search("stolen passport", min_query_confidence=1)
    (query,) = index.logged_queries()
    with Advice("action=… takes no label; use action='add'").raised():
        index.decide_queries([query.id], "dismiss", "travel")
    index.decide_queries([query.id], "add", "travel")
    assert len(index) == 3


def _table(items, label="loan"):
    header, *rows = to_csv(items).splitlines()
    return "\n".join([header, *(row + label for row in rows)]) + "\n"


def _lines(items, **more):
    return "".join(json.dumps({**json.loads(line), **more}) + "\n" for line in to_jsonl(items).splitlines())


@pytest.mark.parametrize(
    ("advice", "spoil"),
    [
        (
            Advice("is no id as it was exported; leave the ids as they are"),
            lambda table: table.replace("\n7,", "\n7.5,"),
        ),
        (
            Advice(" cells, the header has …; put a text that holds … in quotes"),
            lambda table: table.replace("my card pin", "my card, my pin"),
        ),
    ],
)
def test_a_table_is_left_as_it_was_exported(items, advice, spoil):
    table = _table(items)
    with advice.raised():
        from_csv(spoil(table))
    assert from_csv(table) == {"c": "loan", 7: "loan"}
    assert from_csv(table.replace("my card pin", '"my card, my pin"')) == {"c": "loan", 7: "loan"}


@pytest.mark.parametrize(
    ("advice", "spoil"),
    [
        (Advice("is no id as it was exported; leave the ids as they are"), {"id": [7]}),
        (Advice("… is empty; choose a label, or leave the item out"), {"corrected_label": "\u200b"}),
    ],
)
def test_lines_are_left_as_they_were_exported(items, advice, spoil):
    with advice.raised():
        from_jsonl(_lines(items, **{"corrected_label": "loan", **spoil}))
    assert from_jsonl(_lines(items, corrected_label="loan")) == {"c": "loan", 7: "loan"}
    assert from_jsonl(_lines(items[:1], corrected_label="loan")) == {items[0].id: "loan"}


def test_lines_keep_their_ids_and_get_corrected_labels(items):
    with Advice("no line has a …; add it to those whose label is to change").raised():
        from_jsonl(to_jsonl(items))
    lines = to_jsonl(items).splitlines(keepends=True)
    filled = json.dumps({**json.loads(lines[0]), "corrected_label": "loan"}) + "\n" + lines[1]
    assert from_jsonl(filled) == {items[0].id: "loan"}
    without = json.dumps({"text": "my card", "corrected_label": "loan"}) + "\n"
    with Advice("no …; leave what was exported as it is").raised():
        from_jsonl(without)


def _answered(items, control="label", chosen="loan"):
    tasks = to_label_studio(items, ["card", "loan"])
    for task in tasks:
        value = {"choices": [chosen]}
        task["annotations"] = [{"result": [{"from_name": control, "type": "choices", "value": value}]}]
    return tasks


def test_tasks_are_left_as_they_were_exported(items):
    tasks = _answered(items)
    spoilt = copy.deepcopy(tasks)
    spoilt[0]["annotations"] = 3
    with Advice("… is …, not …; leave what was exported as it is").raised():
        from_label_studio(spoilt)
    with Advice("it was not exported from here; import Label Studio's JSON export").raised():
        from_label_studio([{"id": 1, "text": "my card"}])  # its JSON-MIN export, for one
    assert from_label_studio(tasks) == {"c": "loan", 7: "loan"}


def test_of_several_controls_one_is_said_to_count(items):
    tasks = _answered(items, "topic")
    other = {"from_name": "mood", "type": "choices", "value": {"choices": ["glad"]}}
    tasks[0]["annotations"][0]["result"].append(other)
    with Advice("several …s hold labels: …; say which one counts (control=…, --control NAME)").raised():
        from_label_studio(tasks)
    assert from_label_studio(tasks, control="topic") == {"c": "loan", 7: "loan"}


def test_records_are_imported_as_argilla_writes_them(items):
    with Advice(
        "no id or responses as they are exported from here; import what dataset.records.to_json writes"
    ).raised():
        from_argilla([{"text": "my card"}])
    written = [
        {**record, "status": "completed", "responses": {"label": [{"value": "loan", "user_id": "u"}]}}
        for record in to_argilla(items)
    ]
    assert from_argilla(written) == {"c": "loan", 7: "loan"}


def test_an_index_without_familiarity_gets_it_from_an_encoder_that_learns_it(tiny_model, corpus):
    texts, labels = corpus
    sizes = {"groups": 2, "codes": 2, "hidden": 4, "steps": 2}
    former, again = (FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, **sizes) for _ in range(2))
    former.head.familiarity = None
    with ConfidenceIndex(":memory:", former) as index:
        index.add(texts[:9])
        assert index.search(texts[0]).hits[0].familiarity is None
        advice = Advice(
            "the encoder does not know its examples; call encoder.learn_familiarity(texts) and index.migrate(encoder), "
            "or fit the encoder again"
        )
        with advice.raised(NotScoredError):
            index.review(kind="unfamiliar")
        again.head.familiarity = None
        index.migrate(again.learn_familiarity(texts))
        assert len(index.review(kind="unfamiliar")) == 9


def test_second_opinions_are_asked_for_without_the_first_ones(index):
    first = index.decide("c", "keep", reviewer="Ada")
    with Advice("a second opinion is given without knowing the label that was decided; leave label out").raised():
        index.review(kind="second", label="card")
    with Advice("reviewer is for kind='second', and this is …; leave it out").raised():
        index.review(reviewer="Ben")
    assert len(index.review(kind="second", reviewer="Ben")) == len(index.review(kind="second")) == 1
    second = index.decide("c", "keep", reviewer="Ben", opinion_on=first.number)
    with Advice("the decision … needs no second opinion: see index.review(kind='second')").raised():
        index.decide("c", "keep", reviewer="Cleo", opinion_on=second.number)
    assert index.review(kind="second", reviewer="Cleo") == []
