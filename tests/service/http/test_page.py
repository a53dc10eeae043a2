import re
from collections.abc import Iterator

import pytest
from fer_service.http.routes.page import FOLDER
from fer_service.imaging.draw import PALETTE
from starlette.testclient import TestClient

FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
LANGUAGES = [name for name in FILES if name.startswith("languages/")]
TEXTS = {name: (FOLDER / name).read_text() for name in FILES}


def addresses() -> Iterator[tuple[str, str]]:
    for name, text in TEXTS.items():
        for found in re.findall(r"(?:src|href|from|import)\s*[=(]?\s*[\"']([^\"'#][^\"']*)[\"']", text):
            yield name, found


def test_the_page_is_served_at_the_root(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "<title>fer-service</title>" in answer.text
    head = client.head("/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/", *(f"/web/{name}" for name in FILES)])
def test_every_file_allows_nothing_from_elsewhere_and_nothing_inline(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    policy = dict(entry.strip().split(" ", 1) for entry in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    allowed = " ".join(policy.values()).split()
    assert set(allowed) <= {"'none'", "'self'", "blob:", "'script'"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/web/app.js"])
def test_what_has_not_changed_is_not_sent_again(client: TestClient, path: str) -> None:
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_no_file_names_an_outside_address() -> None:
    found = list(addresses())
    assert len(found) > 20
    for name, address in found:
        assert not re.match(r"(\w+:)?//", address), f"{name}: {address}"
    for name, text in TEXTS.items():
        assert not re.findall(r"https?://(?!www\.w3\.org/)", text), name


def test_every_module_that_is_imported_exists() -> None:
    imported = {address[2:] for _, address in addresses() if re.fullmatch(r"\./\w+\.js", address)}
    modules = {name for name in FILES if name.endswith(".js")} - set(LANGUAGES)
    assert modules == imported | {"app.js", "docs.js"}


def test_the_whole_page_is_small_in_every_language() -> None:
    sizes = {name: (FOLDER / name).stat().st_size for name in FILES}
    page = sum(size for name, size in sizes.items() if name not in LANGUAGES)
    # English comes with the page, and no visitor loads more than one other dictionary.
    assert page + sizes["languages/en.js"] + max(sizes[name] for name in LANGUAGES) < 150_000


def test_the_page_says_what_it_is() -> None:
    for needed in ("not feelings", "not stored", "AI Act", "Model card"):
        assert needed in TEXTS["languages/en.js"]
    named = set(re.findall(r'data-t="(\w+)"', TEXTS["index.html"]))
    assert {"intro", "law", "card"} <= named


def test_a_file_that_is_none_is_a_problem(client: TestClient) -> None:
    answer = client.get("/web/../app.py")
    assert answer.status_code == 404
    assert client.get("/web/nothing.js").json()["code"] == "not_found"


def test_the_page_has_a_colour_for_each_that_images_are_drawn_with() -> None:
    for index in range(len(PALETTE)):
        assert f".c{index} {{" in TEXTS["style.css"]
    assert f"COLOURS = {len(PALETTE)};" in TEXTS["dom.js"]


@pytest.mark.parametrize(
    "path", ["/web/", "/web//etc/passwd", "/web/..%2e/app.py", "/web/swagger/", "/web/" + "a" * 5000]
)
def test_only_the_files_of_the_page_are_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
