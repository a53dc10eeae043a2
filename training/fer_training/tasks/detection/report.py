"""HTML report of a detector's run."""

from pathlib import Path

import cv2
import numpy as np
import yaml
from fer_service.detection.detector import Face
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_training.engine import plots
from fer_training.engine.pages import page_template, save_png
from fer_training.engine.run_folder import RunFolder
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.boxes import Boxes
from fer_training.tasks.detection.comparison import FALSE_BOXES, metrics_by_kind
from fer_training.tasks.detection.export import averaged_detector
from fer_training.tasks.detection.export_wrapper import TorchDetector
from fer_training.tasks.detection.photographs import EVAL_SIDE, Photograph
from fer_training.tasks.detection.recipe import DetectionRecipe
from fer_training.tasks.detection.scoring import SIZES, EvalResult, corners, match_boxes

_SHOWN = 24
_SIDE = 144  # side of a grid image in pixels
_ROOM = 2.5  # side of the shown region, as a multiple of the box's larger side
_FACE, _BOX = (40, 200, 60), (230, 60, 40)


def write_detector_report(run: RunFolder, recipe: DetectionRecipe, assets: SceneAssets) -> Path:
    """Write `report.html` and `figures/*.png` into the run folder.

    Args:
        run: Finished or interrupted run.
        recipe: Recipe of the run.
        assets: Data of the run.

    Returns:
        Path of the page.

    Raises:
        RunError: The run has no weights.
    """
    detector = TorchDetector(averaged_detector(run, recipe)[0], EVAL_SIDE)
    photos = [photo.shrunk(EVAL_SIDE) for photo in assets.held_out]
    found = [sorted(detector.detect(photo.pixels, 0.01), key=lambda face: -(face.score or 0)) for photo in photos]
    result = match_boxes(found, photos, 0.5)
    figures = {
        "curves": plots.learning_curves({run.path.name: run.metrics()}, "ap50"),
        "precision_recall": precision_recall(result),
        "missed": _missed(result, photos, found),
        "false_boxes": _false_boxes(result, photos, found),
        "scenes": _scenes(assets, recipe),
    }
    drawn = {name: save_png(figure, run.path / "figures" / f"{name}.png") for name, figure in figures.items()}
    page = run.path / "report.html"
    page.write_text(
        page_template("detector.html.j2").render(
            recipe=recipe,
            found=metrics_by_kind(result),
            images=result.images,
            recipe_text=yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False),
            environment=run.environment(),
            figures=drawn,
        ),
        encoding="utf-8",
    )
    return page


def precision_recall(result: EvalResult) -> Figure:
    """Plot precision-recall curves of bare and occluded faces, one curve per size."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    kinds = result.kinds()
    for place, name in enumerate(("bare", "occluded"), 1):
        axis = figure.add_subplot(1, 2, place)
        for size in SIZES:
            faces, heights = kinds[f"{name} {size}"]
            precision, recall, _ = result.curve(faces, heights)
            axis.plot(recall, precision, label=f"{size} px, {int(faces.sum())} faces")
        axis.set(title=f"{name} faces", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axis.grid(alpha=0.2)
        axis.legend(fontsize=8)
    return figure


def _missed(result: EvalResult, photos: list[Photograph], found: list[list[Face]]) -> Figure:
    """Plot the largest faces without a matching box at the operating point."""
    found_faces = np.zeros(len(result.face_heights), bool)
    found_faces[result.face[(result.face >= 0) & (result.scores >= result.score_at(FALSE_BOXES))]] = True
    rows = [row for row in np.argsort(-result.face_heights) if not found_faces[row]][:_SHOWN]
    truth = np.concatenate([photo.boxes for photo in photos])
    kinds = np.where(result.bare, "bare", "occluded")
    images = [_around(truth[row], result.face_image[row], photos, found) for row in rows]
    titles = [f"{kinds[row]}, {result.face_heights[row]:.0f} px" for row in rows]
    return plots.image_grid(
        images, titles, title="largest missed faces (green: ground truth, red: detected boxes)"
    )


def _false_boxes(result: EvalResult, photos: list[Photograph], found: list[list[Face]]) -> Figure:
    """Plot the false boxes with the highest scores."""
    boxes = np.concatenate([corners(faces) for faces in found])
    rows = [row for row in np.argsort(-result.scores, kind="stable") if result.face[row] < 0][:_SHOWN]
    images = [_around(boxes[row], result.image[row], photos, found) for row in rows]
    titles = [f"{result.scores[row]:.2f}, {result.heights[row]:.0f} px" for row in rows]
    return plots.image_grid(
        images, titles, title="false boxes with the highest scores (green: ground truth, red: detected boxes)"
    )


def _around(
    box: NDArray[np.float32], number: int, photos: list[Photograph], found: list[list[Face]]
) -> NDArray[np.uint8]:
    """Cut out the region around a box, with ground truth and boxes of score ≥ 0.3 drawn, uint8 [S, S, 3]."""
    photo = photos[number]
    reach = float(max(box[2] - box[0], box[3] - box[1])) * _ROOM / 2
    x, y = (float(edge) for edge in (box[:2] + box[2:]) / 2)
    scale = _SIDE / (2 * reach)
    affine = np.array([[scale, 0, _SIDE / 2 - x * scale], [0, scale, _SIDE / 2 - y * scale]])
    shown = cv2.warpAffine(photo.pixels, affine, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )
    confident = corners([face for face in found[number] if (face.score or 0) >= 0.3])
    for boxes, colour in ((photo.boxes, _FACE), (confident, _BOX)):
        _draw_boxes(shown, boxes * scale + affine[[0, 1, 0, 1], 2].astype(np.float32), colour)
    return shown


def _scenes(assets: SceneAssets, recipe: DetectionRecipe) -> Figure:
    """Plot generated training images with their face boxes."""
    generator = assets.scene_generator(recipe.scene_config(recipe.phases[-1]))
    images = []
    for number in range(_SHOWN):
        made = generator.generate(np.random.default_rng((recipe.seed, 0, 0, number)), recipe.scenes.sides[0])
        _draw_boxes(made.pixels, made.boxes, _FACE)
        images.append(made.pixels)
    return plots.image_grid(images, [""] * len(images), title="generated training images")


def _draw_boxes(pixels: NDArray[np.uint8], boxes: Boxes, colour: tuple[int, int, int]) -> None:
    for left, top, right, bottom in boxes.round().astype(int).tolist():
        cv2.rectangle(pixels, (left, top), (right, bottom), colour, 1)
