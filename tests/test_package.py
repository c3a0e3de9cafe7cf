import subprocess
import sys

import pytest

import fg_search
from fg_search.review.decisions import ReviewDecision


def test_importing_the_package_loads_neither_torch_nor_an_engine():
    script = """if True:
        import sys, fg_search
        print([name for name in ("torch", "qdrant_client", "qdrant_edge", "sklearn") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", fg_search.__all__)
def test_every_public_name_is_there(name):
    assert getattr(fg_search, name) is not None
    assert name in dir(fg_search)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Nonsense"):
        fg_search.Nonsense  # noqa: B018


@pytest.mark.parametrize("name", sorted(fg_search._ELSEWHERE))
def test_what_was_exported_here_before_is_found_elsewhere_with_a_warning(name):
    with pytest.warns(DeprecationWarning, match=f"fg_search.{name} is now fg_search."):
        assert getattr(fg_search, name) is not None
    assert name not in fg_search.__all__


def test_the_old_name_of_review_decisions_still_works():
    with pytest.warns(DeprecationWarning, match="decisions.ReviewDecision"):
        from fg_search.review.decisions import Decision
    assert Decision is ReviewDecision
    with pytest.raises(ImportError, match="Nonsense"):
        from fg_search.review.decisions import Nonsense  # noqa: F401
