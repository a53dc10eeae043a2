"""A detector's averaged weights → one ONNX file that the service takes, proven equal to the network."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from fer_service import __version__
from fer_service.detection.detector import Detector
from fer_service.detection.resizing import MULTIPLE, padded
from fer_service.detection.tiny import (
    INPUT_NAME,
    METADATA_KEY,
    OUTPUT_NAMES,
    DetectorMetadata,
    TinyDetector,
    Trained,
    read_detector_metadata,
)
from fer_service.onnx.session import Session
from numpy.typing import NDArray
from scipy.optimize import minimize
from timm.utils.model_ema import ModelEmaV3

from fer_training.checkpoint import load_checkpoint, restore
from fer_training.detector.assets import NAME, SceneAssets
from fer_training.detector.card import write_detector_card
from fer_training.detector.comparison import SERVED_SCORE, found_of
from fer_training.detector.export_wrapper import DetectorExportWrapper, TorchDetector
from fer_training.detector.network import DetectorNetwork
from fer_training.detector.photographs import Photograph
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.scoring import EvalResult, evaluate
from fer_training.detector.trainer import JUDGED_SIDE, epochs_of
from fer_training.errors import ExportError, RunError
from fer_training.onnx_export import trace, write_model
from fer_training.robustness import FACE, PICTURE, in_an_image
from fer_training.run import RunFolder, commit

_OPSET = 18  # the last whose every operator here has a CUDA kernel in onnxruntime 1.23: Pad of 19 has none
_TOLERANCE = 1e-3  # of a score; of a box so many pixels times a hundred
_FRAMED = 500  # faces that set the crop's frame
_LICENCE = (
    "MIT for the file's making; its weights were fitted to CC0 photographs and to faces of FER-2013, whose own "
    "terms may restrict commercial use"
)


def export_detector(run: RunFolder, recipe: DetectorRecipe, assets: SceneAssets, out: Path) -> DetectorMetadata:
    """Export a run's averaged weights with calibrated scores, figures and card.

    Args:
        run: A finished or interrupted run.
        recipe: Of the run.
        assets: Of the run; what is held out of it calibrates the scores, and its photographs evaluate the file.
        out: The ONNX file to write; the card goes beside it with the suffix .md.

    Returns:
        What the file says of itself.

    Raises:
        RunError: the run has no weights yet.
        ExportError: the file does not answer as the network does, or cannot be written.
    """
    network, epochs = averaged_detector(run, recipe)
    held_out = [photo.shrunk(JUDGED_SIDE) for photo in assets.held_out]
    # A score holds for images without people too.
    empty = [photo.shrunk(JUDGED_SIDE) for photo in assets.empty]
    scored = evaluate(TorchDetector(network, JUDGED_SIDE), [*held_out, *empty])
    served = DetectorExportWrapper(network, *calibrated(scored)).eval()
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        write_graph(served, graph)
        session = Session.open(graph, device="cpu", threads=1)
        parity = compared(served, session, held_out)
        # The figures are those of this very graph; only then does the file learn them.
        judged = evaluate(TinyDetector(session, 1.0, recipe.name, JUDGED_SIDE), held_out)
        metadata = DetectorMetadata(
            schema=1,
            name=recipe.name,
            version=__version__,
            description=recipe.description,
            frame_scale=frame_scale(TinyDetector(session, 1.0, recipe.name, PICTURE), assets.faces),
            data=_trained(recipe, assets),
            found=found_of(judged),
            false_boxes=round(judged.false_boxes(SERVED_SCORE), 4),
            parity=parity,
            epochs=epochs,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit() or run.environment()["commit"],
            licence=_LICENCE,
        )
        write_model(graph, {METADATA_KEY: metadata.model_dump_json(by_alias=True)}, out)
    read_detector_metadata(Session.open(out, device="cpu", threads=1), str(out))
    write_detector_card(metadata, out.with_suffix(".md"))
    return metadata


def frame_scale(detector: Detector, faces: NDArray[np.uint8]) -> float:
    """Side of the square that frames a face as FER-2013 does, as a multiple of the box's height: the median.

    Args:
        detector: Working on images of `PICTURE` pixels.
        faces: uint8 [n, 48, 48]; each is laid into a larger image and found again.

    Raises:
        ExportError: it finds none of them.
    """
    some = faces[:: max(len(faces) // _FRAMED, 1), ..., None]
    # The surest box, however sure it is: a score that only some faces reach would choose among their sizes.
    found = [detector.detect(in_an_image(face), 0.0) for face in some]
    ratios = [FACE / max(faces, key=lambda face: face.score or 0).box.height for faces in found if faces]
    if not ratios:
        raise ExportError(
            f"the detector finds none of {len(some)} faces that it was fitted to: train it for longer"
        )
    return round(float(np.median(ratios)), 3)


def _trained(recipe: DetectorRecipe, assets: SceneAssets) -> Trained:
    return Trained(
        name=NAME,
        images=(len(assets.train), len(assets.held_out)),
        faces=len(assets.faces),
        sha256=assets.sha256,
        hold_out=recipe.hold_out,
        seed=recipe.seed,
    )


def averaged_detector(run: RunFolder, recipe: DetectorRecipe) -> tuple[DetectorNetwork, int]:
    """A run's averaged weights in evaluation mode, and after how many epochs they are.

    They are the last epoch's, whose rate has come down to nothing: to choose one by the photographs that the
    detector is judged by would flatter it.

    Raises:
        RunError: the run has no weights yet, or they are damaged.
    """
    if not run.last.exists():
        raise RunError(f"{run.path} has no weights yet: the first epoch has not ended")
    saved = load_checkpoint(run.last)
    epochs = epochs_of(saved)
    average = ModelEmaV3(DetectorNetwork(recipe.network_in(epochs)))
    restore(run.last, saved, {"ema": average})
    network: DetectorNetwork = average.module.eval()
    return network, epochs


def calibrated(judged: EvalResult) -> tuple[float, float]:
    """Slope and shift of the logits that make a score the chance that there is a face (Platt 1999).

    Args:
        judged: Boxes with the scores that the network itself gives.
    """
    logits = np.log(judged.scores / (1 - judged.scores).clip(1e-9))
    truth = judged.face >= 0
    if truth.all() or not truth.any():
        return 1.0, 0.0

    def loss(numbers: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        margins = (numbers[0] * logits + numbers[1]) * np.where(truth, 1, -1)
        return float(np.logaddexp(0, -margins).mean())

    slope, shift = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(max(slope, 0.1)), float(shift)


def write_graph(served: DetectorExportWrapper, path: Path) -> None:
    """Write the graph, with symbolic batch, height and width."""
    example = torch.zeros(2, 96, 128, 3, dtype=torch.uint8)
    height, width = (MULTIPLE * torch.export.Dim(name, min=1) for name in ("rows", "columns"))
    symbolic = {0: torch.export.Dim("N", min=1), 1: height, 2: width}
    trace(served, example, symbolic, path, input_name=INPUT_NAME, output_names=OUTPUT_NAMES, opset=_OPSET)
    model = onnx.load(path)
    _flatten_plainly(model.graph)
    onnx.save(onnxscript.optimizer.optimize(model), path)


def _flatten_plainly(graph: onnx.GraphProto) -> None:
    """Give every Reshape a constant shape.

    All of them join the rows of a map, [N, C, h, w] to [N, C, h * w]; the exporter computes that with Shape nodes.
    """
    name = "rows_joined"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 0, -1], np.int64), name))
    for node in graph.node:
        if node.op_type == "Reshape":
            node.input[1] = name
            del node.attribute[:]


def compared(served: DetectorExportWrapper, session: Session, photographs: list[Photograph]) -> float:
    """Compare torch and onnxruntime over photographs, and an image alone with the same in a batch.

    Returns:
        The largest difference between two scores.

    Raises:
        ExportError: a score differs by more than 1e-3, or a box that counts by more than a tenth of a pixel.
    """
    worst = 0.0
    for photo in photographs:
        one = padded(photo.pixels)[None]
        worst = max(
            worst, _difference(served, session, one), _difference(served, session, np.repeat(one, 2, axis=0))
        )
    return worst


def _difference(served: DetectorExportWrapper, session: Session, images: np.ndarray) -> float:
    with torch.inference_mode():
        boxes, scores = (part.numpy() for part in served(torch.from_numpy(images)))
    given_boxes, given_scores = session.run(OUTPUT_NAMES, {INPUT_NAME: images})
    difference = float(np.abs(scores - given_scores).max())
    # Neighbours with nearly one score may change places: only clearly ordered boxes are compared.
    gaps = np.abs(np.diff(scores, axis=1, prepend=2.0, append=-2.0))
    clear = (np.minimum(gaps[:, 1:], gaps[:, :-1]) > 10 * _TOLERANCE) & (scores > 0.05)
    apart = float(np.abs(boxes - given_boxes)[clear].max()) if clear.any() else 0.0
    if difference > _TOLERANCE or apart > 100 * _TOLERANCE:
        raise ExportError(
            f"the exported graph is not the network: scores differ by {difference:.1e}, "
            f"boxes by {apart:.1e} pixels"
        )
    return difference
