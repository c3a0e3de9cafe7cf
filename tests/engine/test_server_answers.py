"""Whatever a server answers is one error with cause and remedy, without a secret in it."""

import asyncio
import socket

import pytest
from fake_server import other_json, web_page
from qdrant_client import AsyncQdrantClient, QdrantClient

from fg_search import ConfidenceIndex
from fg_search.engine.connection import connect, connect_async
from fg_search.errors import IndexNotFoundError, ServerError, StorageError

KEY = "a-secret-key"


def open_blocking(url, **options):
    connect(url, retry_for=0, **options).close()


def open_async(url, **options):
    async def go():
        engine = await connect_async(url, retry_for=0, **options)
        await engine.close()

    asyncio.run(go())


@pytest.fixture(params=[open_blocking, open_async])
def open_it(request):
    return request.param


def test_a_server_that_wants_a_key_says_so(fake_server, open_it):
    fake_server.keys = {KEY: True}
    with pytest.raises(ServerError, match=r"401.*it wants an API key; set QDRANT_API_KEY") as raised:
        open_it(fake_server.url)
    assert raised.value.status == 401
    open_it(fake_server.url, api_key=KEY)


def test_a_wrong_key_is_told_but_not_shown(fake_server, open_it):
    fake_server.keys = {"another": True}
    with pytest.raises(ServerError, match="does not know the API key") as raised:
        open_it(fake_server.url, api_key=KEY)
    assert KEY not in str(raised.value)


def test_a_key_that_the_server_repeats_is_not_shown(fake_server, open_it):
    fake_server.fail("GET /collections$", lambda _: (403, {}, f"the key {KEY} has expired".encode()))
    with pytest.raises(ServerError, match="has expired") as raised:
        open_it(fake_server.url, api_key=KEY)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\r\nHost: x", f"{KEY}é", f"{KEY}\x00"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(fake_server, open_it, key):
    with pytest.raises(ValueError, match="the API key holds a line break") as raised:
        open_it(fake_server.url, api_key=key)
    assert KEY not in str(raised.value)
    assert fake_server.requests == []


@pytest.mark.parametrize("answer", [web_page, other_json, lambda _: (200, {}, b"{}"), lambda _: (200, {}, b"[1")])
def test_what_is_no_qdrant_server_is_told(fake_server, open_it, answer):
    fake_server.fail("GET", answer)
    with pytest.raises(ServerError, match="is no Qdrant server") as raised:
        open_it(fake_server.url)
    assert fake_server.url in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_web_server_without_such_a_page_is_no_qdrant_server(fake_server, open_it):
    fake_server.fail("GET", lambda _: (404, {"Content-Type": "text/html"}, b"<html>Not Found</html>"))
    with pytest.raises(ServerError, match="is no Qdrant server"):
        open_it(fake_server.url)


def test_a_redirection_is_told_with_its_target(fake_server, open_it):
    fake_server.fail("GET", lambda _: (308, {"Location": "https://qdrant.example/"}, b""))
    with pytest.raises(ServerError, match=r"redirects to https://qdrant.example/"):
        open_it(fake_server.url)


def test_something_that_does_not_speak_http_is_told(open_it):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def speak():
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(b"220 smtp.example ESMTP\r\n")
            connection.close()

        import threading

        threading.Thread(target=speak, daemon=True).start()
        with pytest.raises(ServerError, match=f"127.0.0.1:{port}"):
            open_it(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("version", ["1.16.3", "1.9.0", "0.11.7"])
def test_a_server_that_is_too_old_is_refused_before_anything_is_made(fake_server, encoder, version):
    fake_server.version = version
    with pytest.raises(StorageError, match=rf"is Qdrant {version}, which is too old: update it to 1\.17 or newer"):
        ConfidenceIndex(fake_server.url, encoder)
    assert fake_server.client.get_collections().collections == []


@pytest.mark.parametrize("kind", [QdrantClient, AsyncQdrantClient])
def test_a_client_of_an_old_server_is_refused_too(fake_server, kind):
    fake_server.version = "1.15.0"
    client = kind(url=fake_server.url, check_compatibility=False)
    with pytest.raises(ServerError, match="too old"):
        asyncio.run(connect_async(client))


@pytest.mark.parametrize("version", ["1.17.0", "1.20.0-dev", "2.0.0", "dev"])
def test_newer_servers_are_taken(fake_server, open_it, version):
    fake_server.version = version
    open_it(fake_server.url)


def test_a_proxy_that_keeps_the_root_for_itself_is_no_obstacle(fake_server, open_it):
    fake_server.fail("GET /$", web_page)
    open_it(fake_server.url)


@pytest.mark.parametrize(
    "work",
    [
        lambda index, rows: index.add(**rows),
        lambda index, rows: index.calibrate(rows["texts"], rows["labels"]),
        lambda index, rows: index.score_labels(),
        lambda index, rows: index.score_items(),
    ],
    ids=["add", "calibrate", "score_labels", "score_items"],
)
def test_with_a_key_that_may_only_read_no_work_is_done(fake_server, encoder, rows, encoded, work):
    fake_server.keys = {KEY: True, "reader": False}
    with ConfidenceIndex(fake_server.url, encoder, api_key=KEY) as index:
        index.add(**rows)
    encoded.clear()
    with ConfidenceIndex(fake_server.url, encoder, api_key="reader") as index:
        before = len(fake_server.requests)
        with pytest.raises(ServerError, match=r"403.*use one that may write, not one that may only read"):
            work(index, rows)
        assert len(fake_server.requests) == before + 1
        assert encoded == []
        assert len(index) == 48  # it may still read
        assert index.search("card", limit=1).hits


def test_whether_a_key_may_write_is_asked_once(fake_server, encoder, rows):
    with ConfidenceIndex(fake_server.url, encoder) as index:
        for _ in range(3):
            index.add(**rows)
    assert fake_server.counted("POST .*/points/delete$") == 1


def test_an_index_that_is_not_there_is_not_found_over_rest(fake_server):
    with pytest.raises(IndexNotFoundError, match="there is no index"):
        ConfidenceIndex(fake_server.url)


def test_a_message_is_one_line_that_a_terminal_can_show(fake_server, open_it):
    fake_server.fail("GET", lambda _: (422, {}, b"\x1b[31mred\x1b[0m\nsecond line" + b"x" * 5000))
    with pytest.raises(ServerError, match="second line") as raised:
        open_it(fake_server.url)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_name_that_no_host_has_is_told_at_once(open_it, monkeypatch):
    def nobody(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(ServerError, match="there is no host of this name"):
        open_it("http://qdrant.invalid:6333")


def test_users_and_passwords_of_a_url_are_not_shown(open_it):
    with pytest.raises(ServerError) as raised:
        open_it("http://somebody:hush@127.0.0.1:9")
    assert "hush" not in str(raised.value)
    assert "127.0.0.1:9" in str(raised.value)


@pytest.mark.parametrize("url", ["HTTP://{}", "Http://{}/", "http://{}"])
def test_a_scheme_may_be_written_in_capitals(fake_server, open_it, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_it(url.format(fake_server.url.removeprefix("http://")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://host:1", "qdrant://host", "file:///tmp/x", "htps://host"])
def test_other_urls_are_no_folders(open_it, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="write http://, https:// or grpc://"):
        open_it(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("url", "message"), [("http://", "names no host"), ("http://host:port", "not valid")])
def test_a_url_that_leads_nowhere_is_refused(open_it, url, message):
    with pytest.raises(ValueError, match=message):
        open_it(url)
