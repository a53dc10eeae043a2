import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.conftest import CAMERA, Visit, visiting
from tests.e2e.server import Server

RATE = re.compile(r"^([1-9]\d*) frames/s · (\d+) ms$")


@pytest.fixture
def live(browser: Browser, server: Server) -> Iterator[Visit]:
    """The live view, the camera allowed."""
    with visiting(browser, server.url, "/#live", permissions=["camera"]) as visit:
        yield visit


def start(page: Page) -> None:
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator(".chart p").first).to_contain_text("happy")


def camera_is_on(page: Page) -> bool:
    return bool(page.locator("#video").evaluate("video => video.srcObject?.active ?? false"))


def eventually(page: Page, true: Callable[[], bool]) -> None:
    """Wait for a condition that Playwright cannot wait for, while the page handles its events."""
    for _ in range(600):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("the condition stayed false for 30 s")


def painted(page: Page, selector: str) -> int:
    """Count the pixels of a canvas that are not grey."""
    pixels: int = page.locator(selector).first.evaluate(
        """canvas => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) {
                const [red, green, blue] = data.subarray(at, at + 3);
                if (Math.max(red, green, blue) - Math.min(red, green, blue) > 60) count += 1;
            }
            return count;
        }"""
    )
    return pixels


def test_the_camera_is_followed_with_boxes_charts_rate_and_latency(live: Visit) -> None:
    page = live.page
    start(page)
    expect(page.locator("#stats")).to_have_text(RATE)
    expect(page.get_by_role("heading", name="Face 1")).to_be_visible()
    expect(page.locator(".legend li")).to_have_count(7)
    assert painted(page, "#overlay") > 1000
    eventually(page, lambda: painted(page, ".chart canvas") > 10)
    assert camera_is_on(page)


def test_a_moving_face_keeps_its_id_and_its_label(live: Visit) -> None:
    page = live.page
    results: list[dict[str, Any]] = []

    def on_socket(socket: Any) -> None:
        socket.on("framereceived", lambda payload: results.append(json.loads(payload)))

    page.on("websocket", on_socket)
    start(page)
    eventually(page, lambda: len(results) >= 20)
    seen = [face for result in results[2:20] for face in result["faces"]]
    assert len(seen) >= 10
    assert {face["id"] for face in seen} == {1}
    assert {face["emotion"] for face in seen} == {"happy"}
    assert len({face["box"]["x"] for face in seen}) > 1


def test_pause_releases_the_camera_and_resume_takes_it_again(live: Visit) -> None:
    page = live.page
    start(page)
    page.get_by_role("button", name="Pause").click()
    assert not camera_is_on(page)
    assert page.locator("#video").evaluate("video => video.srcObject") is None
    expect(page.get_by_text("Paused. The camera is off.")).to_be_visible()
    expect(page.locator(".chart")).to_have_count(1)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#stats")).to_have_text(RATE)
    assert camera_is_on(page)


def test_stop_releases_the_camera_and_clears_the_charts(live: Visit, server: Server) -> None:
    page = live.page
    start(page)
    page.get_by_role("button", name="Stop").click()
    assert not camera_is_on(page)
    expect(page.locator(".chart")).to_have_count(0)
    expect(page.get_by_role("button", name="Start camera")).to_be_focused()
    assert painted(page, "#overlay") == 0


def test_leaving_the_view_stops_the_camera(live: Visit) -> None:
    start(live.page)
    live.page.get_by_role("tab", name="Images").click()
    assert not camera_is_on(live.page)


def test_a_blocked_camera_is_reported_and_can_be_tried_again(
    playwright: Playwright, executable: str, server: Server
) -> None:
    refusing = playwright.chromium.launch(
        executable_path=executable, args=[CAMERA[0], "--deny-permission-prompts"]
    )
    with visiting(refusing, server.url, "/#live") as visit:
        page = visit.page
        page.get_by_role("button", name="Start camera").click()
        expect(page.get_by_role("alert")).to_contain_text("The camera is blocked for this page")
        page.context.grant_permissions(["camera"])
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#stats")).to_have_text(RATE)
        expect(page.get_by_role("alert")).to_have_count(0)
    refusing.close()


def test_a_missing_camera_is_reported(playwright: Playwright, executable: str, server: Server) -> None:
    without = playwright.chromium.launch(executable_path=executable)
    with visiting(without, server.url, "/#live", permissions=["camera"]) as visit:
        visit.page.get_by_role("button", name="Start camera").click()
        expect(visit.page.get_by_role("alert")).to_contain_text("No camera was found")
        expect(visit.page.get_by_role("button", name="Start camera")).to_be_visible()
    without.close()


def test_a_service_that_restarts_is_found_again(browser: Browser) -> None:
    first = Server({})
    port = first.url.rsplit(":", 1)[1]
    with visiting(browser, first.url, "/#live", permissions=["camera"]) as visit:
        page = visit.page
        start(page)
        assert first.terminate() == 0
        expect(page.get_by_role("alert")).to_contain_text("Trying again in")
        assert painted(page, "#overlay") == 0
        second = Server({"FER_PORT": port})
        try:
            expect(page.get_by_role("alert")).to_have_count(0)
            expect(page.locator("#stats")).to_have_text(RATE)
            expect(page.locator(".chart p").first).to_contain_text("happy")
        finally:
            page.get_by_role("button", name="Stop").click()
            second.close()
        # The browser logs every failed connection as an error.
        assert all("ERR_CONNECTION_REFUSED" in error for error in visit.errors)
        visit.errors.clear()
