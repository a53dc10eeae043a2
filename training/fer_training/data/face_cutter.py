"""Faces cut out of photographs, as the service frames them for its models."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from fer_service import assets
from fer_service.analysis.loading import default_pipeline
from fer_service.analysis.options import Options
from fer_service.analysis.preparation import Preparer
from fer_service.classification.classifier import open_classifier
from fer_service.contract.errors import RequestError
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import check_format, open_image
from fer_service.system.files import fits_a_name, name_of_its_own, write_atomically
from numpy.typing import NDArray

from fer_training.data.images import MAX_PIXELS
from fer_training.data.tree import refuse_output_inside, scan
from fer_training.errors import DataError

_SIDE: Final = 96  # pixels of a face
_SCORE: Final = 0.6  # of a face
_HEAD_BYTES: Final = 4096


class FaceCutter:
    """Finds the largest face of an image and cuts it out as the service does."""

    def __init__(self, detector: str) -> None:
        """Load the detector, a value of FER_DETECTOR."""
        classifier = open_classifier(assets.model_file("bundled", int8=True), "cpu", 1)
        analyzer = default_pipeline(classifier, detector)
        metadata = classifier.bundle.metadata.model_copy(update={"input_size": _SIDE})
        self._preparer = Preparer(analyzer.detector, analyzer.landmarks, analyzer.limits, metadata)

    def face(self, pixels: NDArray[np.uint8], *, turned: bool) -> NDArray[np.uint8] | None:
        """Return the largest face uint8 [96, 96, 3], RGB, or None.

        Args:
            pixels: uint8 [H, W, 3], RGB.
            turned: Also find faces in images that are rotated by 90, 180 or 270 degrees.
        """
        options = Options(max_faces=1, min_score=_SCORE, turned=turned)
        return next(iter(self._preparer.prepare_pixels(pixels, options).crops), None)


def write_face(path: Path, face: NDArray[np.uint8]) -> None:
    """Write a face uint8 [S, S, 3], RGB, as a PNG file; its folder is created."""
    _, png = cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_RGB2BGR))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png.tobytes())


def cut_photographs(
    folder: Path, out: Path, *, detector: str, done: Callable[[], None] = lambda: None
) -> Counter[str]:
    """Write the largest face of each image of a folder to the same place below `out`, as PNG.

    Of several files whose names differ by their suffixes, the names of the later ones get a hash.

    Args:
        folder: Images, in folders of classes and splits or not.
        out: Folder to write; created if missing.
        detector: Detector, as in FER_DETECTOR.
        done: Called after each file.

    Returns:
        Number of `faces`, and of what was left out.

    Raises:
        DataError: The folder cannot be opened or has no image, `out` lies in it, or a face could replace an image.
    """
    refuse_output_inside(out, folder)
    tree = scan(folder)
    originals = {os.path.realpath(file.path.parent) for file in tree.files}
    originals |= {str(Path(os.path.realpath(file.path)).parent) for file in tree.files}  # that links name
    for place in {out / file.path.relative_to(folder).parent for file in tree.files}:
        if os.path.realpath(place) in originals:
            raise DataError(f"--out {out}: a face could replace a photograph in {place}: choose another folder")
    cutter, counts, written = FaceCutter(detector), Counter[str](), set[str]()
    for file in tree.files:
        name = file.path.relative_to(folder)
        try:
            image = open_image(_content(file.path), MAX_PIXELS)
            face = cutter.face(decode(image.data, image.header), turned=True)
        except (RequestError, OSError):
            counts["other or damaged files"] += 1
        else:
            counts["faces" if face is not None else "images without a face"] += 1
            if face is not None:
                path = out / name.with_suffix(".png")
                if str(path).casefold() in written or not fits_a_name(path.name):
                    path = name_of_its_own(file.path, path, written)
                write_face(path, face)
                written.add(str(path).casefold())
        done()
    counts["files that cannot be read"] += len(tree.unreadable)
    if not counts["faces"]:
        raise DataError(f"{folder}: no image with a face ({counts.total():,} files)")
    return +counts


def _content(path: Path) -> bytes:
    """Return the content of a file that begins like an image.

    Raises:
        RequestError: it begins otherwise, such as a video.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        check_format(head)
        return head + file.read()
