"""Faces in images that are turned by a right angle, such as photographs that lost their EXIF orientation.

The image is searched as it is. If that finds no face, or only a doubtful one, the other orientations are looked
at together in one small image, the sheet. If a face is clearer there, the whole image is searched in that
orientation.
docs/decisions/orientations.md has what this finds and costs.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.boxes import Box, overlap_coefficient
from fer_service.contract.bundle import CropGeometry
from fer_service.contract.job import Job
from fer_service.detection.detector import Detector, Face
from fer_service.detection.resizing import shrunk
from fer_service.detection.scales import Look, Scales
from fer_service.imaging.crop import Square, crop

# An upright face below this score decides nothing, so that a low wanted score seldom turns faces another way.
UPRIGHT_SCORE: Final = 0.6
# The best face of a turned image needs this score, because each orientation is another chance for a false box.
TURNED_SCORE: Final = 0.85
# The view of a face that was found needs only this score, because the face is small in it.
VIEW_SCORE: Final = 0.6
# Its odds, score / (1 - score), must be this multiple of those of the upright view.
ODDS_RATIO: Final = 1.65
# Roll of a face, in degrees clockwise, by the counterclockwise quarter turns that make it upright.
ROLLS: Final = {1: 90, 2: 180, 3: -90}
# Counterclockwise quarter turns of the tiles. Most faces that are upside down are found without a sheet, as if
# they were upright; only the view of them shows which they are. Of the others the scales show weak candidates.
_VIEW_TURNS: Final = (0, 1, 2, 3)
_IMAGE_TURNS: Final = (1, 3)
_DOUBTFUL_TURNS: Final = (1, 2, 3)
_SHEET_CANDIDATES: Final = 0.3  # score
_VIEW_SIDE: Final = 96  # pixels of a square tile about a face
_VIEW_FRAME: Final = 2.0  # side of that square, as a multiple of the box's longer side
_SAME_FACE: Final = 0.5  # share of the smaller of two boxes that lies inside the other
_IMAGE_SHARE: Final = 5  # a tile of the whole image has this fraction of the search's long side


class Orientations:
    """A search that also finds turned faces, behind the `Detector` protocol."""

    def __init__(self, scales: Scales, *, upright_score: float) -> None:
        """Wrap a search.

        Args:
            scales: Search for upright faces.
            upright_score: A face with this score is upright; turned faces rarely reach it.
        """
        self.scales, self.upright_score = scales, upright_score
        self.name, self.side, self.frame_scale = scales.name, scales.side, scales.frame_scale

    @property
    def network(self) -> Detector:
        """The network that makes each look."""
        return self.scales.network

    def around(self, network: Detector) -> "Orientations":
        """Return the same search with another network."""
        return Orientations(self.scales.around(network), upright_score=self.upright_score)

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        """Find the faces of an image (see `Detector.detect`). All of them have the same roll."""
        return self.search(pixels, min_score, job)[0]

    def search(
        self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None
    ) -> tuple[list[Face], list[Look]]:
        """Find the faces of an image; return also what each look showed, in pixels of what was looked at."""
        small = shrunk(pixels, self.side)
        faces, looks = self.scales.search(small, min_score, job)
        best = max((face for face in faces if _score(face) >= UPRIGHT_SCORE), key=_score, default=None)
        for sheet in self._sheets(small, best, list(looks)):
            looks.append(Look(sheet.pixels, 1.0, self.network.detect(sheet.pixels, _SHEET_CANDIDATES, job)))
            if turns := sheet.clearest(looks[-1].candidates):
                turned, more = self.scales.search(_turned(small, turns), min_score, job)
                looks += more
                clearest = max(map(_score, turned), default=0.0)
                if clearest >= max(min_score, TURNED_SCORE) and (best is None or clearest > _score(best)):
                    faces = [unturned(face, turns, small.shape[:2]) for face in turned]
                break
        factors = pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]
        return [face.scaled(*factors) for face in faces], looks

    def _sheets(self, small: NDArray[np.uint8], best: Face | None, looks: list[Look]) -> Iterator["_Sheet"]:
        """Yield the sheets that are worth a look, given the best upright face and what the scales showed."""
        if best is not None and _score(best) >= self.upright_score:
            return
        if best is not None:
            square = Square(*best.box.center, max(best.box.width, best.box.height) * _VIEW_FRAME)
            yield _Sheet(crop(small, square, _VIEW_SIDE, CropGeometry()), _VIEW_TURNS, VIEW_SCORE)
        if best is None or _score(best) < TURNED_SCORE:
            side = self.side // _IMAGE_SHARE
            # Shrinks the smallest scale that is large enough: the whole image would take half as long as the look.
            enough = [look.pixels for look in looks if max(look.pixels.shape[:2]) >= side]
            image = shrunk(min(enough, key=lambda image: image.size, default=small), side)
            is_doubtful = best is None and any(look.candidates for look in looks)
            yield _Sheet(image, _DOUBTFUL_TURNS if is_doubtful else _IMAGE_TURNS, TURNED_SCORE)


def upright(detector: Detector) -> Detector:
    """Return the search for upright faces in a detector that also finds turned ones; any other as it is."""
    return detector.scales if isinstance(detector, Orientations) else detector


def search_all_orientations(
    detector: Detector, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None
) -> list[Face]:
    """Find the faces of every orientation in one image, such as a person who lies next to one who stands.

    This takes four searches, and finds more boxes that hold no face than one search does. Doubtful faces stay.
    """
    search = upright(detector)
    if isinstance(search, Scales):
        search = search.with_doubtful_faces()
    small = shrunk(pixels, search.side)
    faces = search.detect(small, min_score, job)
    for turns in ROLLS:
        turned = search.detect(_turned(small, turns), min_score, job)
        faces += [unturned(face, turns, small.shape[:2]) for face in turned]
    factors = pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]
    return [face.scaled(*factors) for face in _distinct(faces)]


def _distinct(faces: list[Face]) -> list[Face]:
    """Leave out faces that lie over a clearer one."""
    kept: list[Face] = []
    for face in sorted(faces, key=_score, reverse=True):
        others = np.array([other.box for other in kept]).reshape(-1, 4)
        if overlap_coefficient(np.array(face.box), others).max(initial=0) < _SAME_FACE:
            kept.append(face)
    return kept


class _Sheet:
    """An image in several orientations, side by side in one.

    Attributes:
        pixels: uint8 [h, w, 3].
    """

    def __init__(self, image: NDArray[np.uint8], orientations: tuple[int, ...], min_score: float) -> None:
        """Turn the image.

        Args:
            image: uint8 [h, w, 3].
            orientations: Counterclockwise quarter turns of each tile.
            min_score: Minimum score of a face that counts.
        """
        tiles = [np.rot90(image, turns) for turns in orientations]
        self._orientations, self._min_score = orientations, min_score
        self._ends = np.cumsum([tile.shape[1] for tile in tiles])
        self.pixels = np.zeros((max(tile.shape[0] for tile in tiles), self._ends[-1], 3), np.uint8)
        for tile, end in zip(tiles, self._ends, strict=True):
            self.pixels[: tile.shape[0], end - tile.shape[1] : end] = tile

    def clearest(self, candidates: list[Face]) -> int:
        """Return the turns of the tile with the best face, or 0 if it is not better than in the upright tile."""
        scores = dict.fromkeys((0, *self._orientations), 0.0)
        for face in candidates:
            place = int(np.searchsorted(self._ends[:-1], face.box.center[0], side="right"))
            turns = self._orientations[place]
            scores[turns] = max(scores[turns], _score(face))
        best = max(self._orientations, key=scores.__getitem__)
        clear = scores[best] >= self._min_score and _odds(scores[best]) >= ODDS_RATIO * _odds(scores[0])
        return best if clear else 0


def unturned(face: Face, turns: int, size: tuple[int, ...]) -> Face:
    """Return a face of the turned image `np.rot90(image, turns)` in pixels of the image.

    Args:
        face: Face in the turned image.
        turns: Counterclockwise quarter turns, 1 to 3.
        size: Height and width of the image.
    """
    height, width = size

    def back(x: float, y: float) -> tuple[float, float]:
        return {1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[turns]

    left, top, box_width, box_height = face.box
    corners = back(left, top), back(left + box_width, top + box_height)
    (left, right), (top, bottom) = map(sorted, zip(*corners, strict=True))
    return Face(Box(left, top, right - left, bottom - top), face.score, roll=ROLLS[turns])


def _turned(pixels: NDArray[np.uint8], turns: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.rot90(pixels, turns))


def _score(face: Face) -> float:
    return face.score or 0.0


def _odds(score: float) -> float:
    return score / max(1 - score, 1e-6)
