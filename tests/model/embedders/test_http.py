"""An endpoint that embeds texts over HTTP, in this process."""

import json

import httpx
import numpy as np
import pytest

from fg_search import FeatureGroupEncoder, HttpEmbedder
from fg_search.errors import ModelMismatchError, ServerError

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 40}
URL = "https://models.example/v1"


class Endpoint:
    """Answers as OpenAI's API does, with the vectors of a model; ``answers`` are given first."""

    def __init__(self, model):
        self.model = model
        self.requests = []
        self.answers = []

    def __call__(self, request):
        self.requests.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        body = json.loads(request.content)
        vectors = self.model.encode(body["input"])[:, : body.get("dimensions")]
        data = [{"index": i, "embedding": row.tolist(), "object": "embedding"} for i, row in enumerate(vectors)]
        return httpx.Response(200, json={"object": "list", "data": data[::-1], "model": body["model"]})

    def bodies(self):
        return [json.loads(request.content) for request in self.requests]


@pytest.fixture
def endpoint(tiny_model):
    return Endpoint(tiny_model)


@pytest.fixture
def connect(endpoint):
    def make(**options):
        client = httpx.Client(transport=httpx.MockTransport(endpoint))
        embedder = HttpEmbedder(URL, "tiny", client=client, **options)
        embedder.waited = []
        embedder._sleep = embedder.waited.append
        return embedder

    return make


def test_vectors_are_those_of_the_model_in_the_order_of_the_texts(connect, endpoint, tiny_model, corpus):
    embedder = connect(batch_size=20)
    assert embedder.dimension == 24
    found = embedder.embed_documents(corpus[0])
    np.testing.assert_array_equal(found.vectors, tiny_model.encode(corpus[0]))
    assert found.reading is None
    assert [len(body["input"]) for body in endpoint.bodies()] == [1, 20, 20, 8]
    assert {str(request.url) for request in endpoint.requests} == {f"{URL}/embeddings"}
    assert endpoint.bodies()[1] == {"model": "tiny", "input": corpus[0][:20], "encoding_format": "float"}


def test_prefixes_stand_before_queries_and_documents(connect, endpoint):
    embedder = connect(dimension=24, query_prefix="query: ", document_prefix="passage: ")
    embedder.embed_queries(["a"])
    embedder.embed_documents(["b"])
    assert [body["input"] for body in endpoint.bodies()] == [["query: a"], ["passage: b"]]
    assert not embedder.is_symmetric
    assert connect(dimension=24).is_symmetric
    assert connect(truncate_dim=5).embed_queries(["a"]).vectors.shape == (1, 5)
    assert endpoint.bodies()[-1]["dimensions"] == 5


def test_the_key_is_that_of_the_environment(connect, endpoint, monkeypatch, corpus, tmp_path):
    embedder = connect(api_key_variable="MY_KEY")
    embedder.embed_queries(["a"])
    assert "authorization" not in endpoint.requests[-1].headers
    monkeypatch.setenv("MY_KEY", "secret-1")
    embedder.embed_queries(["a"])
    assert endpoint.requests[-1].headers["authorization"] == "Bearer secret-1"
    FeatureGroupEncoder(embedder).fit(corpus[0], labels=corpus[1], **SIZES).save(tmp_path / "encoder")
    saved = (tmp_path / "encoder/fg_search.json").read_text()
    assert "secret" not in saved
    assert "MY_KEY" not in saved
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder")
    assert loaded.embedder.api_key_variable == "FG_SEARCH_EMBEDDER_KEY"


def test_a_key_with_the_newline_of_its_file_is_taken_and_none_is_ever_quoted(connect, endpoint, monkeypatch):
    embedder = connect(dimension=24)
    monkeypatch.setenv("FG_SEARCH_EMBEDDER_KEY", "secret-1\n")
    embedder.embed_queries(["a"])
    assert endpoint.requests[-1].headers["authorization"] == "Bearer secret-1"
    for wrong in ("secret-1\nsecret-2", "secret-ü"):
        monkeypatch.setenv("FG_SEARCH_EMBEDDER_KEY", wrong)
        with pytest.raises(ValueError, match="the key in FG_SEARCH_EMBEDDER_KEY holds characters") as caught:
            embedder.embed_queries(["a"])
        assert "secret" not in str(caught.value)
    assert len(endpoint.requests) == 1


