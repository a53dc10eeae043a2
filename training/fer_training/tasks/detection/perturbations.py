"""Perturbations of photographs for evaluation: rotation, half size, noise and occluded faces."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from fer_training.tasks.detection.boxes import transform_boxes
from fer_training.tasks.detection.photographs import Photograph

_NOISE = 20.0  # standard deviation in levels
_QUALITY = 25  # JPEG quality
_COVER = 128


def rotate(photo: Photograph, degrees: float) -> Photograph:
    """Rotate the photograph about its centre, on a canvas that holds all of it."""
    height, width = photo.pixels.shape[:2]
    affine = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), np.float64)
    cos, sin = abs(affine[0, 0]), abs(affine[0, 1])
    size = (round(width * cos + height * sin), round(width * sin + height * cos))
    affine[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    pixels = cv2.warpAffine(photo.pixels, affine, size).astype(np.uint8, copy=False)
    return replace(photo, pixels=pixels, boxes=transform_boxes(photo.boxes, affine))


def halve(photo: Photograph) -> Photograph:
    """Shrink the photograph to half its size."""
    return photo.shrunk(max(photo.pixels.shape[:2]) // 2)


def add_noise(photo: Photograph) -> Photograph:
    """Darken the photograph, add noise, and compress it."""
    rng = np.random.default_rng(len(photo.pixels))
    noise = rng.normal(0, _NOISE, photo.pixels.shape)
    pixels = (photo.pixels * 0.6 + noise).clip(0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return replace(photo, pixels=np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8))


def cover_half(photo: Photograph) -> Photograph:
    """Cover the left half of every bare face with grey."""
    pixels = photo.pixels.copy()
    for left, top, right, bottom in photo.boxes[photo.bare].clip(0).astype(int):
        pixels[top:bottom, left : (left + right) // 2] = _COVER
    return replace(photo, pixels=pixels)


PERTURBATIONS: dict[str, Callable[[Photograph], Photograph]] = {
    "rotated 30°": lambda photo: rotate(photo, 30),
    "rotated 45°": lambda photo: rotate(photo, -45),
    "half size": halve,
    "noisy": add_noise,
    "half occluded": cover_half,
}


def perturbation(name: str, photographs: Sequence[Photograph]) -> list[Photograph]:
    """Apply a perturbation of `PERTURBATIONS` to photographs."""
    return [PERTURBATIONS[name](photo) for photo in photographs]
