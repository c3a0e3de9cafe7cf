import inspect
import warnings

import pytest

from fg_search._deprecation import renamed_parameters


@renamed_parameters(count="limit", only="query_filter")
def search(query: str, *, limit: int = 10, query_filter: str | None = None) -> tuple[str, int, str | None]:
    """Find it."""
    return query, limit, query_filter


class Index:
    @renamed_parameters(folder="location")
    def __init__(self, location: str) -> None:
        self.location = location

    @renamed_parameters(count="limit")
    def search(self, limit: int) -> int:
        return limit


def test_an_old_name_gives_its_argument_to_the_new_one_and_warns():
    with pytest.warns(DeprecationWarning, match=r"^search\(count=…\) is now search\(limit=…\)"):
        assert search("card", count=3) == ("card", 3, None)


def test_each_old_name_warns_for_itself():
    with pytest.warns(DeprecationWarning, match="search") as caught:
        assert search("card", count=3, only="x") == ("card", 3, "x")
    assert sorted(str(warning.message).split("=")[0] for warning in caught) == ["search(count", "search(only"]


def test_new_names_and_positions_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert search("card", limit=3) == ("card", 3, None)
        assert Index("here").search(2) == 2


def test_the_warning_points_at_the_caller():
    with pytest.warns(DeprecationWarning, match="search") as caught:
        search("card", count=3)
    assert caught[0].filename == __file__


def test_constructors_are_called_by_their_class():
    with pytest.warns(DeprecationWarning, match=r"^Index\(folder=…\) is now Index\(location=…\)"):
        assert Index(folder="here").location == "here"


def test_methods_are_called_with_their_class():
    with pytest.warns(DeprecationWarning, match=r"^Index\.search\(count=…\) is now Index\.search\(limit=…\)"):
        assert Index("here").search(count=2) == 2


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match=r"search\(\) got both limit= and its old name count="):
        search("card", limit=3, count=3)


def test_unknown_names_are_refused_as_ever():
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        search("card", size=3)


def test_signature_and_docstring_stay_those_of_the_function():
    assert list(inspect.signature(search).parameters) == ["query", "limit", "query_filter"]
    assert search.__doc__ == "Find it."
    assert list(inspect.signature(Index).parameters) == ["location"]
