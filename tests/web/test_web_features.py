import html
import re
from dataclasses import replace
from threading import Event

import pytest

from fg_search.web.background import Background
from fg_search.web.features_view import matrix_of
from fg_search.web.survey import describe_sample, read_sample


def test_groups_codes_and_what_they_mean(browse, common):
    client = browse(common)
    overview = client.get("/features")
    assert overview.text.split('class="groups"')[1].count('<a href="/features/') == 4
    described = describe_sample(common, read_sample(common, None))
    for same in described.alike:
        assert described.groups[same[0]].title in html.unescape(overview.text)
    assert overview.text.count('class="card"') == len(described.alike)
    group = client.get("/features/0")
    codes = re.findall(r'href="/features/0/(\d+)"', group.text)
    assert 1 <= len(codes) <= 3
    assert any(f'<span class="label">{label}</span>' in group.text for label in ("card", "loan", "travel", "food"))
    code = client.get(f"/features/0/{codes[0]}")
    assert "Surest" in code.text
    assert "Least sure" in code.text
    assert "Typical words" in code.text


def test_labels_that_share_a_code_have_the_same_letter(browse, common):
    described = describe_sample(common, read_sample(common, None))
    matrix = matrix_of(described)
    for label, codes in matrix.rows:
        for same, code in zip(matrix.groups, codes, strict=True):
            assert label in described.groups[same[0]].parts[code]
    page = browse(common).get("/features").text
    assert page.count('scope="row"') == len(matrix.rows) == 4
    alone = replace(described, groups=tuple(replace(group, parts=(("card",), ("loan",))) for group in described.groups))
    assert matrix_of(alone) is None  # each label has a code of its own: there is nothing to see


def test_the_sample_is_described_as_the_encoder_describes_the_texts(common, corpus):
    sample = read_sample(common, None)
    found = describe_sample(common, sample)
    wanted = common.encoder.describe(sample.texts, sample.labels)
    assert sorted(sample.texts) == sorted(corpus[0])
    for one, other in zip(found.groups, wanted.groups, strict=True):
        assert [(code.code, code.usage, code.labels) for code in one.codes] == [
            (code.code, code.usage, code.labels) for code in other.codes
        ]


@pytest.mark.parametrize("path", ["/features/4", "/features/-1", "/features/0/3", "/features/0/x", "/features/x"])
def test_what_there_is_not(browse, common, path):
    assert browse(common).get(path).status_code in (404, 422)


def test_an_empty_index(browse, empty):
    client = browse(empty)
    assert "Nothing is indexed yet" in client.get("/features").text
    assert client.get("/features/0").status_code == 404


def test_a_decision_has_the_sample_read_again(browse, served):
    client = browse(served)
    client.get("/features")
    client.submit("/review", "/review/decide", action="label", label="brand_new")
    pages = [client.get(f"/features/{group}").text for group in range(4)]
    codes = {address for page in pages for address in re.findall(r'href="(/features/\d+/\d+)"', page)}
    assert any("brand_new" in client.get(address).text for address in codes)


def test_a_long_computation_does_not_hold_up_the_page(browse, common, monkeypatch):
    from fg_search.web import features_view, survey

    go_on = Event()
    describe = survey.describe_sample
    monkeypatch.setattr(features_view, "_PATIENCE", 0.01)
    monkeypatch.setattr(survey, "describe_sample", lambda *given: (go_on.wait(30), describe(*given))[1])
    client = browse(common)
    page = client.get("/features")
    assert "Reading the items" in page.text
    assert page.headers["refresh"] == "2"
    go_on.set()
    monkeypatch.setattr(features_view, "_PATIENCE", 30)
    assert "16 groups" not in page.text
    assert "4 groups" in client.get("/features").text


def test_a_background_value_is_kept_until_its_version_changes_or_it_is_forgotten():
    version, computed = [0], []
    background = Background(lambda: computed.append(1) or len(computed), lambda: version[0])
    assert background.get(10) == background.get(10) == 1
    version[0] = 1
    assert background.get(10) == 2
    background.forget()
    assert background.get(10) == 3


def test_a_background_value_that_fails_is_tried_again():
    attempts = []

    def compute():
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("once")
        return "done"

    background = Background(compute, lambda: 0)
    with pytest.raises(OSError, match="once"):
        background.get(10)
    assert background.get(10) == "done"
