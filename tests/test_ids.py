import enum
import json
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.ids import check_id, id_from_json, other_forms, plain_id, point_id


class Name(str, enum.Enum):
    A = "a1"


class Number(enum.IntEnum):
    SEVEN = 7


EQUAL = [
    ("a1", np.str_("a1")),
    ("a1", Name.A),
    (7, np.int64(7)),
    (7, np.uint8(7)),
    (7, Number.SEVEN),
    (-7, np.int32(-7)),
    (2**64 - 1, np.uint64(2**64 - 1)),
    ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", np.str_("6ba7b810-9dad-11d1-80b4-00c04fd430c8")),
]


@pytest.mark.parametrize(("plain", "other"), EQUAL)
@pytest.mark.parametrize("tenant", [None, "ada"])
def test_what_equals_an_id_is_that_id(plain, other, tenant):
    assert point_id(other, tenant=tenant) == point_id(plain, tenant=tenant)
    assert plain_id(other) == plain
    assert type(plain_id(other)) is type(plain)


@pytest.mark.parametrize("value", [True, np.bool_(True), 1.5, 2.0, float("nan"), None, b"a", (1,), UUID(int=5)])
def test_anything_else_is_no_id(value):
    with pytest.raises(TypeError, match="an id must be an int or a str"):
        point_id(value)
    with pytest.raises(TypeError, match=r"^ids\[3\]: an id must be"):
        check_id(value, "ids[3]")


def test_a_number_that_is_no_integer_comes_with_advice():
    with pytest.raises(TypeError, match=r"use int\(id\)"):
        plain_id(2.0)


@pytest.mark.parametrize("value", ["", " ", "\t\n", "\u3000", np.str_("")])
def test_a_blank_is_no_id_for_a_new_item(value):
    with pytest.raises(ValueError, match=r"^ids\[0\] is blank"):
        check_id(value, "ids[0]")


def test_a_tenant_that_equals_another_owns_the_same_items():
    assert point_id(1, tenant=np.str_("ada")) == point_id(1, tenant="ada")


@pytest.mark.parametrize(
    ("given", "forms"),
    [
        (2, ["2"]),
        ("2", [2]),
        ("-2", [-2]),
        (" 2 ", ["2", 2]),
        ('"2"', ["2", 2]),
        ('"faq_076"', ["faq_076"]),
        ("faq_076", []),
        ("007", []),
        ("2.0", []),
        ("1" * 30, []),
        ("²", []),
        ('"', []),
        ('"a" b', []),
        ("[1]", []),
        ("true", []),
        ("", []),
    ],
)
def test_other_forms_of_an_id(given, forms):
    found = other_forms(given)
    assert found == forms
    assert [type(form) for form in found] == [type(form) for form in forms]


@given(st.one_of(st.text(), st.integers(-(2**63), 2**64 - 1)))
def test_an_id_comes_back_from_json(user_id):
    if isinstance(user_id, str) and any("\ud800" <= letter <= "\udfff" for letter in user_id):
        return
    read = id_from_json(json.dumps(user_id, ensure_ascii=False))
    assert read == user_id
    assert type(read) is type(user_id)
