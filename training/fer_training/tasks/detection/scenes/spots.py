"""Decoys: soft round spots on a plain background, such as lamps, bubbles and stars."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def spot_image(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Draw an image with 3 to 40 spots, uint8 [H, W, 3]. Half of the images have a dark background."""
    canvas = _ground(rng, width, height)
    for _ in range(int(rng.integers(3, 41))):
        _add(canvas, rng, rng.uniform(0, width), rng.uniform(0, height), np.exp(rng.uniform(0.7, 3.6)))
    return canvas.clip(0, 255).astype(np.uint8)


def spot_tile(rng: np.random.Generator, side: int) -> Pixels:
    """Draw a square filled by one spot, with up to two smaller spots on it, uint8 [side, side, 3]."""
    canvas = _ground(rng, side, side)
    _add(canvas, rng, side / 2, side / 2, side * rng.uniform(0.25, 0.45))
    for _ in range(int(rng.integers(0, 3))):
        x, y = rng.uniform(0.3, 0.7, 2) * side
        _add(canvas, rng, x, y, side * rng.uniform(0.05, 0.2))
    return canvas.clip(0, 255).astype(np.uint8)


def _ground(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    colour = _colour(rng, 0, 40 if rng.random() < 0.5 else 230)
    return np.broadcast_to(colour, (height, width, 3)).copy()


def _colour(rng: np.random.Generator, darkest: float, brightest: float) -> NDArray[np.float32]:
    return (rng.uniform(darkest, brightest) * (1 + rng.normal(0, 0.2, 3))).clip(0, 255).astype(np.float32)


def _add(canvas: NDArray[np.float32], rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    """Blend in a spot with the opacity exp(-d^p): a soft star for small p, a disc for large p."""
    height, width = canvas.shape[:2]
    reach = 2.5 * radius + 2
    left, right = max(int(x - reach), 0), min(int(x + reach) + 1, width)
    top, bottom = max(int(y - reach), 0), min(int(y + reach) + 1, height)
    if right <= left or bottom <= top:
        return
    angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    across, down = np.arange(left, right) - x, (np.arange(top, bottom) - y)[:, None]
    along = (across * np.cos(angle) + down * np.sin(angle)) / radius
    perpendicular = (down * np.cos(angle) - across * np.sin(angle)) / (radius * aspect)
    distance = np.sqrt(along**2 + perpendicular**2)
    share = (rng.uniform(0.4, 1.0) * np.exp(-(distance ** rng.uniform(1.2, 6.0))))[..., None].astype(np.float32)
    rim = _colour(rng, 60, 230)
    core = (rim + rng.uniform(-60, 160)).clip(0, 255)
    colour = rim + (core - rim) * np.exp(-((distance / 0.5) ** 2))[..., None].astype(np.float32)
    window = canvas[top:bottom, left:right]
    window += (colour - window) * share
