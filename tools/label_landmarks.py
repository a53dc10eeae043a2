# /// script
# requires-python = ">=3.10,<3.13"
# dependencies = ["mediapipe==0.10.14", "pyarrow>=20"]
# ///
"""Label five landmarks of FER-2013's faces, for `fer-train train landmarks`: MediaPipe's face mesh finds them.

    uv run --script tools/label_landmarks.py fer2013.parquet landmarks.csv

The images are grey and 48×48 pixels: a folder of files, the challenge's CSV file (column `pixels`), or a parquet
file (column `image`). Faces that the mesh does not find are left out. The mesh is Google's, under Apache-2.0.
Later versions of the package do not contain it.
"""

import argparse
import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE: Final = 48
# Numbers in the mesh: middle of the right and left iris, tip of the nose, right and left corner of the mouth.
POINTS: Final = {"right_eye": 468, "left_eye": 473, "nose": 4, "mouth_right": 61, "mouth_left": 291}
# The mesh was made for larger images with more around the face.
_ENLARGED: Final = 4
_BORDER: Final = 48  # pixels of the enlarged image

Tile = NDArray[np.uint8]


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="Folder, CSV file or parquet file.")
    parser.add_argument("out", type=Path, help="CSV file to write.")
    arguments = parser.parse_args()
    # In mediapipe's own environment only.
    from mediapipe.python.solutions.face_mesh import FaceMesh

    mesh = FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.3)
    tiles = {hashlib.sha256(tile.tobytes()).hexdigest(): tile for tile in read_tiles(arguments.images)}
    found = {image: landmarks_of(tile, mesh) for image, tile in tiles.items()}
    labels = {image: points for image, points in found.items() if points is not None}
    write_labels(labels, arguments.out)
    print(f"{arguments.out}: landmarks of {len(labels):,} of {len(tiles):,} different faces")


def read_tiles(images: Path) -> Iterator[Tile]:
    """Yield the images, uint8 [48, 48].

    Raises:
        SystemExit: An image cannot be read or has another size.
    """
    if not images.exists():
        raise SystemExit(f"{images}: no such file or folder")
    for name, tile in _decoded(images):
        if tile is None or tile.shape != (SIDE, SIDE):
            raise SystemExit(f"{name} is not a readable grey image of {SIDE}×{SIDE} pixels")
        yield tile


def _decoded(images: Path) -> Iterator[tuple[str, Any]]:
    if images.is_dir():
        for path in sorted(images.rglob("*.*")):
            if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
                yield str(path), _grey(cv2.imread(str(path)))
    elif images.suffix == ".csv":
        with images.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            column = [name.strip() for name in next(rows, [])].index("pixels")
            for number, row in enumerate(rows, 2):
                levels = np.array(row[column].split(), np.uint8)
                yield f"{images}: line {number}", levels.reshape(SIDE, -1) if levels.size % SIDE == 0 else None
    else:
        import pyarrow.parquet

        for batch in pyarrow.parquet.ParquetFile(images).iter_batches(columns=["image"]):
            for number, entry in enumerate(batch.column(0).to_pylist(), 1):
                encoded = entry["bytes"] if isinstance(entry, dict) else entry
                yield (
                    f"{images}: image {number}",
                    _grey(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)),
                )


def _grey(image: Any) -> Any:
    """Return the levels of a grey image [H, W, 3], or None: others become grey in more than one way."""
    return image[..., 0] if image is not None and (image == image[..., :1]).all() else None


def landmarks_of(tile: Tile, mesh: Any) -> NDArray[np.float64] | None:
    """Return the landmarks of a face, [5, 2] in its pixels, or None if the mesh finds no face.

    Args:
        tile: uint8 [48, 48].
        mesh: A FaceMesh of mediapipe.
    """
    enlarged = cv2.resize(tile, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(enlarged, _BORDER, _BORDER, _BORDER, _BORDER, cv2.BORDER_REPLICATE)
    faces = mesh.process(np.repeat(framed[..., None], 3, axis=2)).multi_face_landmarks
    if not faces:
        return None
    shares = np.array([(faces[0].landmark[number].x, faces[0].landmark[number].y) for number in POINTS.values()])
    points: NDArray[np.float64] = (shares * framed.shape[0] - _BORDER) / _ENLARGED
    return points


def write_labels(labels: dict[str, NDArray[np.float64]], out: Path) -> None:
    """Write the landmarks, by the SHA-256 of an image's levels."""
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *(f"{point}_{axis}" for point in POINTS for axis in "xy")])
        writer.writerows([image, *(f"{value:.2f}" for value in points.flat)] for image, points in labels.items())


if __name__ == "__main__":
    main()
