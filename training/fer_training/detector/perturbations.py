"""Harder versions of photographs: turned, small, noisy and covered faces, whose places stay known."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from fer_training.detector.boxes import moved
from fer_training.detector.photographs import Photograph

_NOISE = 20.0  # levels, the deviation
_QUALITY = 25  # of the JPEG
_COVER = 128


def turned(photo: Photograph, degrees: float) -> Photograph:
    """The photograph turned about its middle, on a canvas that holds all of it."""
    height, width = photo.pixels.shape[:2]
    affine = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), np.float64)
    cos, sin = abs(affine[0, 0]), abs(affine[0, 1])
    size = (round(width * cos + height * sin), round(width * sin + height * cos))
    affine[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    pixels = cv2.warpAffine(photo.pixels, affine, size).astype(np.uint8, copy=False)
    return replace(photo, pixels=pixels, boxes=moved(photo.boxes, affine))


def halved(photo: Photograph) -> Photograph:
    """The photograph at half its size."""
    return photo.shrunk(max(photo.pixels.shape[:2]) // 2)


def noisy(photo: Photograph) -> Photograph:
    """The photograph in poor light: noise, and much compressed."""
    rng = np.random.default_rng(len(photo.pixels))
    noise = rng.normal(0, _NOISE, photo.pixels.shape)
    pixels = (photo.pixels * 0.6 + noise).clip(0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return replace(photo, pixels=np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8))


def half_covered(photo: Photograph) -> Photograph:
    """The left half of every bare face under a grey sheet."""
    pixels = photo.pixels.copy()
    for left, top, right, bottom in photo.boxes[photo.bare].clip(0).astype(int):
        pixels[top:bottom, left : (left + right) // 2] = _COVER
    return replace(photo, pixels=pixels)


TRIALS: dict[str, Callable[[Photograph], Photograph]] = {
    "turned 30°": lambda photo: turned(photo, 30),
    "turned 45°": lambda photo: turned(photo, -45),
    "half size": halved,
    "noisy": noisy,
    "half covered": half_covered,
}


def perturbation(name: str, photographs: Sequence[Photograph]) -> list[Photograph]:
    """The photographs of a perturbation, by its name in `TRIALS`."""
    return [TRIALS[name](photo) for photo in photographs]