def test_an_encoder_is_saved_with_the_settings_and_asks_nobody_when_it_is_loaded(connect, endpoint, corpus, tmp_path):
    encoder = FeatureGroupEncoder(connect(query_prefix="please "), cache_folder=tmp_path / "cache")
    encoder.fit(corpus[0], labels=corpus[1], **SIZES).save(tmp_path / "encoder")
    assert encoder.head.query_familiarity is not None
    asked = len(endpoint.requests)
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder")
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.embedder.settings() == encoder.embedder.settings()
    given = FeatureGroupEncoder.load(tmp_path / "encoder", embedder=connect(query_prefix="please ", dimension=24))
    assert len(endpoint.requests) == asked
    FeatureGroupEncoder(connect())
    assert len(endpoint.requests) == asked, "nobody is asked before there is a text"
    np.testing.assert_array_equal(
        given.encode_query(["my card"]).probabilities, encoder.encode_query(["my card"]).probabilities
    )
    with pytest.raises(ModelMismatchError, match="fitted on vectors of the embedder 'tiny'"):
        FeatureGroupEncoder.load(tmp_path / "encoder", embedder=connect(dimension=24))
    again = len(endpoint.requests)
    encoder.embed(corpus[0])
    assert len(endpoint.requests) == again, "the cache has them"


def test_a_busy_server_is_asked_again_after_the_time_it_names(connect, endpoint):
    embedder = connect(dimension=24)
    endpoint.answers = [
        httpx.Response(429, headers={"retry-after": "7"}, json={"error": {"message": "slow down"}}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.Response(503, text="starting"),
        httpx.Response(500, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        httpx.Response(502, headers={"retry-after": "soon"}),
        httpx.DecodingError("incorrect header check"),
        httpx.Response(429, headers={"retry-after": "nan"}),
    ]
    assert len(embedder.embed_queries(["a"]).vectors) == 1
    assert embedder.waited[0] == 7
    assert embedder.waited[4] == 0
    pauses = [embedder.waited[i] for i in (1, 2, 3, 5, 6, 7)]
    assert all(low <= pause <= 2 * low for pause, low in zip(pauses, (0.5, 1, 2, 8, 15, 15), strict=True))


@pytest.mark.parametrize(
    ("answer", "message", "status"),
    [
        (httpx.Response(401, json={"error": {"message": "no key"}}), "refuses to embed: 401 no key; put its key", 401),
        (httpx.Response(404, text="nothing here"), "404 nothing here; the address is the one that /embeddings", 404),
        (httpx.Response(400, json={"error": "too long"}), "400 {'error': 'too long'}", 400),
        (
            httpx.Response(429, headers={"retry-after": "900"}),
            "did not embed within 120 s: 429 ; ask again",
            429,
        ),
        (httpx.Response(200, text="<html>"), "answers with something else than JSON: '<html>'", 200),
        (httpx.Response(200, json={"data": []}), "one vector for each of 1 texts: there is no 0", None),
        (httpx.Response(200, json=[]), "one vector for each of 1 texts", None),
        (httpx.Response(200, json={"data": [{"index": 0, "embedding": "AAAA"}]}), "could not convert string", None),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_so(connect, endpoint, answer, message, status):
    endpoint.answers = [answer]
    with pytest.raises(ServerError, match=message) as caught:
        connect(dimension=24).embed_queries(["a"])
    assert caught.value.status == status


def test_wrong_vectors_are_refused(connect, endpoint):
    def answer(*vectors):
        data = [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        return httpx.Response(200, json={"data": data})

    endpoint.answers = [answer([1.0, 2.0])]
    with pytest.raises(ValueError, match=r"gave vectors of dimension 2 for 'tiny', not 24"):
        connect(dimension=24).embed_queries(["a"])
    endpoint.answers = [answer([1.0] * 24, [None] * 24)]
    with pytest.raises(ValueError, match=r"NaN or infinite numbers for texts\[1\], 'b'"):
        FeatureGroupEncoder(connect(dimension=24)).embed(["a", "b"])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://me:secret@models.example/v1", "holds no password and no query"),
        ("https://models.example/v1?key=secret", "holds no password and no query"),
        ("models.example/v1", "is no address of an embedder"),
        ("ftp://models.example", "is no address of an embedder"),
        ("http://a:b", "cannot be read"),
    ],
)
def test_wrong_addresses_are_refused(url, message):
    with pytest.raises(ValueError, match=message) as caught:
        HttpEmbedder(url, "tiny")
    assert "secret" not in str(caught.value)


def test_an_address_may_move(connect):
    here, there = connect(dimension=24), HttpEmbedder("http://other.example/v1/embeddings", "tiny", 24)
    assert here.fingerprint == there.fingerprint
    assert there.url == "http://other.example/v1"
    assert HttpEmbedder(URL, "other", 24).fingerprint != here.fingerprint
    assert connect(dimension=24, document_prefix="a ").fingerprint != here.fingerprint
