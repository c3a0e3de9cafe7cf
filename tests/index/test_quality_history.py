"""What an index remembers of calibrations and evaluations."""

import numpy as np
import pytest
from read_only import read_only

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.index import quality_history


@pytest.fixture
def index(tmp_path, encoder, corpus):
    with ConfidenceIndex(tmp_path / "idx", encoder) as opened:
        opened.add(corpus[0], labels=corpus[1])
        yield opened


def test_calibrations_are_kept_with_their_figures(index, questions):
    assert index.history() == []
    learned = index.calibrate(*questions(200, 3), reviewer="Ada")
    (entry,) = index.history()
    assert (entry.action, entry.reviewer, entry.queries, entry.pretended) == (
        "calibrate",
        "Ada",
        learned.queries,
        False,
    )
    assert (entry.fingerprint, entry.points, entry.rank_by) == (index.metadata.fingerprint, 48, learned.rank_by)
    confidence, correct = learned.promise.judged_confidence(), learned.promise.judged.correct
    pairs = confidence[correct][:, None] - confidence[~correct][None]
    assert entry.auroc == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    for kept in entry.precisions:
        threshold = learned.threshold(kept.target)
        assert (kept.threshold, kept.coverage) == (threshold.threshold, pytest.approx(threshold.coverage))
    index.calibrate()
    assert [one.pretended for one in index.history()] == [False, True]


def test_evaluations_are_kept_if_asked_and_write_nothing_otherwise(index, questions):
    queries, right = questions(100, 5)
    index.evaluate(queries, right, keep=True)
    index.calibrate(*questions(200, 3))
    found = index.evaluate(queries, right, keep=True, reviewer="Ada")
    uncalibrated, _, calibrated = index.history()
    assert (uncalibrated.action, uncalibrated.ece, uncalibrated.precisions) == ("evaluate", None, ())
    report = found.reports["confidence"]
    assert (calibrated.reviewer, calibrated.auroc, calibrated.aurc) == ("Ada", report.auroc, report.aurc)
    assert (calibrated.ece, calibrated.queries) == (found.ece, report.queries)
    assert [one.threshold for one in calibrated.precisions] == [one.threshold for one in found.precisions]
    read_only(index).evaluate(queries, right)
    assert len(index.history()) == 3
    with pytest.raises(ValueError, match="reviewer"):
        index.evaluate(queries, right, reviewer=" ")


def test_of_adaptations_the_latest_of_a_day_is_kept(index, questions):
    texts, right = questions(200, 3)
    index.calibrate(texts, [label if i % 5 else None for i, label in enumerate(right)])
    index.adapt(expected_unanswerable=0.3)
    index.adapt(expected_unanswerable=0.4, reviewer="Ada")
    _, entry = index.history()
    assert (entry.action, entry.reviewer, entry.unanswerable_share, entry.auroc) == ("adapt", "Ada", 0.4, None)


def test_it_is_bounded_by_action(index, questions, monkeypatch):
    monkeypatch.setattr(quality_history, "_MOST", 2)
    judged = questions(60, 5)
    index.calibrate(*questions(200, 3))
    for name in ("a", "b", "c"):
        index.evaluate(*judged, keep=True, reviewer=name)
    assert [entry.reviewer for entry in index.history()] == ["anonymous", "b", "c"]


def test_it_goes_into_copies_and_snapshots_and_stays_with_another_encoder(index, questions, other_encoder, tmp_path):
    index.calibrate(*questions(200, 3))
    before = index.history()
    index.snapshot(tmp_path / "whole")
    index.copy_to(tmp_path / "copy")
    with ConfidenceIndex(tmp_path / "copy") as copied, ConfidenceIndex.restore(tmp_path / "whole", tmp_path / "r") as r:
        assert copied.history() == r.history() == before
    index.migrate(other_encoder)
    assert index.calibration is None
    assert index.history() == before


def test_a_tenant_sees_its_own_evaluations_and_what_holds_for_all(tmp_path, encoder, corpus, questions):
    with ConfidenceIndex(tmp_path / "index", encoder, settings=IndexSettings(tenant_key="team")) as index:
        for name in ("a", "b"):
            index.tenant(name).add(corpus[0], labels=corpus[1])
        index.tenant("a").calibrate(*questions(200, 3))
        index.tenant("b").evaluate(*questions(60, 5), keep=True)
        assert [entry.tenant for entry in index.history()] == [None, "b"]
        assert [entry.action for entry in index.tenant("a").history()] == ["calibrate"]


def test_figures_that_do_not_exist_are_none(index, questions):
    texts, _ = questions(20, 5)
    index.evaluate(texts, ["no such label"] * 20, relevant_by="label", keep=True)
    (entry,) = index.history()
    assert entry.auroc is None
    assert entry.recall_at_1 == 0.0
    assert not any(isinstance(value, float) and np.isnan(value) for value in vars(entry).values())
