"""Generator of training images from photographs, pasted faces and decoys."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_training.tasks.detection.boxes import Boxes, areas, clip_boxes, intersections, no_boxes, transform_boxes
from fer_training.tasks.detection.photographs import Photograph
from fer_training.tasks.detection.recipe import SceneConfig
from fer_training.tasks.detection.scenes.crowds import CrowdAssets, add_crowd
from fer_training.tasks.detection.scenes.degrade import degrade
from fer_training.tasks.detection.scenes.paste import BOX_HEIGHT, Place, paste, soft_mask, tint
from fer_training.tasks.detection.scenes.spots import spot_image
from fer_training.tasks.detection.scenes.tiles import Pixels, Tiles, mean_colour, size_of

_MIN_VISIBLE = 0.4  # faces with a smaller visible fraction are ignored in the loss
_MIN_HEIGHT = 7.0  # faces of a smaller height in pixels are ignored in the loss


@dataclass(frozen=True)
class TrainingImage:
    """A generated training image.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        boxes: float32 [n, 4], faces.
        ignored: float32 [m, 4], regions that count neither as face nor as background.
    """

    pixels: Pixels
    boxes: Boxes
    ignored: Boxes


class SceneGenerator:
    """Generates training images. An image depends only on the random generator passed in."""

    def __init__(
        self, config: SceneConfig, photographs: Sequence[Photograph], faces: Pixels, negatives: Sequence[Pixels]
    ) -> None:
        """Set up the generator.

        Args:
            config: Scene settings of the recipe.
            photographs: Photographs with face boxes.
            faces: uint8 [N, S, S], grey tiles, each filled by one upright face.
            negatives: Images without people, uint8 [H, W, 3].
        """
        self._config = config
        self._photographs = photographs
        self._negatives = negatives
        self._tiles = Tiles(config, photographs, faces, negatives)
        # Most photographs show only masked faces.
        self._with_bare = [photo for photo in photographs if photo.bare.any()]

    def generate(self, rng: np.random.Generator, side: int) -> TrainingImage:
        """Generate a square image with a side of `side` pixels."""
        four = rng.random() < self._config.mosaic
        made = self._mosaic(rng, side) if four else self._view(rng, side, side)
        for box in made.boxes:
            if rng.random() < self._config.cover:
                self._cover(made.pixels, box, rng)
        worse = rng.random() < self._config.degrade
        return TrainingImage(degrade(made.pixels, rng) if worse else made.pixels, made.boxes, made.ignored)

    def _mosaic(self, rng: np.random.Generator, side: int) -> TrainingImage:
        """Generate a mosaic of four views (Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, section 3.3)."""
        x, y = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
        pixels = np.empty((side, side, 3), np.uint8)
        boxes, ignored = [], []
        for left, top, right, bottom in ((0, 0, x, y), (x, 0, side, y), (0, y, x, side), (x, y, side, side)):
            part = self._view(rng, right - left, bottom - top)
            pixels[top:bottom, left:right] = part.pixels
            shift = np.array([left, top, left, top], np.float32)
            boxes.append(part.boxes + shift)
            ignored.append(part.ignored + shift)
        return TrainingImage(pixels, np.concatenate(boxes), np.concatenate(ignored))

    def _view(self, rng: np.random.Generator, width: int, height: int) -> TrainingImage:
        """Generate a view: a photograph or an image without people, with pasted faces and decoys."""
        if rng.random() < self._config.empty:
            pixels, faces, bare, turn = *self._background(rng, width, height), np.empty(0, bool), 0.0
        else:
            pixels, faces, bare, turn = self._photographed(rng, width, height)
        for number in np.flatnonzero(~bare):
            if rng.random() < self._config.unmask:
                faces[number] = self._unmask(pixels, faces[number], turn, rng)
        if rng.random() < self._config.crowd:
            assets = CrowdAssets(face=lambda: self._tiles.face(rng), cloth=lambda: self._tiles.texture(rng))
            crowd = add_crowd(pixels, faces, self._config.smallest, assets, rng)
            return _split_by_visibility(pixels, crowd.boxes, crowd.seen)
        taken = clip_boxes(faces, width, height)
        for is_face in [True] * rng.poisson(self._config.pastes) + [False] * rng.poisson(self._config.decoys):
            place = self._free_place(rng, width, height, taken)
            if place is None:
                continue
            tile = self._tiles.face(rng) if is_face else self._tiles.decoy(rng)
            paste(pixels, tile, place, soft_mask(rng))
            taken = np.concatenate([taken, place.box()])
            if is_face:
                faces = np.concatenate([faces, place.box()])
        return _split_by_visibility(pixels, faces)

    def _photographed(
        self, rng: np.random.Generator, width: int, height: int
    ) -> tuple[Pixels, Boxes, NDArray[np.bool_], float]:
        """Rotate, scale and crop a random photograph.

        Returns:
            Pixels, boxes, mask of bare faces, and rotation in degrees.
        """
        bare = bool(self._with_bare) and rng.random() < self._config.bare
        among = self._with_bare if bare else self._photographs
        photo = among[int(rng.integers(len(among)))]
        boxes = photo.boxes[photo.bare] if bare else photo.boxes
        turn = float(rng.uniform(-1, 1)) * self._config.rotate if rng.random() < 0.35 else float(rng.normal(0, 4))
        rows, columns = photo.pixels.shape[:2]
        # Minimum scale at which the photograph fills most of the image.
        least = 0.85 * max(width / columns, height / rows)
        if len(boxes) and rng.random() < 0.85:
            box = boxes[rng.integers(len(boxes))]
            tallest = 0.95 * min(width, height)
            wanted = np.exp(rng.uniform(np.log(self._config.smallest), np.log(tallest)))
            scale = float(np.clip(wanted / (box[3] - box[1]), least, max(least, 3.0)))
            centre = (box[:2] + box[2:]) / 2
            target = np.array([width, height]) * rng.uniform(0.15, 0.85, 2)
        else:
            scale = least * float(rng.uniform(1, 1.6))
            centre, target = np.array([columns, rows]) * rng.uniform(0.3, 0.7, 2), np.array([width, height]) / 2
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        pixels, affine = _warped(photo.pixels, centre, target, scale, turn, mirror, (width, height), rng)
        return pixels, transform_boxes(photo.boxes, affine), photo.bare, turn

    def _background(self, rng: np.random.Generator, width: int, height: int) -> tuple[Pixels, Boxes]:
        if rng.random() < 0.25:
            return spot_image(rng, width, height), no_boxes()
        image = self._negatives[int(rng.integers(len(self._negatives)))]
        rows, columns = image.shape[:2]
        scale = max(width / columns, height / rows) * float(rng.uniform(0.8, 2.5))
        centre = np.array([columns, rows]) * rng.uniform(0.2, 0.8, 2)
        middle = np.array([width, height]) / 2
        # Half of them upright, as in use; the others at any angle, because there are few of these images.
        turn = float(rng.normal(0, 4) if rng.random() < 0.5 else rng.uniform(-180, 180))
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        return _warped(image, centre, middle, scale, turn, mirror, (width, height), rng)[0], no_boxes()

    def _unmask(self, pixels: Pixels, box: Boxes, turn: float, rng: np.random.Generator) -> Boxes:
        """Paste a bare face over a masked face. Return its box."""
        x, y = (box[:2] + box[2:]) / 2
        side = float(box[3] - box[1]) / BOX_HEIGHT * float(rng.uniform(1.0, 1.2))
        forehead = clip_boxes(
            np.array([[*box[:2], box[2], box[1] + (box[3] - box[1]) * 0.35]], np.float32), *size_of(pixels)
        )
        colour = mean_colour(pixels, forehead[0])
        if colour is None:
            tile = self._tiles.face(rng)
        else:
            tile = tint(self._tiles.grey_face(rng), colour, float(rng.uniform(0.7, 1.1)))
        place = Place(float(x), float(y), side, turn + float(rng.normal(0, 5)), bool(rng.random() < 0.5))
        paste(pixels, tile, place, soft_mask(rng))
        (pasted,) = place.box()
        return np.asarray(pasted, np.float32)

    def _free_place(self, rng: np.random.Generator, width: int, height: int, taken: Boxes) -> Place | None:
        """Find a place that overlaps no box in `taken`, in at most six tries. Return None if there is none."""
        for _ in range(6):
            tallest = 0.95 * min(width, height)
            side = float(np.exp(rng.uniform(np.log(self._config.smallest), np.log(tallest)))) / BOX_HEIGHT
            turn = rng.uniform(-1, 1) * self._config.rotate if rng.random() < 0.35 else rng.normal(0, 8)
            x, y = rng.uniform(0.02, 0.98) * width, rng.uniform(0.02, 0.98) * height
            if rng.random() < self._config.cut:
                x = rng.integers(2) * width + rng.uniform(-0.2, 0.2) * side
            place = Place(float(x), float(y), side, float(turn), bool(rng.random() < 0.5))
            smaller = np.minimum(areas(place.box())[:, None], areas(taken)[None])
            if not (intersections(place.box(), taken) > 0.1 * smaller).any():
                return place
        return None

    def _cover(self, pixels: Pixels, box: Boxes, rng: np.random.Generator) -> None:
        """Cover up to half of a face from one side with a texture."""
        left, top, right, bottom = box
        share, edge = rng.uniform(0.15, 0.5), rng.integers(4)
        if edge < 2:
            reach = (right - left) * share
            left, right = (left, left + reach) if edge == 0 else (right - reach, right)
        else:
            reach = (bottom - top) * share
            top, bottom = (top, top + reach) if edge == 2 else (bottom - reach, bottom)
        x0, y0, x1, y1 = np.rint(
            clip_boxes(np.array([[left, top, right, bottom]], np.float32), *size_of(pixels))[0]
        )
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        piece = cv2.resize(self._tiles.texture(rng), (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_LINEAR)
        pixels[int(y0) : int(y1), int(x0) : int(x1)] = piece


def _split_by_visibility(
    pixels: Pixels, faces: Boxes, visible: NDArray[np.float32] | None = None
) -> TrainingImage:
    """Split the faces into targets and ignored faces (too small, outside the image, or hidden)."""
    seen = clip_boxes(faces, *size_of(pixels))
    share = areas(seen) / np.maximum(areas(faces), 1e-6)
    if visible is not None:
        share = np.minimum(share, visible)
    counts = (
        (share >= _MIN_VISIBLE)
        & (seen[:, 3] - seen[:, 1] >= _MIN_HEIGHT)
        & (seen[:, 2] - seen[:, 0] >= _MIN_HEIGHT * 0.6)
    )
    partly = (share > 0.02) & ~counts
    return TrainingImage(pixels, seen[counts], seen[partly])


def _warped(
    image: Pixels,
    centre: NDArray[np.floating],
    target: NDArray[np.floating],
    scale: float,
    turn: float,
    mirror: float,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Pixels, NDArray[np.float64]]:
    """Warp an image so that `centre` moves to `target`. Return it with the affine map [2, 3]."""
    before = min(scale, 1.0) if scale < 0.8 else 1.0
    if before < 1:
        # Shrink by area averaging first: warping a much larger image aliases.
        image = cv2.resize(image, None, fx=before, fy=before, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([mirror, 1.0])
    linear = rotation * scale
    affine = np.concatenate([linear, (target - linear @ centre)[:, None]], axis=1)
    used = affine.copy()
    used[:, :2] /= before
    border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REPLICATE
    colour = [int(level) for level in rng.integers(0, 256, 3)]
    warped = cv2.warpAffine(image, used, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour)
    return warped.astype(np.uint8, copy=False), affine
