"""Decoys: letters, strokes and shapes on a plain background, as on signs, badges and clothes."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
_FINE = 4  # supersampling factor, for smooth edges
_SIGNS = "ABCDEFGHJKLMNOPQRSTUVWXYZabdefghkmnpqrstuwxyz0123456789@&%#?!+*"
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def sign_tile(rng: np.random.Generator, side: int) -> Pixels:
    """Draw a sign on a square of one colour, uint8 [side, side, 3]: letters, or up to eight strokes or shapes."""
    size = side * _FINE
    canvas = np.full((size, size, 3), rng.integers(0, 256, 3), np.uint8)
    inks = [tuple(int(level) for level in rng.integers(0, 256, 3)) for _ in range(int(rng.integers(1, 4)))]
    draw = (_letters, _strokes, _shape)[int(rng.integers(3))]
    for _ in range(1 if draw is _letters else int(rng.integers(2, 9))):
        draw(canvas, rng, inks[int(rng.integers(len(inks)))])
        if rng.random() < 0.2:
            _shape(canvas, rng, inks[int(rng.integers(len(inks)))])
    return cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _letters(canvas: Pixels, rng: np.random.Generator, ink: tuple[int, ...]) -> None:
    text = "".join(rng.choice(list(_SIGNS), int(rng.integers(1, 4))))
    font, bold = _FONTS[int(rng.integers(len(_FONTS)))], int(rng.integers(1, 5))
    (width, height), _ = cv2.getTextSize(text, font, 1, bold)
    share = rng.uniform(0.4, 0.8) * len(canvas) / max(width, height)
    corner = (round((len(canvas) - width * share) / 2), round((len(canvas) + height * share) / 2))
    cv2.putText(canvas, text, corner, font, share, ink, max(round(bold * share), 1), cv2.LINE_AA)


def _strokes(canvas: Pixels, rng: np.random.Generator, ink: tuple[int, ...]) -> None:
    """Draw a horizontal or vertical stroke, sometimes a slanted one, as in Chinese characters."""
    start = rng.uniform(0.15, 0.85, 2)
    reach = np.zeros(2)
    reach[int(rng.integers(2))] = rng.uniform(0.2, 0.6)
    if rng.random() < 0.3:
        reach = rng.uniform(-0.4, 0.4, 2)
    ends = np.rint(np.stack([start, start + reach]).clip(0.1, 0.9) * len(canvas)).astype(int)
    thick = max(round(rng.uniform(0.02, 0.1) * len(canvas)), 1)
    cv2.line(canvas, ends[0].tolist(), ends[1].tolist(), ink, thick, cv2.LINE_AA)


def _shape(canvas: Pixels, rng: np.random.Generator, ink: tuple[int, ...]) -> None:
    """Draw an ellipse, a rectangle or a triangle, filled or as an outline."""
    centre, half = rng.uniform(0.25, 0.75, 2) * len(canvas), rng.uniform(0.05, 0.4, 2) * len(canvas)
    thick = -1 if rng.random() < 0.5 else max(round(rng.uniform(0.01, 0.08) * len(canvas)), 1)
    kind = rng.integers(3)
    if kind == 0:
        axes = np.rint(half).astype(int).tolist()
        cv2.ellipse(canvas, np.rint(centre).astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, ink, thick)
    elif kind == 1:
        low, high = (np.rint(centre + sign * half).astype(int).tolist() for sign in (-1, 1))
        cv2.rectangle(canvas, low, high, ink, thick)
    else:
        corners = np.rint(centre + half * rng.uniform(-1, 1, (3, 2))).astype(np.int32)
        if thick < 0:
            cv2.fillPoly(canvas, [corners], ink)
        else:
            cv2.polylines(canvas, [corners], isClosed=True, color=ink, thickness=thick)
