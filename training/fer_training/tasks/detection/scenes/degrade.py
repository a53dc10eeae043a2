"""Image degradation: light, camera and compression. Face boxes stay valid."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def degrade(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Degrade an image at random.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        rng: Random generator.
    """
    pixels = _toned(pixels, rng)
    if rng.random() < 0.12:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.15:
        pixels = _lower_resolution(pixels, rng)
    if rng.random() < 0.2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.4)).astype(np.uint8, copy=False)
    if rng.random() < 0.06:
        pixels = _motion_blurred(pixels, rng)
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 16), pixels.shape).astype(np.float32)
        pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        pixels = _compressed(pixels, rng)
    return pixels


def _toned(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Change gain, offset, gamma and colour balance with one lookup table per channel."""
    levels = np.arange(256, dtype=np.float32) / 255
    strong = rng.random() < 0.3
    gamma = np.exp(rng.normal(0, 0.5 if strong else 0.15))
    gain = 1 + rng.normal(0, 0.25 if strong else 0.1)
    offset = rng.normal(0, 0.1 if strong else 0.04)
    channels = 1 + rng.normal(0, 0.06, 3)
    table = ((levels**gamma)[:, None] * gain * channels + offset).clip(0, 1) * 255
    return cv2.LUT(pixels, table.astype(np.uint8)[None]).astype(np.uint8, copy=False)


def _lower_resolution(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    scale = rng.uniform(0.4, 0.9)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _motion_blurred(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = (length - 1) / 2
    start, end = np.rint(middle - reach).astype(int), np.rint(middle + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    return cv2.filter2D(pixels, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)


def _compressed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    quality = int(rng.integers(25, 95))
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
