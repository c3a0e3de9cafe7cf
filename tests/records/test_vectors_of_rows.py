"""Vectors of rows."""

import json

import numpy as np
import pytest

from fg_search.records import RecordError, read_records


def test_a_vector_is_a_list_of_numbers_or_that_as_json(tmp_path):
    (tmp_path / "a.csv").write_text('text,v\na,"[1, 2.5]"\nb,"[3, -4e2]"\n')
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": t, "v": v}) + "\n" for t, v in (("a", [1, 2.5]), ("b", [3, -400])))
    )
    for name in ("a.csv", "a.jsonl"):
        first, second = read_records(tmp_path / name, text="text", vector="v")
        assert first.vector.dtype == np.float32
        assert first.vector.tolist() == [1, 2.5]
        assert second.vector.tolist() == [3, -400]
        assert first.payload == {}
        assert read_records(tmp_path / name, text="text")[0].vector is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("[1, 2", "is '[1, 2', not a vector, a list of numbers"),
        (7, "is 7, not a vector"),
        ([], r"is \[\], not a vector"),
        ([[1, 2]], "not a vector"),
        (["a"], "not a vector"),
        ({"a": 1}, "not a vector"),
        (None, "holds a number that is missing|is None, not a vector"),
        ([1, None], "holds a number that is missing, NaN or infinite"),
        ([1e39], "holds a number that is missing, NaN or infinite"),
        ([0, 0.0], "holds zeros alone, which point nowhere"),
    ],
)
def test_what_is_no_vector_is_named_by_its_line(tmp_path, value, problem):
    (tmp_path / "a.jsonl").write_text(json.dumps({"v": [1, 2]}) + "\n" + json.dumps({"v": value}) + "\n")
    with pytest.raises(RecordError, match=problem.replace("[1, 2'", r"\[1, 2'")) as caught:
        read_records(tmp_path / "a.jsonl", text=None, vector="v")
    assert "a.jsonl:2" in str(caught.value)
    with pytest.raises(RecordError, match="no column 'w'"):
        read_records(tmp_path / "a.jsonl", text=None, vector="w")
