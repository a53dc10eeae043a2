import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from tests.browser.conftest import Visit, revisiting, visiting
from tests.browser.test_live import eventually
from tests.browser.test_page import serious
from tests.e2e.server import Server

KEY, OTHER = "signs->>>???~~~-key", "other-key-0123456789"


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    path.write_text(KEY)
    return path


@pytest.fixture(scope="module")
def server(key_file: Path) -> Iterator[Server]:
    """A server that requires an API key."""
    running = Server({"FER_API_KEYS_FILE": str(key_file)})
    yield running
    running.close()


@pytest.fixture
def visit(window: Visit) -> Iterator[Visit]:
    with revisiting(window) as opened:
        yield opened
        forgive(opened)


def forgive(visit: Visit) -> None:
    """Accept the errors that the browser logs for each 401, and no others."""
    assert [error for error in visit.errors if "401" not in error] == []
    visit.errors.clear()


def dialog_of(page: Page) -> Locator:
    return page.get_by_role("dialog", name="API key")


def enter(page: Page, key: str) -> None:
    dialog_of(page).get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")


def unlocked(page: Page) -> None:
    page.get_by_role("button", name="Model card").click()
    enter(page, KEY)
    expect(dialog_of(page)).to_be_hidden()
    page.get_by_role("button", name="Close").click()


def test_an_image_that_needs_a_key_is_analysed_after_the_right_key_is_typed(
    visit: Visit, image_file: Path
) -> None:
    page = visit.page
    expect(page.get_by_role("button", name="API key")).to_be_hidden()
    page.set_input_files("#file", image_file)
    alert = dialog_of(page).get_by_role("alert")
    expect(dialog_of(page).get_by_label("Key", exact=True)).to_be_focused()
    expect(alert).to_be_hidden()
    for wrong, words in ((OTHER, "Invalid or revoked"), ("", "Type the key"), ("schlüssel", "no spaces")):
        enter(page, wrong)
        expect(alert).to_contain_text(words)
        expect(dialog_of(page).get_by_label("Key", exact=True)).to_be_focused()
        expect(dialog_of(page).get_by_label("Key", exact=True)).to_have_attribute("aria-invalid", "true")
    assert page.evaluate("sessionStorage.length") == 0
    enter(page, f" {KEY} ")
    expect(page.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    expect(dialog_of(page)).to_be_hidden()
    expect(page.get_by_role("button", name="API key")).to_be_visible()


def test_the_key_stays_in_its_tab_until_it_is_forgotten(visit: Visit, browser: Browser, server: Server) -> None:
    page = visit.page
    unlocked(page)
    kept = page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")
    assert kept == [[KEY], [], ""]
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request))
    page.reload()
    page.get_by_role("button", name="Model card").click()
    expect(page.get_by_text("SHA-256")).to_be_visible()
    assert [request.all_headers().get("x-api-key") for request in sent if request.url.endswith("/model")] == [KEY]
    assert KEY not in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="The whole card as JSON").click()
    assert len(json.loads(Path(download.value.path()).read_text())["sha256"]) == 64
    page.get_by_role("button", name="Close").click()
    with visiting(browser, server.url) as another:
        another.page.get_by_role("button", name="Model card").click()
        expect(dialog_of(another.page)).to_be_visible()
        forgive(another)
    page.get_by_role("button", name="API key").click()
    page.get_by_role("button", name="Forget the key").click()
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_role("button", name="Model card").click()
    expect(dialog_of(page)).to_be_visible()


def test_five_images_ask_for_the_key_once(visit: Visit, image_file: Path) -> None:
    page = visit.page
    page.set_input_files("#file", [image_file] * 5)
    expect(dialog_of(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".result .error code")).to_have_text(["unauthorized"] * 5)
    expect(dialog_of(page)).to_be_hidden()
    page.get_by_role("button", name="API key").click()
    enter(page, KEY)
    expect(dialog_of(page)).to_be_hidden()
    page.locator(".result").first.get_by_role("button", name="Enter the key").click()
    expect(page.get_by_role("heading", name="Face 1 happy")).to_be_visible()


def test_a_revoked_key_is_reported(visit: Visit, server: Server, key_file: Path, image_file: Path) -> None:
    unlocked(visit.page)
    key_file.write_text(OTHER)
    try:
        wait_until_accepted(visit.page, server, OTHER)
        visit.page.set_input_files("#file", image_file)
        expect(dialog_of(visit.page).get_by_role("alert")).to_contain_text("revoked")
        enter(visit.page, OTHER)
        expect(visit.page.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    finally:
        key_file.write_text(KEY)
        wait_until_accepted(visit.page, server, KEY)


def wait_until_accepted(page: Page, server: Server, key: str) -> None:
    """Wait until the server has read the file of keys again."""
    eventually(page, lambda: server.client.get("/model", headers={"X-API-Key": key}).status_code == 200)


def test_the_live_view_asks_for_the_key_and_streams_with_it(visit: Visit) -> None:
    page = visit.page
    results: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: results.append(json.loads(text))))
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start camera").click()
    expect(dialog_of(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("requires an API key")
    assert page.locator("#video").evaluate("video => video.srcObject") is None, "the camera is released"
    page.get_by_role("button", name="Try again").click()
    enter(page, KEY)
    expect(page.locator(".chart p").first).to_contain_text("happy")
    assert results[0]["frame"] == 1
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#stats")).to_contain_text("frames/s")


def test_the_shown_time_leaves_out_the_time_to_type_the_key(
    browser: Browser, server: Server, image_file: Path
) -> None:
    with visiting(browser, server.url) as visit:
        page = visit.page
        page.clock.install()
        page.set_input_files("#file", image_file)
        expect(dialog_of(page)).to_be_visible()
        page.clock.fast_forward(100_000)
        enter(page, KEY)
        shown = page.get_by_text("512 × 512 pixels ·").inner_text()
        assert int(shown.split()[-2]) < 60_000
        forgive(visit)


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_the_dialog_is_accessible_and_fits(browser: Browser, server: Server, scheme: Any, width: int) -> None:
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": width, "height": 844}}
    with visiting(browser, server.url, **options) as visit:
        page = visit.page
        page.get_by_role("button", name="Model card").click()
        expect(dialog_of(page)).to_be_visible()
        assert serious(page) == []
        enter(page, OTHER)
        expect(dialog_of(page).get_by_role("alert")).to_be_visible()
        assert serious(page) == []
        enter(page, KEY)
        expect(dialog_of(page)).to_be_hidden()
        page.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="API key").click()
        assert serious(page) == []
        for control in dialog_of(page).get_by_role("button").all():
            box = control.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 44
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="API key")).to_be_focused()
        header = page.locator(".masthead").bounding_box()
        assert header is not None
        assert header["height"] < 80, "the key's button fits into the same row"
        forgive(visit)
