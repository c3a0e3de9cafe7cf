import subprocess
import sys

import pytest

import fg_search


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


def test_the_old_name_of_review_decisions_still_works():
    with pytest.warns(DeprecationWarning, match="fg_search.Decision is now fg_search.ReviewDecision"):
        assert fg_search.Decision is fg_search.ReviewDecision
    with pytest.warns(DeprecationWarning, match="decisions.ReviewDecision"):
        from fg_search.review.decisions import Decision
    assert Decision is fg_search.ReviewDecision
    with pytest.raises(ImportError, match="Nonsense"):
        from fg_search.review.decisions import Nonsense  # noqa: F401
