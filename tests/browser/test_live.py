import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Download, Page, Playwright, expect

from tests.browser.conftest import CAMERA, Visit, revisiting, visiting
from tests.browser.predictions import LABELS
from tests.e2e.server import Server

RATE = re.compile(r"^([1-9]\d*) frames/s · (\d+) ms$")


@pytest.fixture
def live(window: Visit) -> Iterator[Visit]:
    """The live view, the camera allowed."""
    with revisiting(window, "/#live") as visit:
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


def test_a_moving_face_is_followed_with_boxes_charts_rate_and_latency(live: Visit) -> None:
    page = live.page
    results: list[dict[str, Any]] = []

    def on_socket(socket: Any) -> None:
        socket.on("framereceived", lambda payload: results.append(json.loads(payload)))

    page.on("websocket", on_socket)
    start(page)
    assert camera_is_on(page)
    expect(page.locator("#stats")).to_have_text(RATE)
    expect(page.get_by_role("heading", name="Face 1")).to_be_visible()
    expect(page.locator(".legend li")).to_have_count(7)
    expect(page.get_by_label("Camera", exact=True)).to_be_hidden()
    assert painted(page, "#overlay") > 1000
    eventually(page, lambda: painted(page, ".chart canvas") > 10)
    with page.expect_download() as download:
        page.get_by_role("button", name="Snapshot").click()
    assert_snapshot(download.value)
    eventually(page, lambda: len(results) >= 20)
    seen = [face for result in results[2:20] for face in result["faces"]]
    assert len(seen) >= 10
    assert {face["id"] for face in seen} == {1}, "it keeps its id"
    assert {face["emotion"] for face in seen} == {"happy"}, "it keeps its label"
    assert len({face["box"]["x"] for face in seen}) > 1


