import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.predictions import LABELS
from tests.e2e.server import Server
from tests.scenes import blank, encode_image


def hand_over(page: Page, kind: str, *files: Path) -> None:
    """Drop or paste files with the events that the browser itself sends to the page."""
    contents = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in files]
    page.evaluate(
        """([kind, contents]) => {
            const transfer = new DataTransfer();
            for (const [name, content] of contents) {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            }
            const target = document.querySelector("#drop");
            const common = { bubbles: true, cancelable: true };
            if (kind === "paste") {
                target.dispatchEvent(new ClipboardEvent("paste", { ...common, clipboardData: transfer }));
            } else {
                for (const type of ["dragenter", "dragover", "drop"])
                    target.dispatchEvent(new DragEvent(type, { ...common, dataTransfer: transfer }));
            }
        }""",
        [kind, contents],
    )


def test_a_chosen_image_shows_its_face_with_a_box_and_bars_for_all_classes(
    visit: Visit, image_file: Path, server: Server
) -> None:
    page = visit.page
    page.set_input_files("#file", image_file)
    face = page.get_by_role("list", name="Faces").get_by_role("listitem").first
    expect(page.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    assert face.locator(".bars span:first-child").all_inner_texts() == LABELS
    expect(page.get_by_role("button", name="Face 1: happy")).to_be_visible()
    expect(page.get_by_text("1 face: 1 happy", exact=True)).to_be_visible()
    expect(page.get_by_text("512 × 512 pixels")).to_be_visible()
    shown = page.locator(".frame img").evaluate("image => image.complete && image.naturalWidth")
    assert shown == 512
    assert_box_on_face(page, server.client.post("/predict", content=image_file.read_bytes()).json())

    page.locator(".box").hover()
    expect(page.locator(".face.linked")).to_have_count(1)
    page.get_by_role("heading", level=1).hover()
    expect(page.locator(".linked")).to_have_count(0)
    page.locator(".face").hover()
    expect(page.locator(".box.linked")).to_have_count(1)


def assert_box_on_face(page: Page, answer: dict[str, Any]) -> None:
    box = page.locator(".box").bounding_box()
    image = page.locator(".frame img").bounding_box()
    assert box is not None
    assert image is not None
    expected = answer["faces"][0]["box"]
    scale = image["width"] / 512
    assert box["x"] - image["x"] == pytest.approx(expected["x"] * scale, abs=1)
    assert box["y"] - image["y"] == pytest.approx(expected["y"] * scale, abs=1)
    assert box["width"] == pytest.approx(expected["width"] * scale, abs=1)


def test_two_dropped_images_have_separate_results_and_one_table(visit: Visit, image_file: Path) -> None:
    other = image_file.with_name("grey, plain.png")
    other.write_bytes(encode_image(blank(120, 80), ".png"))
    page = visit.page
    hand_over(page, "drop", image_file, other)
    expect(page.locator(".result h2")).to_have_text(["astronaut.jpg", "grey, plain.png"])
    expect(page.get_by_text("No face was found.")).to_be_visible()
    expect(page.get_by_text("2 of 2 images analysed")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="All as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [(row["image"], row["face"], row["emotion"]) for row in rows] == [("astronaut.jpg", "1", "happy")]
    assert sum(float(rows[0][label]) for label in LABELS) == pytest.approx(1, abs=1e-4)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".result")).to_have_count(0)


def test_no_cell_of_a_csv_is_a_formula_and_all_columns_differ(visit: Visit) -> None:
    text = visit.page.evaluate(
        """async () => {
            const { toCsv } = await import("/web/export.js");
            const box = { x: 1, y: 2, width: 3, height: 4 };
            const emotion = "@SUM(1)";
            const probabilities = { [emotion]: 0.5, x: 0.25, "-1": 0.125, label_x: 0.125 };
            const face = { box, score: -0.5, emotion, confidence: 0.5, uncertain: false, probabilities };
            const names = ['=HYPERLINK("http://evil.example";"a")', " +1+1", "\\t=1", "-2", "plain.jpg"];
            return toCsv(names.map((name) => ({ name, prediction: { faces: [face] } })));
        }"""
    )
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert len(set(header)) == len(header)
    assert header[-4:] == ["'@SUM(1)", "label_x", "-1", "label_label_x"]
    names = ['\'=HYPERLINK("http://evil.example";"a")', "' +1+1", "'\t=1", "-2", "plain.jpg"]
    assert [row[0] for row in rows] == names
    assert rows[0][6:8] == ["-0.5", "'@SUM(1)"]
    assert all(len(row) == len(header) for row in rows)


def test_the_error_of_a_pasted_file_is_shown_with_its_code(visit: Visit, image_file: Path) -> None:
    text = image_file.with_name("notes.txt")
    text.write_text("no image")
    page = visit.page
    hand_over(page, "paste", text, image_file)
    broken, good = page.get_by_role("article", name="notes.txt"), page.get_by_role("article", name="astronaut.jpg")
    expect(broken.get_by_role("alert")).to_contain_text("This is a text file, not an image.")
    expect(broken.locator("code")).to_have_text("undecodable_image")
    expect(good.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    expect(broken.get_by_role("button", name="Try again")).to_have_count(0)
    assert all("422" in error for error in visit.errors), "the browser logs the status"
    visit.errors.clear()


def test_results_are_copied_and_saved(visit: Visit, server: Server, image_file: Path) -> None:
    answer = server.client.post("/predict", content=image_file.read_bytes()).json()
    page = visit.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_input_files("#file", image_file)
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    answer["faces"][0]["face"] = 1
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == answer
    saved = {}
    for name in ("JSON", "CSV", "Image"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {name}").click()
        saved[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    assert set(saved) == {"astronaut.json", "astronaut.csv", "astronaut-faces.png"}
    assert json.loads(saved["astronaut.json"]) == answer
    drawn = cv2.imdecode(np.frombuffer(saved["astronaut-faces.png"], np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn.shape == (512, 512, 3)


def test_a_photo_is_taken_and_the_camera_released(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Take a photo").click()
    page.get_by_role("button", name="Take photo").click()
    expect(page.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.locator("#photo-video").evaluate("video => video.srcObject") is None


def test_an_image_that_the_browser_cannot_show_is_drawn_by_the_service(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "scan.tiff"
    path.write_bytes(encode_image(blank(90, 60, 200), ".tiff"))
    visit.page.set_input_files("#file", path)
    image = visit.page.locator(".frame img")
    expect(image).to_be_visible()
    expect(visit.page.get_by_text("90 × 60 pixels")).to_be_visible()
    # The browser fails on the file first; the image of the service comes later.
    expect(image).to_have_js_property("naturalWidth", 90)
