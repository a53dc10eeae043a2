import pytest
from fer_service.imaging.header import Header


@pytest.mark.parametrize(
    ("side", "expected"),
    [(5000, 1), (4000, 1), (2001, 1), (2000, 2), (1001, 2), (1000, 4), (501, 4), (500, 8), (640, 4), (1, 8)],
)
def test_the_reduction_leaves_the_long_side_long_enough(side: int, expected: int) -> None:
    assert Header("JPEG", 4000, 3000).reduction(side) == expected
    assert Header("JPEG", 3000, 4000, 6).reduction(side) == expected


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_only_jpegs_are_reduced(kind: str) -> None:
    assert Header(kind, 4000, 3000).reduction(64) == 1


def test_every_pixel_of_a_file_without_an_end_is_decoded() -> None:
    assert Header("JPEG", 4000, 3000, unterminated=True).reduction(64) == 1
