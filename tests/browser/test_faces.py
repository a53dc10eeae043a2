"""The faces of an image: numbers, list, labels, doubts, threshold and the enlarged image."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.predictions import answer, face, prediction
from tests.browser.test_live import eventually

CROWD = [
    face(20 + 60 * (number % 8), 30 + 50 * (number // 8), 44, score=0.6 + number / 100) for number in range(60)
]


def show(visit: Visit, image_file: Path, *faces: dict[str, Any]) -> Page:
    answer(visit.page, prediction(*faces))
    visit.page.set_input_files("#file", image_file)
    expect(visit.page.locator(".result-body")).to_be_visible()
    return visit.page


def saved(page: Page, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=name).first.click()
    return Path(download.value.path()).read_text()


def labels_of(page: Page, scope: str = ".result") -> list[dict[str, float]]:
    """The rectangles of the visible labels in an image, and of the image."""
    found: list[dict[str, float]] = page.locator(f"{scope} .tag").evaluate_all(
        """tags => tags.filter((tag) => !tag.hidden).map((tag) => {
            const { left, top, right, bottom } = tag.getBoundingClientRect();
            return { left, top, right, bottom };
        })"""
    )
    return found


def apart(labels: list[dict[str, float]]) -> bool:
    return not any(
        one["left"] < other["right"]
        and other["left"] < one["right"]
        and one["top"] < other["bottom"]
        and other["top"] < one["bottom"]
        for number, one in enumerate(labels)
        for other in labels[:number]
    )


def test_a_face_has_one_number_everywhere_also_when_others_are_hidden(visit: Visit, image_file: Path) -> None:
    faces = [face(20, 200, 90, "sad", 0.7), face(200, 200, 80, "fear", 0.95), face(350, 200, 70, "angry", 0.8)]
    page = show(visit, image_file, *faces)
    numbers = {"1": "sad", "2": "fear", "3": "angry"}
    for _ in range(2):
        for number, emotion in numbers.items():
            expect(page.get_by_role("heading", name=f"Face {number} {emotion}")).to_be_visible()
            expect(page.get_by_role("button", name=f"Face {number}: {emotion}")).to_be_visible()
        tags = page.locator(".tag").all_inner_texts()
        assert {tag.split()[0]: tag.split()[1] for tag in tags} == numbers
        rows = csv.DictReader(io.StringIO(saved(page, "Download CSV")))
        assert {row["face"]: row["emotion"] for row in rows} == numbers
        content = json.loads(saved(page, "Download JSON"))
        assert {str(each["face"]): each["emotion"] for each in content["faces"]} == numbers
        assert content["summary"]["faces"] == len(numbers)
        assert content["summary"]["emotions"] == dict.fromkeys(numbers.values(), 1)
        page.get_by_label("Minimum detector score").fill("0.78")
        numbers.pop("1", None)
    expect(page.locator(".face")).to_have_count(2)


def test_more_than_five_faces_are_listed_on_demand(visit: Visit, image_file: Path) -> None:
    page = show(visit, image_file, *CROWD[:8])
    expect(page.locator(".face").filter(visible=True)).to_have_count(5)
    page.get_by_role("button", name="Show all 8 faces").press("Enter")
    expect(page.locator(".face").filter(visible=True)).to_have_count(8)
    page.get_by_role("button", name="Show fewer").click()
    expect(page.locator(".face").filter(visible=True)).to_have_count(5)
    page.get_by_role("button", name="Face 7: happy").press("Enter")
    expect(page.get_by_role("heading", name="Face 7 happy")).to_be_in_viewport()


def test_five_faces_are_all_listed_and_counted_by_emotion(visit: Visit, image_file: Path) -> None:
    doubtful = face(300, 300, 50, "sad", reasons=("small",))
    page = show(visit, image_file, *CROWD[:4], doubtful)
    expect(page.locator(".face").filter(visible=True)).to_have_count(5)
    expect(page.get_by_role("button", name="Show")).to_have_count(0)
    expect(page.locator(".summary")).to_have_text("5 faces: 4 happy, 1 sad (1 uncertain)")


def test_labels_never_overlap_and_stay_in_the_image(visit: Visit, image_file: Path) -> None:
    corners = [face(x, y, 30) for x in (0, 482) for y in (0, 482)]
    nested = [face(200, 200, 120), face(210, 210, 100), face(215, 205, 110)]
    page = show(visit, image_file, *CROWD, *corners, *nested)
    for width in (390, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        for number in (None, 3, 40):
            if number is None:
                page.get_by_role("heading", level=1).hover()
            else:
                page.get_by_role("button", name=f"Face {number}: happy").focus()
                expect(page.locator(".tag", has_text=f"{number} happy").filter(visible=True)).not_to_have_count(0)
            eventually(page, lambda: are_apart_in_the_image(page))


def are_apart_in_the_image(page: Page) -> bool:
    """The labels are placed again soon after the size of the image has changed."""
    labels, image = labels_of(page), page.locator(".frame").bounding_box()
    assert image is not None
    assert len(labels) > 20
    return apart(labels) and all(
        label["left"] >= image["x"] - 1
        and label["right"] <= image["x"] + image["width"] + 1
        and label["top"] >= image["y"] - 1
        and label["bottom"] <= image["y"] + image["height"] + 1
        for label in labels
    )


def test_an_image_is_enlarged_by_pointer_and_keyboard(visit: Visit, image_file: Path) -> None:
    page = show(visit, image_file, face(0, 0, 512), face(100, 100, 60))
    before = page.locator(".result .frame").bounding_box()
    dialog = page.get_by_role("dialog", name="astronaut.jpg")
    page.locator(".result .frame").click(position={"x": 5, "y": 200})
    expect(dialog).to_be_visible()
    after = dialog.locator(".frame").bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"]
    assert len(labels_of(page, "#zoom")) == 2
    assert apart(labels_of(page, "#zoom"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    opener = page.get_by_role("button", name="Enlarge astronaut.jpg")
    opener.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    opener.press("Enter")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_wide_window_is_used(visit: Visit, image_file: Path) -> None:
    visit.page.set_viewport_size({"width": 1920, "height": 1080})
    page = show(visit, image_file, CROWD[0])
    image, items = page.locator(".result .image").bounding_box(), page.locator(".list").bounding_box()
    assert image is not None
    assert items is not None
    assert items["x"] >= image["x"] + image["width"] - 1, "the list is beside the image"
    assert items["x"] + items["width"] > 1700
    page.set_input_files("#file", image_file)
    expect(page.locator(".result-body")).to_have_count(2)
    first, second = (page.locator(".result").nth(number).bounding_box() for number in (0, 1))
    assert first is not None
    assert second is not None
    assert first["y"] == second["y"], "two cards are side by side"


def test_what_uncertain_means_is_said_with_the_reasons(visit: Visit, image_file: Path) -> None:
    page = show(visit, image_file, face(20, 20, 60, reasons=("small", "close call")), CROWD[20])
    chip, tip = page.get_by_role("button", name="uncertain", exact=True), page.locator("#tip")
    for by in ("pointer", "keyboard"):
        expect(tip).to_be_hidden()
        if by == "pointer":
            chip.hover()
        else:
            page.locator(".faces").focus()
            page.keyboard.press("Tab")
            expect(chip).to_be_focused()
        expect(tip).to_contain_text("The model is not sure")
        expect(tip).to_contain_text("Reasons: small face, a second expression is probable too")
        expect(tip).to_be_in_viewport(ratio=1)
        expect(chip).to_have_accessible_description(tip.inner_text())
        if by == "pointer":
            page.get_by_role("heading", level=1).hover()
        else:
            page.keyboard.press("Escape")
        expect(tip).to_be_hidden()


def test_the_threshold_hides_faces_without_a_request(visit: Visit, image_file: Path) -> None:
    page = show(visit, image_file, face(20, 20, 60, score=0.62), face(120, 20, 60, score=0.9), face(220, 20, 60))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    slider = page.get_by_label("Minimum detector score")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".summary")).to_have_text("2 faces: 2 happy")
    expect(page.locator(".box")).to_have_count(2)
    expect(page.locator("#threshold-value")).to_have_text("63%")
    page.keyboard.press("End")
    expect(page.get_by_text("All faces are below the minimum score.")).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator(".summary")).to_have_text("3 faces: 3 happy")
    expect(page.locator("#threshold-value")).to_have_text("all faces")
    assert [url for url in asked if not url.startswith("blob:")] == []


def test_faces_without_a_score_have_no_threshold(visit: Visit, image_file: Path) -> None:
    page = show(visit, image_file, face(20, 20, 60, score=None))
    expect(page.locator(".face")).to_have_count(1)
    expect(page.get_by_label("Minimum detector score")).to_be_hidden()


def test_a_sample_is_drawn_and_analysed(visit: Visit) -> None:
    page = visit.page
    for name, emotions in (("Four", ["angry", "happy", "neutral", "surprise"]), ("One", ["happy"])):
        page.get_by_role("button", name=f"{name} drawn").click()
        expect(page.locator(".face")).to_have_count(len(emotions))
        titles = page.locator(".face h3").all_inner_texts()
        assert sorted(title.split()[2] for title in titles) == emotions
        expect(page.locator("#samples")).to_be_hidden()
        page.get_by_role("button", name="Remove").click()


def test_one_card_is_removed(visit: Visit, image_file: Path) -> None:
    answer(visit.page, prediction(CROWD[0]))
    page = visit.page
    files = [image_file, image_file.with_name("second.jpg"), image_file.with_name("third.jpg")]
    for file in files[1:]:
        file.write_bytes(image_file.read_bytes())
    page.set_input_files("#file", files)
    expect(page.locator(".face")).to_have_count(3)
    page.get_by_role("button", name="Remove second.jpg").press("Enter")
    expect(page.locator(".result h2")).to_have_text(["astronaut.jpg", "third.jpg"])
    expect(page.get_by_role("button", name="Remove third.jpg")).to_be_focused()
    rows = list(csv.DictReader(io.StringIO(saved(page, "All as CSV"))))
    assert [row["image"] for row in rows] == ["astronaut.jpg", "third.jpg"]
    for name in ("third", "astronaut"):
        page.get_by_role("button", name=f"Remove {name}.jpg").click()
    expect(page.get_by_role("button", name="Choose images")).to_be_focused()
    expect(page.get_by_role("button", name="Four drawn faces")).to_be_visible()
