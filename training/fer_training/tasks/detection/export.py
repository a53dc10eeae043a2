"""Export of a detector's averaged weights as an ONNX file for the service, checked against torch."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from fer_service import __version__
from fer_service.detection.detector import Detector
from fer_service.detection.own import (
    INPUT_NAME,
    METADATA_KEY,
    OUTPUT_NAMES,
    DetectorMetadata,
    OwnDetector,
    Trained,
    read_detector_metadata,
)
from fer_service.detection.resizing import MULTIPLE, padded
from fer_service.onnx.session import Session
from numpy.typing import NDArray
from scipy.optimize import minimize
from timm.utils.model_ema import ModelEmaV3

from fer_training.data.framing import FACE_SIDE, IMAGE_SIDE, in_an_image
from fer_training.engine.checkpoint import load_checkpoint, restore, saved_state
from fer_training.engine.onnx_export import check_output, trace, write_model
from fer_training.engine.run_folder import RunFolder, commit
from fer_training.engine.state import TrainState
from fer_training.errors import ExportError
from fer_training.tasks.detection.assets import NAME, SceneAssets
from fer_training.tasks.detection.card import write_detector_card
from fer_training.tasks.detection.comparison import SERVED_SCORE, metrics_by_kind
from fer_training.tasks.detection.export_wrapper import DetectorExportWrapper, TorchDetector
from fer_training.tasks.detection.network import DetectorNetwork
from fer_training.tasks.detection.photographs import EVAL_SIDE, Photograph
from fer_training.tasks.detection.recipe import DetectionRecipe
from fer_training.tasks.detection.scoring import EvalResult, evaluate

_OPSET = 18  # opset 19 introduces a Pad without a CUDA kernel in onnxruntime 1.23
_TOLERANCE = 1e-3  # maximum difference of scores; boxes may differ by 100 times as many pixels
_FRAMED = 500  # faces that determine frame_scale
_LICENCE = (
    "MIT for the file itself. The weights were trained on photographs and faces whose licences may restrict "
    "commercial use"
)


def export_detector(run: RunFolder, recipe: DetectionRecipe, assets: SceneAssets, out: Path) -> DetectorMetadata:
    """Export a run's averaged weights, with calibrated scores, metrics and model card.

    Args:
        run: Finished or interrupted run.
        recipe: Recipe of the run.
        assets: Data of the run. The held-out part calibrates the scores and evaluates the file.
        out: ONNX file to write. The card gets the same name with the suffix .md.

    Returns:
        Metadata of the file.

    Raises:
        RunError: The run has no weights.
        ExportError: The file's output differs from the network's, or it cannot be written.
    """
    check_output(out)
    network, epochs = averaged_detector(run, recipe)
    held_out = [photo.shrunk(EVAL_SIDE) for photo in assets.held_out]
    wrapper = calibrated(network, assets)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        write_graph(wrapper, graph)
        session = Session.open(graph, device="cpu", threads=1)
        parity = check_parity(wrapper, session, held_out)
        # The metrics are measured on the exported graph, then stored in the file.
        result = evaluate(OwnDetector(session, 1.0, recipe.name, EVAL_SIDE), held_out)
        metadata = DetectorMetadata(
            schema=1,
            name=recipe.name,
            version=__version__,
            description=recipe.description,
            frame_scale=frame_scale(OwnDetector(session, 1.0, recipe.name, IMAGE_SIDE), assets.faces),
            data=_trained(recipe, assets),
            start=run.starting_weights(),
            found=metrics_by_kind(result),
            false_boxes=round(result.false_boxes(SERVED_SCORE), 4),
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


def calibrated(network: DetectorNetwork, assets: SceneAssets) -> DetectorExportWrapper:
    """Return the network with calibrated scores, for images with and without people."""
    photos = [photo.shrunk(EVAL_SIDE) for photo in (*assets.held_out, *assets.empty)]
    scored = evaluate(TorchDetector(network, EVAL_SIDE), photos)
    return DetectorExportWrapper(network, *fit_platt_scaling(scored)).eval()


def frame_scale(detector: Detector, faces: NDArray[np.uint8]) -> float:
    """Measure the scale from the detector's box height to the side of FER-2013's square frame: the median.

    Args:
        detector: Detector for images of `IMAGE_SIDE` pixels.
        faces: uint8 [n, 48, 48]. Each face is pasted into a larger image and detected there.

    Raises:
        ExportError: No face is detected.
    """
    some = faces[:: max(len(faces) // _FRAMED, 1), ..., None]
    # Take the best box at any score: a score threshold would bias the sizes.
    found = [detector.detect(in_an_image(face), 0.0) for face in some]
    ratios = [FACE_SIDE / max(faces, key=lambda face: face.score or 0).box.height for faces in found if faces]
    if not ratios:
        raise ExportError(f"the detector finds none of {len(some)} training faces: train for more epochs")
    return round(float(np.median(ratios)), 3)


def _trained(recipe: DetectionRecipe, assets: SceneAssets) -> Trained:
    return Trained(
        name=NAME,
        images=(len(assets.train), len(assets.held_out)),
        faces=len(assets.faces),
        sha256=assets.sha256,
        hold_out=recipe.hold_out,
        seed=recipe.seed,
    )


def averaged_detector(run: RunFolder, recipe: DetectionRecipe) -> tuple[DetectorNetwork, int]:
    """Load the averaged weights of the last epoch, in evaluation mode, and the number of epochs.

    The last epoch is used, not the best one: selecting an epoch on the evaluation photographs would bias the
    metrics.

    Raises:
        RunError: The run has no weights, or they are damaged.
    """
    saved = load_checkpoint(run.last)
    state = saved_state(run.last, saved, TrainState)
    average = ModelEmaV3(DetectorNetwork(recipe.widths_of(state.phase)))
    restore(run.last, saved, {"ema": average})
    network: DetectorNetwork = average.module.eval()
    return network, state.epoch


def fit_platt_scaling(result: EvalResult) -> tuple[float, float]:
    """Fit slope and shift of the logits so that a score is the probability of a face (Platt 1999).

    Args:
        result: Boxes with uncalibrated scores.
    """
    logits = np.log(result.scores / (1 - result.scores).clip(1e-9))
    truth = result.face >= 0
    if truth.all() or not truth.any():
        return 1.0, 0.0

    def loss(numbers: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        margins = (numbers[0] * logits + numbers[1]) * np.where(truth, 1, -1)
        return float(np.logaddexp(0, -margins).mean())

    slope, shift = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(max(slope, 0.1)), float(shift)


def write_graph(wrapper: DetectorExportWrapper, path: Path) -> None:
    """Write the ONNX graph with symbolic batch, height and width."""
    example = torch.zeros(2, 96, 128, 3, dtype=torch.uint8)
    height, width = (MULTIPLE * torch.export.Dim(name, min=1) for name in ("rows", "columns"))
    symbolic = {0: torch.export.Dim("N", min=1), 1: height, 2: width}
    trace(wrapper, example, symbolic, path, input_name=INPUT_NAME, output_names=OUTPUT_NAMES, opset=_OPSET)
    model = onnx.load(path)
    _make_reshapes_constant(model.graph)
    onnx.save(onnxscript.optimizer.optimize(model), path)


def _make_reshapes_constant(graph: onnx.GraphProto) -> None:
    """Give every Reshape a constant shape, in place of the exporter's Shape nodes.

    Every Reshape of this graph maps [N, C, h, w] to [N, C, h * w].
    """
    name = "flattened_shape"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 0, -1], np.int64), name))
    for node in graph.node:
        if node.op_type == "Reshape":
            node.input[1] = name
            del node.attribute[:]


def check_parity(wrapper: DetectorExportWrapper, session: Session, photographs: list[Photograph]) -> float:
    """Compare torch and onnxruntime on photographs, each alone and in a batch of two.

    Returns:
        Maximum difference of scores.

    Raises:
        ExportError: A score differs by more than 1e-3, or a compared box by more than 0.1 pixels.
    """
    worst = 0.0
    for photo in photographs:
        one = padded(photo.pixels)[None]
        worst = max(
            worst, _difference(wrapper, session, one), _difference(wrapper, session, np.repeat(one, 2, axis=0))
        )
    return worst


def _difference(wrapper: DetectorExportWrapper, session: Session, images: np.ndarray) -> float:
    with torch.inference_mode():
        boxes, scores = (part.numpy() for part in wrapper(torch.from_numpy(images)))
    given_boxes, given_scores = session.run(OUTPUT_NAMES, {INPUT_NAME: images})
    difference = float(np.abs(scores - given_scores).max())
    # Boxes with nearly equal scores may change their order, so compare only clearly ordered boxes.
    gaps = np.abs(np.diff(scores, axis=1, prepend=2.0, append=-2.0))
    clear = (np.minimum(gaps[:, 1:], gaps[:, :-1]) > 10 * _TOLERANCE) & (scores > 0.05)
    apart = float(np.abs(boxes - given_boxes)[clear].max()) if clear.any() else 0.0
    if difference > _TOLERANCE or apart > 100 * _TOLERANCE:
        raise ExportError(
            f"the exported graph differs from the network: maximum difference of scores {difference:.1e} "
            f"(at most {_TOLERANCE:.0e}), of boxes {apart:.1e} pixels (at most {100 * _TOLERANCE:.1f})"
        )
    return difference
