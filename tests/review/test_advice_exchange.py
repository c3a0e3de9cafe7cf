"""Advice about copies of an index that are exchanged."""

import pytest
from advising import Advice
from qdrant_client import QdrantClient

from fg_search import ConfidenceIndex, IndexSettings


@pytest.fixture
def client():
    new = QdrantClient(":memory:")
    yield new
    new.close()


def test_a_copy_of_another_encoder_is_made_anew(client, tmp_path, encoder, other_encoder):
    advice = Advice("… was filled by the encoder …, … by …; copy the newer one anew: `fg-search copy`")
    with (
        ConfidenceIndex(client, other_encoder) as server,
        ConfidenceIndex(tmp_path / "old", encoder) as old,
    ):
        server.add(["my card"], ids=["a"], labels=["card"])
        old.add(["my loan"], ids=["a"], labels=["loan"])
        for call in (old.pull, old.push):
            with advice.raised():
                call(client)
        server.copy_to(tmp_path / "new")
        with ConfidenceIndex(tmp_path / "new", other_encoder) as new:
            assert new.pull(client).points == 1


def test_tenants_are_exchanged_together(client, tmp_path, encoder):
    advice = Advice("an index is exchanged with all its tenants; call it on the index itself")
    with ConfidenceIndex(client, encoder, settings=IndexSettings(tenant_key="shop")) as server:
        server.tenant("north").add(["my card"], ids=["a"], labels=["card"])
        server.copy_to(tmp_path / "device")
        with ConfidenceIndex(tmp_path / "device", encoder) as device:
            device.tenant("north").decide("a", "label", "loan")
            for call in (device.tenant("north").pull, device.tenant("north").push):
                with advice.raised():
                    call(client)
            assert device.push(client).items == 1
        assert server.tenant("north").labels_of(["a"]) == {"a": "loan"}


def test_a_copy_without_base_vectors_is_no_source_of_one_with_them(client, tmp_path, encoder):
    advice = Advice("… keeps no base vectors, and … does; name a copy that has them")
    with ConfidenceIndex(client, encoder) as server:
        server.add(["my card"], ids=["a"], labels=["card"])
        server.copy_to(tmp_path / "small", settings=IndexSettings(base_vectors="none"))
        server.add(["my loan"], ids=["b"], labels=["loan"])
        with advice.raised():
            server.pull(tmp_path / "small")
        with ConfidenceIndex(tmp_path / "small", encoder) as small:
            assert small.pull(client).written == 1
            assert len(small.search("my loan").hits) == 2
