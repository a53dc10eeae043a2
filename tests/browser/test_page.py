from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.conftest import Visit, visiting
from tests.browser.predictions import answer, face, prediction
from tests.e2e.server import Server

WIDTHS = (390, 1280, 1920)


def serious(page: Page) -> list[tuple[str, str, list[Any]]]:
    """The serious and critical violations that axe-core finds."""
    page.evaluate(AXE_SCRIPT)
    passes, violations = page.evaluate(
        "axe.run({ resultTypes: ['violations'] }).then((report) => [report.passes.length, report.violations])"
    )
    assert passes > 20, "axe-core did not run"
    return [
        (finding["id"], finding["help"], [node["target"] for node in finding["nodes"]])
        for finding in violations
        if finding["impact"] in {"serious", "critical"}
    ]


def test_the_first_paint_needs_less_than_100_kb(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(server.url, wait_until="networkidle")
    sizes = [len(answer.body()) for answer in answers]
    context.close()
    assert len(sizes) > 10
    assert sum(sizes) < 100_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible(browser: Browser, server: Server, image_file: Path, scheme: Any) -> None:
    text = image_file.with_name("notes.txt")
    text.write_text("no image")
    options: dict[str, Any] = {"color_scheme": scheme, "permissions": ["camera"], "reduced_motion": "reduce"}
    with visiting(browser, server.url, **options) as visit:
        page = visit.page
        assert serious(page) == []
        page.set_input_files("#file", [image_file, text])
        expect(page.locator(".face")).to_have_count(1)
        expect(page.locator(".error code")).to_have_count(1)
        visit.errors.clear()
        assert serious(page) == []
        page.get_by_role("button", name="Model card").click()
        expect(page.get_by_text("SHA-256")).to_be_visible()
        assert serious(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Live").click()
        assert serious(page) == []
        page.get_by_role("button", name="Start camera").click()
        expect(page.locator(".chart")).not_to_have_count(0)
        assert serious(page) == []


def test_the_colours_follow_the_system_until_the_user_chooses(browser: Browser, server: Server) -> None:
    def ground(page: Page) -> int:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(colour.removeprefix("rgb(").split(",")[0])

    with visiting(browser, server.url, color_scheme="dark") as visit:
        page = visit.page
        assert ground(page) < 40
        page.emulate_media(color_scheme="light")
        assert ground(page) > 230
        for _ in range(2):
            page.get_by_role("button", name="Colours").click()
        expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
        assert ground(page) < 40
        page.reload()
        assert ground(page) < 40


def test_nothing_is_wider_than_the_window_and_controls_are_large_enough_for_a_thumb(
    visit: Visit, image_file: Path
) -> None:
    page = visit.page
    page.set_input_files("#file", image_file)
    expect(page.locator(".face")).to_have_count(1)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        for tab in ("Live", "Images"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 390, "height": 844})
    checked = 0
    for control in [*page.get_by_role("button").all(), *page.get_by_role("tab").all()]:
        box = control.bounding_box()
        if box is None or "box" in (control.get_attribute("class") or "").split():
            continue
        assert min(box["width"], box["height"]) >= 44, control.inner_text()
        checked += 1
    assert checked >= 10


def test_everything_can_be_done_by_keyboard_and_is_announced(visit: Visit, image_file: Path) -> None:
    page = visit.page
    focused = page.locator(":focus")

    def tab_to(name: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if name in (focused.get_attribute("aria-label") or focused.inner_text()):
                return
        raise AssertionError(f"{name} cannot be reached")

    page.once("filechooser", lambda chooser: chooser.set_files(image_file))
    tab_to("Choose images")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("astronaut.jpg: 1 face: 1 happy")
    tab_to("Face 1: happy")
    expect(page.locator(".face.linked")).to_have_count(1)
    assert page.locator(".box").evaluate("box => getComputedStyle(box).boxShadow") != "none"

    page.keyboard.press("Home")
    page.get_by_role("tab", name="Images").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Live")).to_be_focused()
    expect(page.get_by_role("button", name="Start camera")).to_be_visible()
    assert page.url.endswith("#live")

    page.get_by_role("button", name="Model card").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Model card")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Model card")).to_be_focused()


def test_the_model_card_is_one_click_away(visit: Visit, server: Server) -> None:
    visit.page.get_by_role("button", name="Model card").click()
    dialog = visit.page.get_by_role("dialog", name="Model card")
    card = server.client.get("/model").json()
    for text in (
        f"{card['name']} {card['version']}",
        card["sha256"],
        card["detector"],
        "PublicTest",
        "not what the person feels",
    ):
        expect(dialog).to_contain_text(text)
    expect(dialog.locator(".bars li")).to_have_count(7)
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize(
    ("detector", "fallback", "words"),
    [
        ("yunet:yunet_n_dynamic", [], "Detector: YuNet. It also finds small faces"),
        ("own:detector:0.1.0", [], "Detector: built-in. It misses more small and turned faces"),
        ("own:detector:0.1.0", ["detector"], "fer-service detector pull"),
        ("haar", [], "They find faces from the front only"),
        ("mine.onnx", [], "Detector: mine.onnx."),
    ],
)
def test_the_detector_in_use_is_explained_with_the_first_result(
    visit: Visit, server: Server, image_file: Path, detector: str, fallback: list[str], words: str
) -> None:
    card = server.client.get("/model").json() | {"detector": detector, "fallback": fallback}
    visit.page.route("**/model", lambda route: route.fulfill(json=card))
    answer(visit.page, prediction(face(20, 20, 80)))
    note = visit.page.get_by_role("note")
    expect(note).to_have_count(0)
    visit.page.set_input_files("#file", image_file)
    expect(note).to_contain_text(words)
    assert ("detector pull" in note.inner_text()) == bool(fallback)


def test_the_page_of_the_api_works_with_its_policy(browser: Browser, server: Server, image_file: Path) -> None:
    with visiting(browser, server.url, "/docs") as visit:
        page = visit.page
        page.locator("[id$=predict-predict] .opblock-summary-control").click()
        page.get_by_role("button", name="Try it out").click()
        page.locator("input[type=file]").set_input_files(image_file)
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table")).to_contain_text("happy")
