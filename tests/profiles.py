"""How far hypothesis looks: HYPOTHESIS_PROFILE=nightly looks at forty times as many examples, others each time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_MODERATE = 100
_BRIEF = 25  # all tests together are to take less than five minutes

ANY_PACE = [HealthCheck.too_slow]  # no test measures time
WITH_FIXTURES = [*ANY_PACE, HealthCheck.function_scoped_fixture]  # for fixtures that examples may share

settings.register_profile(
    "ci", derandomize=True, database=None, deadline=None, max_examples=_BRIEF, suppress_health_check=ANY_PACE
)
settings.register_profile(
    "nightly", deadline=None, max_examples=20 * _MODERATE, print_blob=True, suppress_health_check=ANY_PACE
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def examples(moderate: int) -> int:
    """So many of a property that takes long, in proportion more where all have more."""
    return moderate * settings.default.max_examples // _MODERATE
