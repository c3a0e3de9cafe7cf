"""Pictures of items on the page, from the given folder alone."""

import re
from io import BytesIO

import pytest
from PIL import Image

from fg_search.web.app import create_app


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "pictures"
    (inside / "a b").mkdir(parents=True)
    Image.new("RGB", (900, 300), (200, 30, 30)).save(inside / "a b" / "red.png")
    Image.new("RGB", (10, 10)).save(tmp_path / "secret.png")
    (inside / "text.png").write_text("<script>alert(1)</script>")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    return inside


@pytest.fixture
def shown(served, folder):
    named = ["a b/red.png", "../secret.png", str(folder.parent / "secret.png"), "link.png", "no.png", 7]
    served.add(
        [f"card picture {i}" for i in range(len(named))],
        ids=[f"p{i}" for i in range(len(named))],
        labels=["card"] * len(named),
        payloads=[{"image": name} for name in named],
    )
    return served


@pytest.mark.parametrize("path", ["/?q=card+picture&limit=40&doubtful=show", "/items?q=&where=image%3Da+b%2Fred.png"])
def test_items_show_the_pictures_of_the_folder(browse, shown, folder, path):
    page = browse(shown, images=folder).get(path)
    assert re.findall(r'<img class="picture" src="([^"]*)" alt="" loading="lazy">', page.text) == [
        "/picture?file=a+b%2Fred.png"
    ]
    assert "<img" not in browse(shown).get(path).text


def test_a_picture_is_drawn_small(browse, shown, folder):
    response = browse(shown, images=folder).get("/picture", params={"file": "a b/red.png"})
    assert response.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(response.content)).size == (320, 107)


@pytest.mark.parametrize("file", ["../secret.png", "link.png", "no.png", "a b", "text.png", "x" * 5000, "a\0b", ""])
def test_nothing_else_is_served(browse, served, folder, file):
    assert browse(served, images=folder).get("/picture", params={"file": file}).status_code == 404


def test_pictures_are_for_those_who_may_see_the_page(browse, served, folder):
    client = browse(served, images=folder, token="correct horse battery staple")
    assert client.get("/picture", params={"file": "a b/red.png"}, follow_redirects=False).status_code == 303
    assert browse(served).get("/picture", params={"file": "a b/red.png"}).status_code == 404


def test_a_folder_may_be_named_as_a_text(served, folder):
    assert create_app(served, images=str(folder)) is not None
