"""The tab for videos."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import Visit, revisiting, visiting
from tests.browser.predictions import LABELS, fail
from tests.browser.test_live import eventually, painted
from tests.browser.test_page import serious
from tests.e2e.server import Server

VIDEOS = "**/predict/video*"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """Three seconds of a smiling face, which is away in the second one."""
    path = tmp_path_factory.mktemp("clips") / "smile.webm"
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 512, 384, "yuv420p"
        for number in range(30):
            pixels = np.full((384, 512, 3), 96, np.uint8) if 10 <= number < 20 else astronaut[:384]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def video(window: Visit) -> Iterator[Visit]:
    """The page with the tab for videos open."""
    with revisiting(window, "/#videos") as visit:
        yield visit


@pytest.fixture(scope="module")
def analysed(browser: Browser, server: Server, clip: Path) -> Iterator[Page]:
    """The page with the clip analysed, in a window of its own; tests move in the clip."""
    with visiting(browser, server.url, "/#videos") as visit:
        analyse(visit.page, clip)
        yield visit.page
        # The browser's advice for pages that read their canvases, as these tests do.
        visit.errors[:] = [error for error in visit.errors if not error.startswith("Canvas2D: Multiple readback")]


def analyse(page: Page, clip: Path) -> None:
    page.set_input_files("#clip-file", clip)
    expect(page.get_by_role("heading", name=clip.name)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def current_time(page: Page) -> float:
    return float(page.locator("#player").evaluate("video => video.currentTime"))


def test_a_clip_is_analysed_played_and_drawn(analysed: Page) -> None:
    page = analysed
    expect(page.get_by_role("heading", name="Face 1")).to_be_visible()
    expect(page.locator("#clip-legend li")).to_have_text(LABELS)
    eventually(page, lambda: painted(page, "#clip-overlay") > 500)
    assert painted(page, "#clip-charts canvas") > 10
    page.locator("#player").evaluate("video => { video.currentTime = 1.7; }")
    eventually(page, lambda: painted(page, "#clip-overlay") == 0)
    expect(page.locator("#clip-charts p").first).to_have_text("out of sight")


def test_the_box_lies_on_the_face_and_is_not_mirrored(analysed: Page) -> None:
    page = analysed
    page.locator("#player").evaluate("video => { video.currentTime = 0; }")
    eventually(page, lambda: painted(page, "#clip-overlay") > 500)
    left, right = page.locator("#clip-overlay").evaluate(
        """canvas => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            const columns = [];
            for (let x = 0; x < width; x += 1)
                for (let y = 0; y < height; y += 1)
                    if (data[4 * (y * width + x) + 3]) { columns.push(x / width); break; }
            return [columns[0], columns.at(-1)];
        }"""
    )
    assert 0.3 < left < 0.36
    assert 0.5 < right < 0.62


def test_a_click_on_the_chart_and_keys_move_in_the_video(analysed: Page) -> None:
    page = analysed
    chart = page.get_by_role("slider", name="Face 1").first
    box = chart.bounding_box()
    assert box is not None
    end = float(chart.get_attribute("aria-valuemax") or 0)
    assert end == pytest.approx(2.8)
    chart.click(position={"x": 42 + (box["width"] - 46) * 0.9, "y": 60})
    eventually(page, lambda: current_time(page) == pytest.approx(end * 0.9, abs=0.1))
    expect(chart).to_have_attribute("aria-valuenow", "2.5")
    chart.press("Home")
    eventually(page, lambda: current_time(page) == 0)
    chart.press("ArrowRight")
    eventually(page, lambda: current_time(page) == pytest.approx(0.2, abs=0.01))
    expect(chart).to_have_attribute(
        "aria-valuetext", "0.2 s: " + page.locator("#clip-charts p").first.inner_text()
    )


def test_the_timeline_is_saved(analysed: Page) -> None:
    page = analysed
    saved = {}
    for name in ("JSON", "CSV"):
        with page.expect_download() as download:
            page.locator("#clip").get_by_role("button", name=name).click()
        saved[download.value.suggested_filename] = Path(download.value.path()).read_text()
    content = json.loads(saved["smile.json"])
    assert content["clip"] == {"name": "smile.webm", "duration": 3.0}
    assert len(content["frames"]) == 15
    assert content["summary"]["frames"] == 15
    rows = list(csv.DictReader(io.StringIO(saved["smile.csv"])))
    faces = [face for frame in content["frames"] for face in frame["faces"]]
    assert [float(row["confidence"]) for row in rows] == [face["confidence"] for face in faces]
    assert {float(row["time"]) for row in rows} <= {frame["time"] for frame in content["frames"]}
    assert sum(float(rows[0][label]) for label in LABELS) == pytest.approx(1, abs=1e-4)


def test_an_analysis_is_cancelled_and_another_file_chosen(video: Visit, clip: Path) -> None:
    page = video.page
    held = threading.Event()

    def hold(route: Route) -> None:
        held.set()  # and never answer

    page.route(VIDEOS, hold)
    page.set_input_files("#clip-file", clip)
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_focused()
    expect(page.get_by_role("progressbar")).to_be_visible()
    eventually(page, held.is_set)
    with page.expect_event("requestfailed"):
        cancel.press("Enter")
    expect(cancel).to_be_hidden()
    expect(page.get_by_role("progressbar")).to_be_hidden()
    expect(page.get_by_role("button", name="Choose a video")).to_be_focused()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.unroute(VIDEOS)
    analyse(page, clip)
    expect(page.get_by_role("heading", name="Face 1")).to_be_visible()


# By status and code: words of the page, and whether it offers to try again.
PROBLEMS = {
    (413, "video_too_large"): ("Words of the service", False),
    (422, "undecodable_video"): ("not a video that the service reads", False),
    (429, "overloaded"): ("The service is busy", True),
    (501, "videos_not_supported"): ("This service cannot read videos", False),
}


def test_errors_are_said_in_words(video: Visit, clip: Path, image_file: Path, subtests: pytest.Subtests) -> None:
    page = video.page
    alert = page.get_by_role("alert")
    for (status, code), (words, again) in PROBLEMS.items():
        with subtests.test(code):
            fail(page, status, code, VIDEOS)
            page.set_input_files("#clip-file", clip)
            expect(alert).to_contain_text(words)
            expect(alert.get_by_role("button", name="Try again")).to_have_count(int(again))
            page.unroute(VIDEOS)
    page.set_input_files("#clip-file", image_file)
    expect(alert).to_contain_text("for an image, use the Images tab")
    assert all("Failed to load resource" in error for error in video.errors)
    video.errors.clear()


def test_of_several_files_one_is_analysed_and_the_page_says_so(video: Visit, clip: Path) -> None:
    dropped = """bytes => {
        const data = new DataTransfer();
        for (const name of ["first.webm", "second.webm"]) data.items.add(new File([new Uint8Array(bytes)], name));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }"""
    video.page.evaluate(dropped, list(clip.read_bytes()))
    expect(video.page.get_by_role("heading", name="first.webm")).to_be_visible()
    expect(video.page.get_by_text("One video at a time: 1 other file was left out.")).to_be_visible()
    expect(video.page.get_by_role("button", name="Cancel")).to_be_hidden()
    analyse(video.page, clip)
    expect(video.page.get_by_text("One video at a time")).to_be_hidden()


def test_an_answer_that_breaks_off_is_an_error(video: Visit, clip: Path) -> None:
    page = video.page
    begin = '{"type":"clip","duration":null}\n'
    late = '{"type":"error","error":{"status":504,"code":"deadline_exceeded","detail":"x"}}\n'
    for body, words in ((begin, "does not answer"), (begin + late, "too long")):
        answer_video(page, body)
        page.set_input_files("#clip-file", clip)
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        page.unroute(VIDEOS)


def answer_video(page: Page, body: str) -> None:
    """Let the page receive these lines for every video."""
    page.route(VIDEOS, lambda route: route.fulfill(content_type="application/x-ndjson", body=body))


def test_a_video_among_the_images_opens_in_the_tab(visit: Visit, clip: Path) -> None:
    page = visit.page
    page.set_input_files("#file", clip)
    page.get_by_role("button", name="Open in the Video tab").click()
    expect(page.get_by_role("tab", name="Video")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("heading", name="Face 1")).to_be_visible()


def test_the_tab_is_accessible_and_fits(video: Visit, clip: Path) -> None:
    page = video.page
    assert serious(page) == []
    analyse(page, clip)
    for width in (390, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        stage = page.locator("#clip-stage").bounding_box()
        assert stage is not None
        assert stage["width"] > 300
