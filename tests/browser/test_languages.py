"""The page in other languages."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visit, revisiting, visiting
from tests.browser.predictions import answer, face, prediction
from tests.browser.test_page import serious
from tests.e2e.server import Server

ROOT = Path(__file__).parents[2] / "service/fer_service/web"
LANGUAGES = sorted(path.stem for path in (ROOT / "languages").iterdir())
PLACEHOLDER = re.compile(r"\{(\w+)\}")


@pytest.fixture(scope="module")
def dictionaries(window: Visit) -> dict[str, dict[str, Any]]:
    """The texts by language and key."""
    with revisiting(window) as visit:
        load = "async (name) => (await import(`/web/languages/${name}.js`)).default"
        return {name: visit.page.evaluate(load, name) for name in LANGUAGES}


def test_all_dictionaries_have_the_same_keys_and_values(dictionaries: dict[str, dict[str, Any]]) -> None:
    assert LANGUAGES == ["de", "en", "es", "fr", "zh"]
    english = dictionaries["en"]
    for name, words in dictionaries.items():
        assert set(words) == set(english), name
        for key, text in words.items():
            forms = text.values() if isinstance(text, dict) else [text]
            assert all(form.strip() for form in forms), (name, key)
            expected = set(PLACEHOLDER.findall(str(english[key])))
            assert all(set(PLACEHOLDER.findall(form)) == expected for form in forms), (name, key)


def test_every_key_that_the_page_names_exists(dictionaries: dict[str, dict[str, Any]]) -> None:
    sources = [path.read_text() for path in ROOT.glob("*.js")]
    page = (ROOT / "index.html").read_text()
    named = {key for text in sources for key in re.findall(r'\bt\("(\w+)"', text)}
    named |= set(re.findall(r'data-t(?:-label)?="(\w+)"', page))
    assert len(named) > 60
    assert named <= set(dictionaries["en"])
    begins = {begin for text in sources for begin in re.findall(r"`([a-z]+_)\$\{", text)}
    text = "".join([*sources, page])
    unused = {key for key in dictionaries["en"] if not key.startswith(tuple(begins)) and f'"{key}"' not in text}
    assert unused == set()


def test_the_page_itself_has_no_words(dictionaries: dict[str, dict[str, Any]]) -> None:
    body = (ROOT / "index.html").read_text().split("<body>")[1].split("<noscript>")[0]
    texts = {text.strip() for text in re.findall(r">([^<>]+)<", body)} - {""}
    names = {
        "fer-service",
        "API",
        "JSON",
        "CSV",
        "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC",
        "MP4, MOV, WebM, AVI, MKV",
    }
    assert texts <= names
    assert re.findall(r'aria-label="([^"]+)"', body) == ["fer-service"]


@pytest.mark.parametrize(
    ("locale", "chosen", "choose"), [("de-AT", "de", "Bilder auswählen"), ("pt-BR", "en", "Choose images")]
)
def test_the_browser_chooses_the_language(
    browser: Browser, server: Server, locale: str, chosen: str, choose: str
) -> None:
    with visiting(browser, server.url, locale=locale) as visit:
        expect(visit.page.get_by_role("button", name=choose)).to_be_visible()
        assert visit.page.locator("html").get_attribute("lang") == chosen


# By language: the heading of a face, the summary of two, a percentage, the button to choose images, a size.
FORMS = {
    "de": (
        "Gesicht 1 fröhlich 94 %",
        "2 Gesichter: 1 fröhlich, 1 traurig (1 unsicher)",
        "94 %",
        "Bilder auswählen",
        "4.000 × 3.000 Pixel",
    ),
    "es": (
        "Cara 1 alegría 94 %",
        "2 caras: 1 alegría, 1 tristeza (1 sin certeza)",
        "94 %",
        "Elegir imágenes",
        "× 3000",
    ),
    "fr": (
        "Visage 1 joie 94 %",
        "2 visages : 1 joie, 1 tristesse (1 sans certitude)",
        "94 %",
        "Choisir des images",
        "000 ×",
    ),
    "zh": ("人脸 1 高兴 94%", "2 张人脸：1 高兴、1 悲伤（1 不确定）", "94%", "选择图片", "4,000 × 3,000"),
    "en": (
        "Face 1 happy 94%",
        "2 faces: 1 happy, 1 sad (1 uncertain)",
        "94%",
        "Choose images",
        "4,000 × 3,000 pixels",
    ),
}


def test_texts_and_numbers_have_the_form_of_the_language(
    visit: Visit, image_file: Path, subtests: pytest.Subtests
) -> None:
    page = visit.page
    faces = (face(20, 20, 80), face(200, 20, 60, "sad", reasons=("small",)))
    answer(page, prediction(*faces, width=4000, height=3000))
    page.set_input_files("#file", image_file)
    expect(page.locator(".face")).to_have_count(2)
    for language, (heading, summary, best, choose, size) in FORMS.items():
        with subtests.test(language):
            page.locator("#language").select_option(language)
            expect(page.locator(".face h3").first).to_have_text(re.compile(heading.replace(" ", r"\s")))
            expect(page.locator(".summary")).to_have_text(summary)
            assert " ".join(page.locator(".best span").nth(2).inner_text().split()) == best
            expect(page.get_by_role("button", name=choose)).to_be_visible()
            expect(page.get_by_text(size)).to_be_visible()


def words_on(page: Page) -> str:
    """All visible texts and labels of the page, without the names of files and models."""
    text: str = page.evaluate(
        """() => [
            document.body.innerText,
            ...[...document.querySelectorAll("[aria-label], [title]")]
                .filter((element) => element.checkVisibility())
                .flatMap((element) => [element.getAttribute("aria-label") ?? "", element.title]),
        ].join("\\n")"""
    )
    return text


def test_the_page_is_driven_in_another_language(
    visit: Visit, image_file: Path, dictionaries: dict[str, dict[str, Any]]
) -> None:
    language = "zh"  # shares no word with English
    words, english = dictionaries[language], dictionaries["en"]
    foreign = [
        text
        for key, text in english.items()
        if isinstance(text, str)
        and "{" not in text
        and len(text) > 5
        and text not in words.values()
        and key != "key_hint"
    ]
    assert len(foreign) > 60

    def check(page: Page) -> None:
        shown = words_on(page).splitlines()
        assert [text for text in foreign if text in shown] == []

    text_file = image_file.with_name("notes.txt")
    text_file.write_text("no image")
    page = visit.page
    page.set_input_files("#file", image_file)
    expect(page.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    page.locator("#language").select_option(language)
    name = words["face"].replace("{number}", "1")
    expect(page.get_by_role("heading", name=f"{name} {words['emotion_happy']}")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", language)
    check(page)
    page.set_input_files("#file", text_file)
    expect(page.get_by_role("alert").filter(has_text=words["file_text"])).to_be_visible()
    visit.errors.clear()
    page.get_by_role("button", name=words["card"]).click()
    expect(page.get_by_text("SHA-256")).to_be_visible()
    check(page)
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("tab", name=words["live"]).click()
    page.get_by_role("button", name=words["camera_start"]).click()
    expect(page.locator(".chart p").first).to_contain_text(words["emotion_happy"])
    check(page)
    page.get_by_role("button", name=words["stop"]).click()
    page.get_by_role("tab", name=words["video"]).click()
    expect(page.get_by_role("button", name=words["clip_choose"])).to_be_visible()
    check(page)
    page.reload()
    expect(page.get_by_role("tab", name=words["video"])).to_be_visible()
    assert page.evaluate("localStorage.language") == language


def test_labels_of_other_models_stay_as_they_are(visit: Visit, image_file: Path) -> None:
    labels = ["happy", "sad", "Bored!"]
    visit.page.locator("#language").select_option("de")
    answer(visit.page, prediction(face(20, 20, 80, "happy", labels=labels)))
    visit.page.set_input_files("#file", image_file)
    expect(visit.page.locator(".bars span:first-child")).to_have_text(labels)
    expect(visit.page.locator(".summary")).to_have_text("1 Gesicht: 1 happy")


def test_an_unknown_stored_language_is_ignored(visit: Visit) -> None:
    visit.page.evaluate("localStorage.language = 'xx'")
    visit.page.reload()
    expect(visit.page.get_by_role("button", name="Choose images")).to_be_visible()
