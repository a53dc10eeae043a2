"""A detector's run as one self-contained HTML page with its figures beside it."""

from pathlib import Path

import cv2
import numpy as np
import yaml
from matplotlib.figure import Figure
from numpy.typing import NDArray

from service.detectors.base import Face
from training import plots
from training.detector.boxes import Boxes
from training.detector.comparison import FALSE_BOXES, found_of
from training.detector.export import averaged_detector
from training.detector.loop import JUDGED_SIDE
from training.detector.material import Material
from training.detector.photographs import Photograph
from training.detector.recipe import DetectorRecipe
from training.detector.scoring import SIZES, Judged, corners, matched
from training.detector.served import TorchDetector
from training.pages import page_template, saved
from training.run import RunFolder

_SHOWN = 24
_SIDE = 144  # pixels of a picture in a grid
_ROOM = 2.5  # what is shown around a box, as a multiple of its larger side
_FACE, _BOX = (40, 200, 60), (230, 60, 40)


def write_detector_report(run: RunFolder, recipe: DetectorRecipe, material: Material) -> Path:
    """Write `report.html` and `figures/*.png` into the run folder.

    Args:
        run: A finished or interrupted run.
        recipe: Of the run.
        material: Of the run.

    Returns:
        The page.

    Raises:
        RunError: the run has no weights yet.
    """
    detector = TorchDetector(averaged_detector(run, recipe)[0], JUDGED_SIDE)
    photos = [photo.shrunk(JUDGED_SIDE) for photo in material.held_out]
    found = [sorted(detector.detect(photo.pixels, 0.01), key=lambda face: -(face.score or 0)) for photo in photos]
    judged = matched(found, photos, 0.5)
    figures = {
        "curves": plots.learning_curves({run.path.name: run.metrics()}, "ap50"),
        "precision_recall": precision_recall(judged),
        "missed": _missed(judged, photos, found),
        "false_boxes": _false_boxes(judged, photos, found),
        "composed": _composed(material, recipe),
    }
    drawn = {name: saved(figure, run.path / "figures" / f"{name}.png") for name, figure in figures.items()}
    page = run.path / "report.html"
    page.write_text(
        page_template("detector.html.j2").render(
            recipe=recipe,
            found=found_of(judged),
            pictures=judged.pictures,
            recipe_text=yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False),
            environment=run.environment(),
            figures=drawn,
        ),
        encoding="utf-8",
    )
    return page


def precision_recall(judged: Judged) -> Figure:
    """Precision by recall, bare faces beside covered ones, a curve a size."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    kinds = judged.kinds()
    for place, name in enumerate(("bare", "covered"), 1):
        axis = figure.add_subplot(1, 2, place)
        for size in SIZES:
            faces, heights = kinds[f"{name} {size}"]
            precision, recall, _ = judged.curve(faces, heights)
            axis.plot(recall, precision, label=f"{size} px, {int(faces.sum())} faces")
        axis.set(title=f"{name} faces", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axis.grid(alpha=0.2)
        axis.legend(fontsize=8)
    return figure


def _missed(judged: Judged, photos: list[Photograph], found: list[list[Face]]) -> Figure:
    """The largest faces that no box with the score of the operating point meets."""
    hit = np.zeros(len(judged.face_heights), bool)
    hit[judged.face[(judged.face >= 0) & (judged.scores >= judged.score_at(FALSE_BOXES))]] = True
    rows = [row for row in np.argsort(-judged.face_heights) if not hit[row]][:_SHOWN]
    truth = np.concatenate([photo.boxes for photo in photos])
    kinds = np.where(judged.bare, "bare", "covered")
    pictures = [_around(truth[row], judged.face_picture[row], photos, found) for row in rows]
    titles = [f"{kinds[row]}, {judged.face_heights[row]:.0f} px" for row in rows]
    return plots.picture_grid(pictures, titles, title="largest faces missed (green: the face, red: boxes)")


def _false_boxes(judged: Judged, photos: list[Photograph], found: list[list[Face]]) -> Figure:
    """The surest boxes that meet no face."""
    boxes = np.concatenate([corners(faces) for faces in found])
    rows = [row for row in np.argsort(-judged.scores, kind="stable") if judged.face[row] < 0][:_SHOWN]
    pictures = [_around(boxes[row], judged.picture[row], photos, found) for row in rows]
    titles = [f"{judged.scores[row]:.2f}, {judged.heights[row]:.0f} px" for row in rows]
    return plots.picture_grid(pictures, titles, title="surest boxes on no face (green: faces, red: boxes)")


def _around(
    box: NDArray[np.float32], number: int, photos: list[Photograph], found: list[list[Face]]
) -> NDArray[np.uint8]:
    """What lies around a box, with the faces and the surer boxes there, uint8 [S, S, 3]."""
    photo = photos[number]
    reach = float(max(box[2] - box[0], box[3] - box[1])) * _ROOM / 2
    x, y = (float(edge) for edge in (box[:2] + box[2:]) / 2)
    scale = _SIDE / (2 * reach)
    affine = np.array([[scale, 0, _SIDE / 2 - x * scale], [0, scale, _SIDE / 2 - y * scale]])
    shown = cv2.warpAffine(photo.pixels, affine, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )
    sure = corners([face for face in found[number] if (face.score or 0) >= 0.3])
    for boxes, colour in ((photo.boxes, _FACE), (sure, _BOX)):
        _draw(shown, boxes * scale + affine[[0, 1, 0, 1], 2].astype(np.float32), colour)
    return shown


def _composed(material: Material, recipe: DetectorRecipe) -> Figure:
    """Training pictures, with the boxes of their faces."""
    composer = material.composer(recipe.compose_in(recipe.phases[-1]))
    pictures = []
    for number in range(_SHOWN):
        made = composer.compose(np.random.default_rng((recipe.seed, 0, 0, number)), recipe.compose.sides[0])
        _draw(made.pixels, made.boxes, _FACE)
        pictures.append(made.pixels)
    return plots.picture_grid(pictures, [""] * len(pictures), title="composed pictures")


def _draw(pixels: NDArray[np.uint8], boxes: Boxes, colour: tuple[int, int, int]) -> None:
    for left, top, right, bottom in boxes.round().astype(int).tolist():
        cv2.rectangle(pixels, (left, top), (right, bottom), colour, 1)
