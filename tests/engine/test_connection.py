import asyncio
import logging
import socket

import pytest

from fg_search.engine.connection import connect, connect_async
from fg_search.errors import StorageError


@pytest.fixture(autouse=True)
def no_name_service(monkeypatch):
    """Names that end in ``.invalid`` are unknown at once; a resolver may look for them for seconds."""
    resolve = socket.getaddrinfo

    def known_at_once(host, *args, **kwargs):
        if (host.decode() if isinstance(host, bytes) else str(host)).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", known_at_once)


def connect_anyhow(url, api_key):
    with pytest.raises(StorageError):
        connect(url, api_key=api_key, retry_for=0)


def connect_with_coroutines(url, api_key):
    with pytest.raises(StorageError):
        asyncio.run(connect_async(url, api_key=api_key, retry_for=0))


@pytest.mark.parametrize("open_it", [connect_anyhow, connect_with_coroutines])
@pytest.mark.parametrize(
    ("url", "api_key", "says"),
    [
        ("http://qdrant.invalid:9", "secret", True),
        ("http://192.0.2.1.invalid:9", "secret", True),
        ("https://qdrant.invalid:9", "secret", False),
        ("http://qdrant.invalid:9", None, False),
        ("http://127.0.0.1:9", "secret", False),
        ("http://127.1.2.3:9", "secret", False),
        ("http://localhost:9", "secret", False),
        ("http://[::1]:9", "secret", False),
    ],
)
def test_a_key_sent_in_the_open_is_one_line_and_none_on_this_machine(open_it, url, api_key, says, caplog, recwarn):
    caplog.set_level(logging.WARNING, "fg_search")
    open_it(url, api_key)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("fg_search")]
    host = url.partition("://")[2].rpartition(":")[0]
    assert said == ([f"the API key is sent unencrypted to {host}; use https, or a tunnel"] if says else [])
    assert [str(warning.message) for warning in recwarn] == []
    assert "secret" not in caplog.text
