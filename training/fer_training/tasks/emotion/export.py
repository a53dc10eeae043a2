"""Export of a run's best weights as one ONNX file with all that the service needs, checked against torch."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fer_service import __version__
from fer_service.contract.bundle import (
    INPUT_NAME,
    METADATA_KEY,
    OUTPUT_NAME,
    CropGeometry,
    HeldOut,
    Metadata,
    Parity,
    TrainingData,
    read_metadata,
)
from fer_service.onnx.session import Session
from fer_service.system.cores import available_cores
from numpy.typing import NDArray

from fer_training.data import FaceDataset
from fer_training.data.dataset import HELD_OUT
from fer_training.engine.onnx_export import check_output, trace, write_model
from fer_training.engine.run_folder import RunFolder, commit
from fer_training.errors import ExportError
from fer_training.tasks.emotion.calibrate import fit_temperature, uncertainty_threshold
from fer_training.tasks.emotion.card import write_card
from fer_training.tasks.emotion.evaluate import deduplicated, score, served_crops
from fer_training.tasks.emotion.model import ExportWrapper
from fer_training.tasks.emotion.predictions import best_network
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.runs import run_data
from fer_training.tasks.emotion.splits import train_and_validation

_TOLERANCE = 1e-4
_PARITY_BATCHES = (1, 2, 17)
_BATCH = 256
_LICENCE = "MIT for the file itself. The weights were trained on images whose licences may restrict commercial use"


def export(run: RunFolder, out: Path, data_path: Path | None = None, *, mirror: bool = False) -> Metadata:
    """Export a run's best weights, with calibration, threshold, metrics and model card.

    Args:
        run: Finished or interrupted run.
        out: ONNX file to write. The card gets the same name with the suffix .md.
        data_path: New path of the run's data, if it was moved.
        mirror: Average the logits of the face and its mirror image. This doubles the computation.

    Returns:
        Metadata of the file.

    Raises:
        RunError: The run has no weights, or the data differs from the run's data.
        DataError: The data is missing or cannot be read.
        ExportError: The training diverged, the file's probabilities differ from the network's, or it cannot be
            written.
    """
    check_output(out)
    recipe = run.recipe(EmotionRecipe)
    train, validation = train_and_validation(run_data(run, data_path), recipe)
    network = best_network(run, recipe, len(validation.classes))

    crops = np.stack(list(served_crops(validation.images, recipe.network.input_size, recipe.crop)))
    wrapper = ExportWrapper(network, recipe.network.channels, 1.0, mirror=mirror).eval()
    logits = _run(wrapper, crops, logits=True)
    if not np.isfinite(logits).all():
        raise ExportError(
            f"{run.path}: the network's logits are not numbers, its training diverged; lower optimizer.lr"
        )
    wrapper.temperature = fit_temperature(logits, validation.labels)

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        write_graph(wrapper, recipe.network.input_size, graph)
        session = Session.open(graph, device="cpu", threads=available_cores())
        parity = _check_parity(wrapper, session, crops)
        # The metrics are measured on the exported graph, then stored in the file.
        probabilities = _run_session(session, crops)
        metadata = _metadata(run, recipe, train, validation, wrapper, parity, probabilities)
        write_bundle(graph, metadata, out)
    read_metadata(Session.open(out, device="cpu", threads=1), str(out))
    write_card(metadata, out.with_suffix(".md"))
    return metadata


def _run(wrapper: ExportWrapper, crops: NDArray[np.uint8], *, logits: bool = False) -> NDArray[np.float32]:
    """Run crops uint8 [N, S, S, 3] through torch. Return probabilities or logits."""
    with torch.inference_mode():
        batches = torch.split(torch.from_numpy(crops), _BATCH)
        parts = [wrapper.logits(batch) if logits else wrapper(batch) for batch in batches]
    return torch.cat(parts).numpy()


def _run_session(session: Session, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run crops uint8 [N, S, S, 3] through onnxruntime. Return probabilities."""
    parts = [
        session.run([OUTPUT_NAME], {INPUT_NAME: crops[start : start + _BATCH]})[0]
        for start in range(0, len(crops), _BATCH)
    ]
    return np.concatenate(parts)


