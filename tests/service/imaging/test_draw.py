import numpy as np
import pytest
from fer_service.imaging.draw import PALETTE, Mark, draw_marks, drawable

from tests.service.conftest import Pixels

RED = PALETTE[0]


def grey(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def mark(left: int, top: int, width: int, height: int, text: str = "happy 93%", **more: bool) -> Mark:
    return Mark((left, top, width, height), (text, text.split()[0], text[:4]), RED, **more)


def drawn(pixels: Pixels, *marks: Mark) -> Pixels:
    draw_marks(pixels, marks)
    return pixels


def touched(pixels: Pixels) -> Pixels:
    return (pixels != 128).any(axis=2)


def coloured(pixels: Pixels) -> Pixels:
    return (pixels == RED).all(axis=2)


def test_the_box_is_drawn_on_its_edges_and_the_face_stays_visible() -> None:
    pixels = drawn(grey(400, 400), mark(100, 120, 80, 90))
    red = coloured(pixels)
    assert red[120, 100:180].all()
    assert red[209, 100:180].all()
    assert red[120:210, 100].all()
    assert red[120:210, 179].all()
    assert not touched(pixels)[126:204, 106:174].any()


def test_a_dashed_box_marks_an_uncertain_face() -> None:
    side = coloured(drawn(grey(400, 400), mark(100, 120, 80, 90, dashed=True)))[209, 100:180]
    assert side[0]
    assert side[-1]
    assert 0.3 < side.mean() < 0.8


@pytest.mark.parametrize(("height", "width"), [(48, 48), (100, 100), (300, 600), (3000, 4000)])
def test_the_label_can_be_read_at_every_size(height: int, width: int) -> None:
    pixels = drawn(grey(height, width), mark(width // 4, height // 2, width // 2, height // 2 - 1))
    above = pixels[: height // 2 - max(height // 100, 1)]
    rows = np.flatnonzero(coloured(above).any(axis=1))
    label = above[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(coloured(label).any(axis=0))
    label = label[:, columns[0] : columns[-1] + 1]
    ink = (label < 60).all(axis=2)
    # Pixels of the short side: readable at the image's own size, and when it is shrunk to a screen.
    assert ink.any(axis=1).sum() >= max(6, 0.011 * min(height, width))
    assert 0.05 < ink.mean() < 0.5
    assert label.shape[1] <= width


@pytest.mark.parametrize(
    "box", [(0, 0, 30, 30), (0, 0, 1, 1), (199, 99, 1, 1), (0, 0, 200, 100), (150, 70, 50, 30), (0, 90, 200, 10)]
)
def test_a_label_always_lies_inside_the_image(box: tuple[int, int, int, int]) -> None:
    text = "surprise 100%"
    alone = drawn(grey(300, 300), mark(100, 200, 50, 50, text))
    area = coloured(alone)[:196].sum()
    pixels = drawn(grey(100, 200), mark(*box, text))
    assert coloured(pixels).sum() >= 0.5 * area


def test_labels_do_not_cover_each_other_where_there_is_room() -> None:
    first, second = mark(100, 120, 80, 90), mark(110, 125, 80, 90)
    both = coloured(drawn(grey(400, 400), first, second))
    label_rows = np.flatnonzero(both[:115, 90:200].any(axis=1))
    assert label_rows.size
    below = both[222:, 90:260]
    assert below.any(), "the second label stands below its box"


def test_a_text_that_is_too_wide_is_shortened() -> None:
    wide, narrow = grey(60, 200), grey(60, 34)
    draw_marks(wide, [mark(2, 30, 20, 20)])
    draw_marks(narrow, [mark(2, 30, 20, 20)])
    assert touched(wide)[:28].any(axis=0).sum() > 34
    assert 0 < touched(narrow)[:28].any(axis=0).sum() <= 34


@pytest.mark.parametrize(
    ("text", "expected"),
    [("happy", "happy"), ("Überraschung", "Uberraschung"), ("радость", "class 3"), ("", "class 3")],
)
def test_a_label_is_reduced_to_ascii(text: str, expected: str) -> None:
    assert drawable(text, "class 3") == expected