def assert_snapshot(download: Download) -> None:
    """It shows the frame with the face's box and label."""
    assert re.fullmatch(r"snapshot-[-T\d]+\.png", download.suggested_filename)
    drawn = cv2.imread(str(download.path()), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn.shape == (480, 640, 3)
    happy = np.abs(drawn.astype(int) - (46, 192, 245)).max(axis=2) < 12  # the colour of the box and the label, BGR
    assert happy.sum() > 1000


def test_pause_releases_the_camera_until_resume_and_leaving_the_view_stops_it(live: Visit) -> None:
    page = live.page
    start(page)
    page.get_by_role("button", name="Pause").click()
    assert not camera_is_on(page)
    assert page.locator("#video").evaluate("video => video.srcObject") is None
    expect(page.locator("#idle").get_by_text("The camera is off.")).to_be_visible()
    expect(page.locator(".chart")).to_have_count(1)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#stats")).to_have_text(RATE)
    assert camera_is_on(page)
    page.get_by_role("tab", name="Images").click()
    assert not camera_is_on(page)


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


def test_a_missing_camera_is_reported_where_the_eye_is(
    playwright: Playwright, executable: str, server: Server
) -> None:
    without = playwright.chromium.launch(executable_path=executable)
    with visiting(without, server.url, "/#live", permissions=["camera"]) as visit:
        page, begin = visit.page, visit.page.get_by_role("button", name="Start camera")
        for width, height in ((390, 844), (1280, 720), (1920, 1080)):
            page.set_viewport_size({"width": width, "height": height})
            page.reload()
            begin.click()
            alert = page.get_by_role("alert")
            expect(alert).to_contain_text("No camera was found")
            expect(alert).to_be_in_viewport(ratio=1)
            expect(begin).to_be_in_viewport(ratio=1)
            begin.click()
            expect(alert).to_contain_text("No camera was found")
            upper, lower = alert.bounding_box(), begin.bounding_box()
            assert upper is not None
            assert lower is not None
            assert upper["y"] + upper["height"] <= lower["y"], "the message covers no button"
    without.close()


def test_faces_in_sight_come_first_and_those_that_left_give_way(live: Visit) -> None:
    shown: list[list[str]] = live.page.evaluate(
        """async (probabilities) => {
            const { Timeline } = await import("/web/timeline.js");
            const timeline = new Timeline();
            const face = (id) => ({ id, emotion: "happy", confidence: 1, uncertain: false, probabilities });
            const titles = () => [...document.querySelectorAll("#charts h3")].map((title) => title.textContent);
            const steps = [];
            const watch = (ids, from, to) => {
                for (let now = from; now < to; now += 0.2) {
                    timeline.add({ faces: ids.map(face) }, now);
                    timeline.draw(now);
                }
                steps.push(titles());
            };
            watch([1, 2, 3, 4, 5, 6], 0, 2);
            watch([7, 8, 9], 4, 6);
            watch([2, 8], 8, 10);
            watch([], 10, 12);
            timeline.draw(90);
            steps.push(titles());
            return steps;
        }""",
        dict.fromkeys(LABELS, 1 / 7),
    )
    names = [[int(title.split()[1]) for title in titles] for titles in shown]
    assert names[0] == [1, 2, 3, 4, 5, 6]
    assert names[1][:3] == [7, 8, 9]
    assert len(names[1]) == 6
    assert names[2][:2] == [2, 8]
    assert set(names[2][2:4]) == {7, 9}, "the latest of those that left"
    assert names[4] == []


def test_the_camera_can_be_chosen(playwright: Playwright, executable: str, server: Server) -> None:
    arguments = ["--use-fake-device-for-media-stream=device-count=2", CAMERA[1]]
    two = playwright.chromium.launch(executable_path=executable, args=arguments)
    with visiting(two, server.url, "/#live", permissions=["camera"]) as visit:
        page = visit.page
        page.get_by_role("button", name="Start camera").click()
        choice = page.get_by_label("Camera", exact=True)
        expect(choice.locator("option")).to_have_count(2)
        first = choice.input_value()
        other = next(
            value
            for value in choice.locator("option").evaluate_all("all => all.map((one) => one.value)")
            if value != first
        )
        choice.select_option(other)
        in_use = "video => video.srcObject?.getVideoTracks()[0].getSettings().deviceId"
        eventually(page, lambda: page.locator("#video").evaluate(in_use) == other)
        expect(page.locator("#stats")).to_have_text(RATE)
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Start camera").click()
        eventually(page, lambda: page.locator("#video").evaluate(in_use) == other)
    two.close()


def test_stop_while_another_camera_opens_is_no_error(live: Visit) -> None:
    page = live.page
    start(page)
    page.evaluate("""() => {
        const [video, choice, stop] = ["video", "cameras", "stop"].map((id) => document.getElementById(id));
        video.addEventListener("loadstart", () => stop.click(), { once: true });
        choice.dispatchEvent(new Event("change"));
    }""")
    expect(page.get_by_role("button", name="Start camera")).to_be_visible()
    page.wait_for_timeout(200)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert not camera_is_on(page)


def test_of_two_choices_the_last_camera_opens(live: Visit) -> None:
    page = live.page
    start(page)
    page.evaluate("""() => {
        const choice = document.getElementById("cameras");
        for (let count = 0; count < 3; count += 1) choice.dispatchEvent(new Event("change"));
    }""")
    eventually(page, lambda: camera_is_on(page))
    expect(page.locator("#stats")).to_have_text(RATE)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_timeline_is_recorded_and_stop_saves_it_and_releases_the_camera(live: Visit) -> None:
    page = live.page
    start(page)
    page.get_by_role("button", name="Record CSV").click()
    expect(page.get_by_role("button", name=re.compile(r"Save CSV \([1-9]\d* s\)"))).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save CSV").click()
    expect(page.get_by_role("button", name="Record CSV")).to_be_visible()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert download.value.suggested_filename == "timeline.csv"
    assert len(rows) >= 2
    assert {row["face"] for row in rows} == {"1"}
    times = [float(row["time"]) for row in rows]
    assert times[0] == 0
    # Two frames can arrive in the same millisecond when the service is busy.
    assert times == sorted(times)
    numbers = [int(row["frame"]) for row in rows]
    assert numbers == sorted(set(numbers))
    assert sum(float(rows[0][label]) for label in LABELS) == pytest.approx(1, abs=1e-4)

    page.get_by_role("button", name="Record CSV").click()
    with page.expect_download():
        page.get_by_role("button", name="Stop").click()
    assert not camera_is_on(page)
    expect(page.locator(".chart")).to_have_count(0)
    expect(page.get_by_role("button", name="Start camera")).to_be_focused()
    assert painted(page, "#overlay") == 0


def test_a_service_that_restarts_is_found_again_and_one_that_has_gone_is_reported(
    browser: Browser, image_file: Path
) -> None:
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
        page.get_by_role("tab", name="Images").click()
        page.set_input_files("#file", image_file)
        alert = page.get_by_role("alert").first
        expect(alert).to_contain_text("The service does not answer")
        expect(alert.locator("code")).to_have_text("unreachable")
        # The browser logs every failed connection as an error.
        assert all("ERR_CONNECTION_REFUSED" in error for error in visit.errors)
        visit.errors.clear()


def test_a_recording_goes_on_after_a_reconnect(live: Visit) -> None:
    face = {"id": 1, "box": {}, "reasons": [], "probabilities": {}}
    results = [{"time": time, "frame": 0, "faces": [face]} for time in (10, 12, 0, 1)]
    rows = live.page.evaluate(
        """async (results) => {
            const { Recorder } = await import(new URL("web/recorder.js", document.baseURI));
            const recorder = new Recorder();
            results.forEach((result) => recorder.add(result));
            return recorder.rows.map(({ time, id }) => [time, id]);
        }""",
        results,
    )
    assert rows == [[0, 1], [2, 1], [2, 2], [3, 2]]
