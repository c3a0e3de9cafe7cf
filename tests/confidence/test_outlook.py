import numpy as np
import pytest

from fg_search.confidence.outlook import outlook
from fg_search.confidence.promise import PrecisionPromise


def learned(count, wrong, seed=0):
    """Queries whose score tells right from wrong, but for a share of the surest ones."""
    rng = np.random.default_rng(seed)
    correct = rng.random(count) < 0.7
    score = np.where(correct, rng.normal(2, 1, count), rng.normal(-2, 1, count))
    correct &= rng.random(count) >= wrong
    return PrecisionPromise.learn({"score": score}, correct, np.ones(count, dtype=bool))


def test_what_is_promised_needs_no_outlook():
    promise = learned(400, 0.0)
    assert promise.threshold(0.9)
    assert outlook(promise, 0.9) is None


def test_as_many_more_queries_as_it_says_are_enough():
    promise = learned(60, 0.0)
    assert not promise.threshold(0.99)
    found = outlook(promise, 0.99)
    assert found.queries == 60
    assert found.more == found.needed - 60 > 0
    assert promise.threshold(found.best)
    assert not promise.threshold(found.best + 0.01)
    reached = [bool(learned(found.needed, 0.0, seed).threshold(0.99)) for seed in range(1, 8)]
    assert sum(reached) >= 3  # a middle guess, no promise
    assert str(found) == (
        f"99.0% takes about {found.more:,} more judged queries, if they turn out as these 60; {found.best:.1%} can be "
        "promised now"
    )


def test_answers_that_are_wrong_in_spite_of_all_are_not_made_better_by_more_queries():
    found = outlook(learned(200, 0.1), 0.99)
    assert (found.needed, found.more) == (None, None)
    assert "cannot be promised by more queries like these 200" in str(found)


def test_nothing_may_be_promised_at_all():
    promise = PrecisionPromise.learn({"score": np.arange(6.0)}, [True, False] * 3, np.ones(6, dtype=bool))
    found = outlook(promise, 0.95)
    assert found.best is None or promise.threshold(found.best)
    assert str(found)
    with pytest.raises(ValueError, match="target_precision"):
        outlook(promise, 1.5)
