"""Boxes and labels drawn into an image, legible at every size of image and face.

Pillow draws the text. Its built-in font (Aileron) needs no file and has ASCII only.
"""

import functools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# One colour per label, in the bundle's order, repeated if there are more labels. The page's style sheet has the
# same colours.
PALETTE: Final[tuple[Colour, ...]] = (
    (229, 72, 77),
    (70, 167, 88),
    (142, 78, 198),
    (245, 179, 1),
    (62, 130, 247),
    (247, 107, 21),
    (139, 141, 152),
    (214, 64, 159),
    (18, 165, 148),
    (173, 127, 88),
)
_DARK: Final[Colour] = (17, 17, 20)
_LIGHT: Final[Colour] = (255, 255, 255)
_MIN_TEXT_SIZE: Final = 9  # pixels; in smaller text the letters run together
_MIN_OUTLINED_SIDE: Final = 64  # pixels; the dark outline of a box would hide a smaller face


@dataclass(frozen=True)
class Mark:
    """The drawing of one face.

    Attributes:
        box: Left, top, width and height in pixels, inside the image.
        texts: Variants of the label, the longest first; the first one that fits is drawn.
        colour: Colour of the box and of the label's background, RGB.
        dashed: True draws the box with a dashed line.
    """

    box: tuple[int, int, int, int]
    texts: tuple[str, ...]
    colour: Colour
    dashed: bool = False


@dataclass(frozen=True)
class _Area:
    left: int
    top: int
    width: int
    height: int

    def overlaps(self, other: "_Area") -> bool:
        apart_x = self.left >= other.left + other.width or other.left >= self.left + self.width
        apart_y = self.top >= other.top + other.height or other.top >= self.top + self.height
        return not (apart_x or apart_y)


def draw_marks(pixels: NDArray[np.uint8], marks: Sequence[Mark]) -> None:
    """Draw marks into an image, in place and without a copy of it.

    A label is placed above its box; if there is no room, below or inside it. All boxes are drawn before the first
    label, so that no line crosses a text.

    Args:
        pixels: uint8 [H, W, 3], RGB, writable.
        marks: Marks; the labels are placed in this order.
    """
    for mark in marks:
        _draw_box(pixels, mark)
    taken: list[_Area] = []
    for mark in marks:
        taken.append(_draw_label(pixels, mark, taken))


def drawable(text: str, fallback: str) -> str:
    """Reduce a text to ASCII, which the font has, without accents; return `fallback` if nothing is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().strip()
    return plain or fallback


def _draw_box(pixels: NDArray[np.uint8], mark: Mark) -> None:
    left, top, width, height = mark.box
    line = _line_width(pixels, mark)
    corners = (left, top), (left + width - 1, top), (left + width - 1, top + height - 1), (left, top + height - 1)
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    strokes = [(mark.colour, line)]
    if min(width, height) >= _MIN_OUTLINED_SIDE:
        strokes.insert(0, (_DARK, line + 2))
    for colour, thickness in strokes:
        for begin, end in sides:
            for a, b in _dashes(begin, end, 6 * line) if mark.dashed else [(begin, end)]:
                cv2.line(pixels, a, b, colour, thickness)


def _dashes(
    begin: tuple[int, int], end: tuple[int, int], length: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Split a side into an odd number of equal parts and return every other one, so that corners are drawn."""
    total = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]))
    parts = max(total // max(length, 1) // 2 * 2 + 1, 3)
    points = [
        (round(begin[0] + (end[0] - begin[0]) * n / parts), round(begin[1] + (end[1] - begin[1]) * n / parts))
        for n in range(parts + 1)
    ]
    yield from zip(points[0::2], points[1::2], strict=True)


def _line_width(pixels: NDArray[np.uint8], mark: Mark) -> int:
    by_image = round(_short_side(pixels) / 250)
    return max(min(by_image, min(mark.box[2:]) // 16), 1)


def _short_side(pixels: NDArray[np.uint8]) -> int:
    return int(min(pixels.shape[:2]))


def _text_size(pixels: NDArray[np.uint8], mark: Mark) -> int:
    """Return the text size in pixels: a sixth of the face's height, within limits that depend on the image."""
    short = _short_side(pixels)
    smallest = max(short * 0.016, _MIN_TEXT_SIZE)
    return round(max(min(mark.box[3] / 6, short * 0.05), smallest))


def _draw_label(pixels: NDArray[np.uint8], mark: Mark, taken: Sequence[_Area]) -> _Area:
    size = _text_size(pixels, mark)
    mask = next(_masks(mark.texts, size, pixels.shape[1]))
    height, width = min(mask.shape[0], pixels.shape[0]), min(mask.shape[1], pixels.shape[1])
    places = [_Area(*place, width, height) for place in _places(pixels, mark, width, height)]
    area = next((place for place in places if not any(map(place.overlaps, taken))), places[0])
    ink = np.array(_ink_on(mark.colour), np.float32)
    alpha = mask[:height, :width, None].astype(np.float32) / 255
    blended = np.array(mark.colour, np.float32) * (1 - alpha) + ink * alpha
    pixels[area.top : area.top + height, area.left : area.left + width] = blended.round().astype(np.uint8)
    return area


def _masks(texts: Sequence[str], size: int, room: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the texts that fit into `room` pixels, and finally the shortest text in the smallest size."""
    for text in texts:
        mask = _text_mask(text, size)
        if mask.shape[1] <= room:
            yield mask
    yield _text_mask(texts[-1], _MIN_TEXT_SIZE)


def _places(pixels: NDArray[np.uint8], mark: Mark, width: int, height: int) -> Iterable[tuple[int, int]]:
    """Return positions (left, top) for the label, the best first: above, below, inside top, inside bottom."""
    left, top, _, box_height = mark.box
    edge = _line_width(pixels, mark)
    x = min(max(left - edge, 0), pixels.shape[1] - width)
    lowest = pixels.shape[0] - height
    outside = [y for y in (top - edge - height, top + box_height + edge) if 0 <= y <= lowest]
    inside = [min(max(y, 0), lowest) for y in (top, top + box_height - height)]
    return [(x, y) for y in (*outside, *inside)]


def _ink_on(colour: Colour) -> Colour:
    """Return the dark or the light colour, the one with more contrast (WCAG 2.2, relative luminance)."""
    red, green, blue = ((level / 255) ** 2.2 for level in colour)
    return _DARK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else _LIGHT


@functools.lru_cache(maxsize=256)
def _text_mask(text: str, size: int) -> NDArray[np.uint8]:
    """Render a text with a margin: uint8 [h, w], 0 to 255."""
    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    # Letters with ascenders and descenders, so that all labels of a size have the same height.
    _, top, _, bottom = font.getbbox("hpy%")
    margin = max(round(size * 0.25), 1)
    width, height = round(right - left) + 2 * margin, round(bottom - top) + 2 * margin
    image = Image.new("L", (width, height), 0)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, font=font, fill=255)
    mask = np.asarray(image)
    mask.setflags(write=False)
    return mask
