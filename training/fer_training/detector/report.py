"""A detector's run as one self-contained HTML page with its figures beside it."""

from pathlib import Path

import cv2
import numpy as np
import yaml
from fer_service.detection.detector import Face
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_training import plots
from fer_training.detector.assets import SceneAssets
from fer_training.detector.boxes import Boxes
from fer_training.detector.comparison import FALSE_BOXES, found_of
from fer_training.detector.export import averaged_detector
from fer_training.detector.export_wrapper import TorchDetector
from fer_training.detector.photographs import Photograph
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.scoring import SIZES, EvalResult, corners, matched
from fer_training.detector.trainer import JUDGED_SIDE
from fer_training.pages import page_template, saved
from fer_training.run import RunFolder

_SHOWN = 24
_SIDE = 144  # pixels of an image in a grid
_ROOM = 2.5  # what is shown around a box, as a multiple of its larger side
_FACE, _BOX = (40, 200, 60), (230, 60, 40)


def write_detector_report(run: RunFolder, recipe: DetectorRecipe, assets: SceneAssets) -> Path:
    """Write `report.html` and `figures/*.png` into the run folder.

    Args:
        run: A finished or interrupted run.
        recipe: Of the run.
        assets: Of the run.

    Returns:
        The page.

    Raises:
        RunError: the run has no weights yet.
    """
    detector = TorchDetector(averaged_detector(run, recipe)[0], JUDGED_SIDE)
    photos = [photo.shrunk(JUDGED_SIDE) for photo in assets.held_out]
    found = [sorted(detector.detect(photo.pixels, 0.01), key=lambda face: -(face.score or 0)) for photo in photos]
    judged = matched(found, photos, 0.5)
    figures = {
        "curves": plots.learning_curves({run.path.name: run.metrics()}, "ap50"),
        "precision_recall": precision_recall(judged),
        "missed": _missed(judged, photos, found),
        "false_boxes": _false_boxes(judged, photos, found),
        "composed": _composed(assets, recipe),
    }
    drawn = {name: saved(figure, run.path / "figures" / f"{name}.png") for name, figure in figures.items()}
    page = run.path / "report.html"
    page.write_text(
        page_template("detector.html.j2").render(
            recipe=recipe,
            found=found_of(judged),
            images=judged.images,
            recipe_text=yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False),
            environment=run.environment(),
            figures=drawn,
        ),
        encoding="utf-8",
    )
    return page


def precision_recall(judged: EvalResult) -> Figure:
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


def _missed(judged: EvalResult, photos: list[Photograph], found: list[list[Face]]) -> Figure:
    """The largest faces that no box with the score of the operating point meets."""
    hit = np.zeros(len(judged.face_heights), bool)
    hit[judged.face[(judged.face >= 0) & (judged.scores >= judged.score_at(FALSE_BOXES))]] = True
    rows = [row for row in np.argsort(-judged.face_heights) if not hit[row]][:_SHOWN]
    truth = np.concatenate([photo.boxes for photo in photos])
    kinds = np.where(judged.bare, "bare", "covered")
    images = [_around(truth[row], judged.face_image[row], photos, found) for row in rows]
    titles = [f"{kinds[row]}, {judged.face_heights[row]:.0f} px" for row in rows]
    return plots.image_grid(images, titles, title="largest faces missed (green: the face, red: boxes)")


def _false_boxes(judged: EvalResult, photos: list[Photograph], found: list[list[Face]]) -> Figure:
    """The surest boxes that meet no face."""
    boxes = np.concatenate([corners(faces) for faces in found])
    rows = [row for row in np.argsort(-judged.scores, kind="stable") if judged.face[row] < 0][:_SHOWN]
    images = [_around(boxes[row], judged.image[row], photos, found) for row in rows]
    titles = [f"{judged.scores[row]:.2f}, {judged.heights[row]:.0f} px" for row in rows]
    return plots.image_grid(images, titles, title="surest boxes on no face (green: faces, red: boxes)")


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
        _log_scalars(shown, boxes * scale + affine[[0, 1, 0, 1], 2].astype(np.float32), colour)
    return shown


def _composed(assets: SceneAssets, recipe: DetectorRecipe) -> Figure:
    """Training images, with the boxes of their faces."""
    composer = assets.composer(recipe.compose_in(recipe.phases[-1]))
    images = []
    for number in range(_SHOWN):
        made = composer.compose(np.random.default_rng((recipe.seed, 0, 0, number)), recipe.compose.sides[0])
        _log_scalars(made.pixels, made.boxes, _FACE)
        images.append(made.pixels)
    return plots.image_grid(images, [""] * len(images), title="composed images")


def _log_scalars(pixels: NDArray[np.uint8], boxes: Boxes, colour: tuple[int, int, int]) -> None:
    for left, top, right, bottom in boxes.round().astype(int).tolist():
        cv2.rectangle(pixels, (left, top), (right, bottom), colour, 1)
