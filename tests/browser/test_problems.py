"""Errors of images in the words of the page, and when trying again is offered."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.predictions import fail

MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(64)
CONTENTS = {
    "clip.mp4": (MP4, "This is a video: use the Video tab."),
    "clip.jpg": (b"\x1aE\xdf\xa3" + bytes(64), "This is a video: use the Video tab."),
    "film.avi": (b"RIFF\x10\0\0\0AVI LIST" + bytes(64), "This is a video: use the Video tab."),
    "scan.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "This is a PDF document. Save the page as PNG or JPEG"),
    "photo.heic": (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "This HEIC image cannot be read. Export it as JPEG",
    ),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "does not read this image format"),
    "art.psd": (b"8BPS\0\1" + bytes(64), "does not read this image format"),
    "photo.cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(64), "This is a camera raw file."),
    "photos.zip": (b"PK\x03\x04\x14\0" + bytes(64), "This is an archive or a document."),
    "song.mp3": (b"ID3\x04\0\0" + bytes(64), "This is a sound file, not an image."),
    "notes.jpg": (b"Dear diary", "This is a text file, not an image."),
    "cut.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1", "This image is damaged or incomplete."),
    "noise.jpg": (bytes(range(1, 200)), "This is not an image that the service reads."),
    "nothing.jpg": (b"", "This file is empty."),
}


def forgive(visit: Visit) -> None:
    """Accept the errors that the browser logs for failed requests, and no others."""
    assert [error for error in visit.errors if "Failed to load resource" not in error] == []
    visit.errors.clear()


def shown_error(page: Page, path: Path) -> str:
    page.set_input_files("#file", path)
    alert = page.get_by_role("article", name=path.name).get_by_role("alert")
    expect(alert).to_be_visible()
    return alert.inner_text()


def test_a_file_that_is_no_image_is_named_with_the_way_out(
    visit: Visit, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for name, (content, words) in CONTENTS.items():
        with subtests.test(name):
            path = tmp_path / name
            path.write_bytes(content)
            assert words in shown_error(visit.page, path)
    expect(visit.page.get_by_role("button", name="Try again")).to_have_count(0)
    forgive(visit)


def test_a_video_is_not_uploaded_as_an_image(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4)
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown_error(visit.page, path)
    assert [url for url in asked if "predict" in url] == []


# By status and code: words of the page, and whether it offers to try again.
PROBLEMS = {
    (400, "invalid_request"): ("Words of the service", False),
    (403, "forbidden"): ("Words of the service", False),
    (408, "request_too_slow"): ("The service took too long", True),
    (413, "image_too_large"): ("more bytes or pixels than the service accepts", False),
    (413, "too_many_pixels"): ("more bytes or pixels than the service accepts", False),
    (422, "invalid_parameter"): ("Words of the service", False),
    (429, "overloaded"): ("The service is busy", True),
    (429, "preempted"): ("The service is busy", True),
    (500, "internal_error"): ("The service had an internal error", False),
    (503, "not_ready"): ("The service is not ready", True),
    (503, "draining"): ("The service is not ready", True),
    (504, "deadline_exceeded"): ("The service took too long", True),
}


def test_trying_again_is_offered_where_it_can_help(
    visit: Visit, image_file: Path, subtests: pytest.Subtests
) -> None:
    page = visit.page
    for (status, code), (words, again) in PROBLEMS.items():
        with subtests.test(code):
            image = image_file.with_name(f"{code}.jpg")
            image.write_bytes(image_file.read_bytes())
            fail(page, status, code)
            text = shown_error(page, image)
            assert words in text
            assert code in text
            page.unroute("**/predict")
            card = page.get_by_role("article", name=image.name)
            expect(card.get_by_role("button", name="Try again")).to_have_count(int(again))
            if again:
                card.get_by_role("button", name="Try again").click()
                expect(card.get_by_role("heading", name="Face 1 happy")).to_be_visible()
    forgive(visit)
