"""Advice about servers: addresses, API keys, limits, and what is no Qdrant server. A server is played."""

import logging

import pytest
from advising import Advice
from fake_server import web_page

from fg_search import ConfidenceIndex
from fg_search.engine.connection import connect
from fg_search.errors import ServerError, StorageError

_KEY = "a-secret-key"


def _open(url, **options):
    connect(url, retry_for=0, **options).close()


@pytest.fixture
def index(fake_server, encoder):
    with ConfidenceIndex(fake_server.url, encoder, retry_for=0) as new:
        yield new


def test_a_scheme_and_a_host_are_written_as_shown(fake_server):
    advice = Advice("… is not how a Qdrant server is reached; write http://, https:// or grpc://")
    with advice.raised():
        _open(fake_server.url.replace("http", "qdrant"))
    _open(fake_server.url)
    with Advice("the URL … names no host; write it like http://localhost:6333").raised():
        _open("http://:6333")
    _open(fake_server.url.replace("127.0.0.1", "localhost"))


def test_the_address_is_checked(fake_server):
    fake_server.fail("GET", web_page)
    advice = Advice(
        "what answers at … is no Qdrant server (…); check the address: Qdrant listens on port 6333 for http and on 6334"
    )
    with advice.raised(ServerError):
        _open(fake_server.url)
    fake_server.forget_failures()  # the right address
    _open(fake_server.url)


def test_a_key_is_given_or_set(fake_server, encoder, monkeypatch, run_command):
    fake_server.keys = {_KEY: True}
    advice = Advice(": …; set QDRANT_API_KEY, or give api_key=…")
    with advice.raised(ServerError):
        ConfidenceIndex(fake_server.url, encoder, retry_for=0)
    with advice.raised(ServerError):
        ConfidenceIndex(fake_server.url, encoder, api_key="another", retry_for=0)
    ConfidenceIndex(fake_server.url, encoder, api_key=_KEY, retry_for=0).close()
    arguments = ("info", "--index", fake_server.url, "--retry-for", 0)
    assert advice.is_in(run_command(*arguments))
    monkeypatch.setenv("QDRANT_API_KEY", _KEY)
    assert not advice.is_in(run_command(*arguments))
    monkeypatch.delenv("QDRANT_API_KEY")


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Run the command line in this process: everything that it printed."""
    import sys

    from fg_search import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fg-search", *map(str, arguments)])
        with pytest.raises(SystemExit):
            cli.main()
        printed = capsys.readouterr()
        return printed.out + printed.err

    return run


def test_a_key_that_may_write_is_used(fake_server, encoder):
    fake_server.keys = {"reader": False, _KEY: True}
    advice = Advice(": the API key may not do this; use one that may write, not one that may only read")
    with advice.raised(ServerError):
        ConfidenceIndex(fake_server.url, encoder, api_key="reader", retry_for=0)
    ConfidenceIndex(fake_server.url, encoder, api_key=_KEY, retry_for=0).close()


def test_the_end_of_a_key_is_looked_at(fake_server, tmp_path):
    (tmp_path / "key").write_text(f"{_KEY}\n")
    fake_server.keys = {_KEY: True}
    advice = Advice(
        "the API key holds a line break, a space or another character that no key has; see whether the variable or "
        "file that it comes from ends with one"
    )
    with advice.raised():
        _open(fake_server.url, api_key=(tmp_path / "key").read_text())
    _open(fake_server.url, api_key=(tmp_path / "key").read_text().strip())


def test_a_key_is_sent_through_https_or_a_tunnel(fake_server, caplog):
    def warned(url):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="fg_search"), pytest.raises(StorageError):
            _open(url, api_key=_KEY)
        return caplog.text

    advice = Advice("the API key is sent unencrypted to …; use https, or a tunnel")
    assert advice.is_in(warned("http://qdrant.invalid:9"))
    assert not advice.is_in(warned("https://qdrant.invalid:9"))
    assert not advice.is_in(warned("http://localhost:9"))  # where a tunnel begins


def test_a_server_that_is_too_old_is_updated_to_the_named_release(fake_server, encoder):
    fake_server.version = "1.16.3"
    with Advice("the server at … is Qdrant …, which is too old: update it to … or newer").raised() as caught:
        ConfidenceIndex(fake_server.url, encoder)
    fake_server.version = str(caught.value).rpartition("update it to ")[2].split()[0] + ".0"
    ConfidenceIndex(fake_server.url, encoder).close()


@pytest.mark.parametrize(
    ("advice", "refuse"),
    [
        (
            Advice(": it has no room left; make some there, then run it again: what was acknowledged before is kept"),
            lambda _: (500, {}, b'{"status": {"error": "Service internal error: No space left on device"}}'),
        ),
        (
            Advice(": the strict mode of the collection forbids it; change that, or ask for less"),
            lambda _: (400, {}, b'{"status": {"error": "Bad request: Limit exceeded 10 > 5. Help: Reduce it."}}'),
        ),
        (
            Advice(": it may be too old; update it"),
            lambda _: (501, {}, b'{"status": {"error": "Not implemented"}}'),
        ),
    ],
)
def test_what_a_server_refuses_is_done_once_it_was_changed(index, fake_server, advice, refuse):
    fake_server.fail("POST .*/points", *[refuse] * 20)
    fake_server.fail("PUT .*/points", *[refuse] * 20)
    with advice.raised(ServerError):
        index.add(["my card"])
    fake_server.forget_failures()
    assert index.add(["my card"]).written == 1


def test_a_limit_is_raised_or_the_item_shortened(index, fake_server):
    fake_server.largest = 20_000
    text = "my card " * 10_000
    advice = Advice(": a single item is larger than it takes at once; raise its limit, or shorten the item")
    with advice.raised(ServerError):
        index.add([text], ids=[1])
    assert index.add([text[:100]], ids=[1]).written == 1
    fake_server.largest = 2**20
    assert index.add([text], ids=[1]).written == 1


def test_a_rate_limit_is_raised(index, fake_server):
    fake_server.capacity = 0
    with Advice(": a rate limit of the collection is too low for it; raise it").raised(ServerError):
        index.add(["my card"])
    fake_server.capacity = 10
    assert index.add(["my card"]).written == 1