def write_graph(wrapper: ExportWrapper, size: int, path: Path) -> None:
    """Write the ONNX graph for crops of `size` × `size` pixels, with a symbolic batch dimension."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    symbolic = {0: torch.export.Dim("N", min=1)}
    trace(wrapper, example, symbolic, path, input_name=INPUT_NAME, output_names=[OUTPUT_NAME])


def _check_parity(wrapper: ExportWrapper, session: Session, crops: NDArray[np.uint8]) -> Parity:
    """Compare torch and onnxruntime, in small batches and on the whole validation split.

    Raises:
        ExportError: A probability differs by more than 1e-4, or a top-1 class differs.
    """
    difference = 0.0
    for count in _PARITY_BATCHES:
        batch = crops[:count]
        exported = _run_session(session, batch)
        difference = max(difference, float(np.abs(exported - _run(wrapper, batch)).max()))
    expected, exported = _run(wrapper, crops), _run_session(session, crops)
    difference = max(difference, float(np.abs(exported - expected).max()))
    changed = int((exported.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if difference > _TOLERANCE or changed:
        raise ExportError(
            f"the exported graph differs from the network: maximum difference of probabilities {difference:.2e} "
            f"(at most {_TOLERANCE:.0e}), top-1 class changed for {changed} of {len(crops)} images"
        )
    return Parity(max_difference=difference, rows=len(crops))


def _metadata(
    run: RunFolder,
    recipe: EmotionRecipe,
    train: FaceDataset,
    validation: FaceDataset,
    wrapper: ExportWrapper,
    parity: Parity,
    probabilities: NDArray[np.float32],
) -> Metadata:
    splits = {str(part.splits[0]): len(part) for part in (train, validation)}
    return Metadata(
        schema=1,
        name=recipe.name,
        version=__version__,
        description=recipe.description,
        variant="mean logits of the face and of its mirror image" if wrapper.mirror else "",
        labels=validation.classes,
        input_size=recipe.network.input_size,
        crop=CropGeometry.model_validate(recipe.crop.model_dump()),
        selective_accuracy=recipe.selective_accuracy,
        temperature=wrapper.temperature,
        recipe=recipe.name,
        seed=recipe.seed,
        epochs=len(run.metrics()),  # the run may have stopped early
        data=TrainingData(
            name=train.name,
            splits=splits,
            sha256=train.sha256,
            rename=recipe.data.rename,
            held_out=_held_out(run, recipe, train, validation),
        ),
        start=run.starting_weights(),
        teachers=run.teachers(),
        parity=parity,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit() or run.environment()["commit"],
        licence=_LICENCE,
        **figures(probabilities, train, validation, recipe.selective_accuracy),
    )


def _held_out(
    run: RunFolder, recipe: EmotionRecipe, train: FaceDataset, validation: FaceDataset
) -> HeldOut | None:
    if str(validation.splits[0]) != HELD_OUT:
        return None
    limit = run.environment()["data"].get("limit")
    return HeldOut(split=str(train.splits[0]), fraction=recipe.data.hold_out, seed=recipe.seed, limit=limit)


def figures(
    probabilities: NDArray[np.float32], train: FaceDataset, validation: FaceDataset, selective_accuracy: float
) -> dict[str, Any]:
    """Compute the part of the metadata that depends on the file's predictions.

    Args:
        probabilities: float32 [N, C], predictions on the validation split.
        train: Training split.
        validation: Validation split with N images.
        selective_accuracy: Accuracy that the answers above the confidence threshold must reach.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == validation.labels
    threshold = uncertainty_threshold(confidence, correct, selective_accuracy)
    return {
        "metrics": score(probabilities, validation.labels, validation.classes, str(validation.splits[0])),
        "deduplicated": deduplicated(probabilities, train, validation),
        "uncertain_below": threshold,
        "accepted": round(float((confidence >= threshold).mean()), 5),
    }


def write_bundle(graph: Path, metadata: Metadata, out: Path) -> None:
    """Write a graph as a bundle, with this metadata and no other.

    Raises:
        ExportError: The file cannot be written.
    """
    write_model(graph, {METADATA_KEY: metadata.model_dump_json(by_alias=True)}, out)
