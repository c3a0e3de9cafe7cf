"""Advice about copies of an index that are exchanged."""

import pytest
from advising import Advice
from qdrant_client import QdrantClient, models

from fg_search import ConfidenceIndex, IndexSettings


@pytest.fixture
def client():
    new = QdrantClient(":memory:")
    yield new
    new.close()


def test_a_copy_of_another_encoder_is_made_anew(client, tmp_path, encoder, other_encoder):
    advice = Advice(
        "… was filled by the encoder …, … by …; push what was decided here, then copy that one anew: `fg-search copy`"
    )
    with (
        ConfidenceIndex(client, other_encoder) as server,
        ConfidenceIndex(tmp_path / "old", encoder) as old,
    ):
        server.add(["my card"], ids=["a"], labels=["card"])
        old.add(["my loan"], ids=["a"], labels=["loan"])
        with advice.raised():
            old.pull(client)
        old.decide("a", "keep")
        old.push(client)
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


def test_a_conflict_says_how_it_is_settled(client, tmp_path, encoder):
    advice = Advice(
        "…; call pull(…, overwrite=[ids]) to have them as they are there, or push(…, overwrite=[ids]) to have them "
        "there as they are here (--overwrite ID)"
    )
    with ConfidenceIndex(client, encoder) as server:
        server.add(["my card", "my loan"], ids=["a", "b"], labels=["card", "loan"])
        server.copy_to(tmp_path / "device")
        with ConfidenceIndex(tmp_path / "device", encoder) as device:
            for index, label in ((server, "loan"), (device, "food")):
                index.relabel(dict.fromkeys("ab", label))
            assert advice.is_in(str(device.pull(client)))
            assert advice.is_in(str(device.push(client)))
            device.pull(client, overwrite=["a"])
            device.push(client, overwrite=["b"])
            assert server.labels_of(["a", "b"]) == device.labels_of(["a", "b"]) == {"a": "loan", "b": "food"}
            with pytest.raises(TypeError, match="overwrite must be a list"):
                device.pull(client, overwrite="a")


def test_what_cannot_be_written_there_is_to_be_added_there(client, tmp_path, encoder, other_encoder):
    advices = (
        Advice("it has no base vector here, and needs one there: add it there"),
        Advice("its vectors here are another encoder's: add it there"),
    )
    for advice, chosen in zip(advices, (encoder, other_encoder), strict=True):
        with ConfidenceIndex(client, chosen, collection=chosen.fingerprint) as server:
            server.add(["my card"], ids=["a"], labels=["card"])
            folder = tmp_path / chosen.fingerprint
            with ConfidenceIndex(folder, encoder, settings=IndexSettings(base_vectors="none")) as device:
                device.add(["my loan"], ids=["b"], labels=["loan"])
                device.decide("b", "keep")
                found = device.push(client, collection=server.collection, overwrite=["b"])
                assert advice.is_in(found.conflicts[0].reason)
                server.add(["my loan"], ids=["b"], labels=["loan"])
                assert device.push(client, collection=server.collection).conflicts == ()


def test_nothing_is_written_to_a_collection_that_others_write(client, tmp_path, encoder, saved_encoder):
    advice = Advice("others write the items there: add it to their collection")
    vectors = encoder.embed(["my card"])
    client.create_collection("theirs", {"": models.VectorParams(size=vectors.shape[1], distance="Cosine")})
    points = [models.PointStruct(id=1, vector=vectors[0].tolist(), payload={"title": "my card", "kind": "card"})]
    client.upsert("theirs", points)
    with ConfidenceIndex.adopt(
        client, collection="theirs", text="title", label="kind", encoder=saved_encoder
    ) as theirs:
        theirs.copy_to(tmp_path / "device")
        with ConfidenceIndex(tmp_path / "device", encoder, collection="theirs") as device:
            device.decide(1, "keep")
            theirs.delete([1])
            assert advice.is_in(device.push(client, overwrite=[1]).conflicts[0].reason)
            client.upsert("theirs", points)
            theirs.sync()
            assert device.push(client).conflicts == ()
