"""Compare a detector's boxes with FER-2013's framing, and measure the accuracy by crop frame.

Every face of a split is enlarged, pasted into a larger image and detected. Then it is cropped with frames from
tight to wide, and with and without alignment by the eyes. Needs the training environment.

    python -m fer_benchmarks.crop_frame --data fer2013.parquet --detector haar
"""

import argparse
from pathlib import Path

import numpy as np
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import assemble
from fer_service.classification.classifier import Classifier, open_classifier
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Detector, Face
from fer_service.imaging.crop import crop, square_around
from fer_service.system.cores import available_cores
from fer_training.data import FaceDataset, load_dataset
from fer_training.data.framing import FACE_SIDE, IMAGE_SIDE, in_an_image
from fer_training.tasks.emotion.evaluate import probabilities_of
from fer_training.tasks.emotion.robustness import LARGEST, classified, rotated
from numpy.typing import NDArray

TURNS = (0, 10, 20, 30)  # degrees clockwise
FRAMES = (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Data set, as for `fer-train train`.")
    parser.add_argument("--split", default="PublicTest", help="Split to measure.")
    parser.add_argument("--detector", default="auto", help="Detector, as in FER_DETECTOR.")
    parser.add_argument("--model", type=Path, default=assets.MODELS["bundled"], help="Model file.")
    parser.add_argument("--limit", type=int, default=None, help="Maximum number of faces.")
    arguments = parser.parse_args()

    classifier = open_classifier(arguments.model, "cpu", available_cores())
    faces = load_dataset(arguments.data, classifier.bundle.metadata.input_size).split(arguments.split)
    faces = faces.limited(arguments.limit) if arguments.limit else faces
    analyzer = assemble(choose_detector(arguments.detector, IMAGE_SIDE), classifier)
    images = [in_an_image(image) for image in faces.images]
    found = [largest(analyzer, image) for image in images]
    report_geometry(analyzer.detector, found)
    report_accuracy(classifier, faces, images, found)
    report_alignment(analyzer, faces, images)


def report_geometry(detector: Detector, found: list[Face | None]) -> None:
    """Print how many faces were found, and where FER-2013's frame lies relative to the boxes."""
    faces = [face for face in found if face is not None]
    middle = IMAGE_SIDE / 2
    print(f"{detector.name}: {len(faces)} of {len(found)} faces found ({len(faces) / len(found):.1%})")
    measures = {
        "frame side / box height": [FACE_SIDE / face.box.height for face in faces],
        "offset of the centre to the right / frame side": [
            (face.box.x + face.box.width / 2 - middle) / FACE_SIDE for face in faces
        ],
        "offset of the centre downwards / frame side": [
            (face.box.y + face.box.height / 2 - middle) / FACE_SIDE for face in faces
        ],
    }
    for name, values in measures.items():
        low, median, high = np.percentile(values, [10, 50, 90])
        print(f"{name}: median {median:.3f} (10 % {low:.3f}, 90 % {high:.3f})")


def report_accuracy(
    classifier: Classifier,
    faces: FaceDataset,
    images: list[NDArray[np.uint8]],
    found: list[Face | None],
) -> None:
    """Print the accuracy on the found faces: as published, and cropped from the detector's box with each frame."""
    metadata = classifier.bundle.metadata
    rows = [row for row, face in enumerate(found) if face is not None]
    direct = probabilities_of(classifier, faces.images).argmax(axis=1) == faces.labels
    print(f"crop as published: {direct[rows].mean():.2%} of the found faces, {direct.mean():.2%} of all")
    for frame in FRAMES:
        geometry = metadata.crop.model_copy(update={"frame": frame})
        crops = [
            crop(
                images[row], square_around(face.box, face.landmarks, geometry, 1.0), metadata.input_size, geometry
            )
            for row in rows
            if (face := found[row]) is not None
        ]
        right = classified(classifier, crops) == faces.labels[rows]
        print(f"crop of {frame:.2f} × box height: {right.mean():.2%}")


def report_alignment(analyzer: Analyzer, faces: FaceDataset, images: list[NDArray[np.uint8]]) -> None:
    """Print the accuracy of upright crops and of crops aligned by the eyes, as found and in rotated images."""
    metadata = analyzer.classifier.bundle.metadata
    for turn in TURNS:
        turned = [rotated(turn)(image) for image in images]
        found = [largest(analyzer, image) for image in turned]
        rows = [row for row, face in enumerate(found) if face is not None]
        right = {}
        for align in (False, True):
            geometry = metadata.crop.model_copy(update={"align": align})
            crops = [
                crop(
                    turned[row],
                    square_around(face.box, face.landmarks, geometry, analyzer.detector.frame_scale),
                    metadata.input_size,
                    geometry,
                )
                for row in rows
                if (face := found[row]) is not None
            ]
            right[align] = classified(analyzer.classifier, crops) == faces.labels[rows]
        gained, lost = (right[True] & ~right[False]).sum(), (right[False] & ~right[True]).sum()
        print(
            f"rotated by {turn}°: {len(rows)} found, {right[False].mean():.2%} upright, "
            f"{right[True].mean():.2%} aligned ({gained} gained, {lost} lost)"
        )


def largest(analyzer: Analyzer, image: NDArray[np.uint8]) -> Face | None:
    """Return the largest detected face, or None."""
    return next(iter(analyzer.preparer.prepare_pixels(image, LARGEST).faces), None)


if __name__ == "__main__":
    main()
