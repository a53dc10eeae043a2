"""A run's best weights → one ONNX file that holds everything the service needs, proven equal to the network."""

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

from fer_training.calibrate import fit_temperature, threshold_for
from fer_training.card import write_card
from fer_training.config import Recipe
from fer_training.data import FaceDataset
from fer_training.data.dataset import HELD_OUT
from fer_training.errors import ExportError
from fer_training.evaluate import deduplicated, score, served_crops
from fer_training.model import ExportWrapper
from fer_training.onnx_export import trace, write_model
from fer_training.predictions import best_network
from fer_training.run import RunFolder, commit
from fer_training.splits import train_and_validation

_TOLERANCE = 1e-4
_PARITY_BATCHES = (1, 2, 17)
_BATCH = 256
_LICENCE = (
    "MIT for the file's making; its weights were fitted to images whose own terms may restrict commercial use"
)


def export(run: RunFolder, out: Path, data_path: Path | None = None, *, mirror: bool = False) -> Metadata:
    """Export a run's best weights with calibration, threshold, figures and card.

    Args:
        run: A finished or interrupted run.
        out: The ONNX file to write; the card goes beside it with the suffix .md.
        data_path: Where the run's data lies now, if it was moved.
        mirror: The file answers with the mean over the face and its mirror image, at twice the work.

    Returns:
        What the file says of itself.

    Raises:
        RunError: the run has no weights yet, or its data is not there or not the same.
        ExportError: the file does not answer as the network does.
    """
    recipe = run.recipe()
    train, validation = train_and_validation(run.data(data_path), recipe)
    network = best_network(run, recipe, len(validation.classes))

    crops = np.stack(list(served_crops(validation.images, recipe.network.input_size, recipe.crop)))
    served = ExportWrapper(network, recipe.network.channels, 1.0, mirror=mirror).eval()
    logits = _run(served, crops, logits=True)
    served.temperature = fit_temperature(logits, validation.labels)

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        write_graph(served, recipe.network.input_size, graph)
        session = Session.open(graph, device="cpu", threads=available_cores())
        parity = _parity(served, session, crops)
        # The figures are those of this very graph; only then does the file learn them.
        probabilities = _run_session(session, crops)
        metadata = _metadata(run, recipe, train, validation, served, parity, probabilities)
        write_bundle(graph, metadata, out)
    read_metadata(Session.open(out, device="cpu", threads=1), str(out))
    write_card(metadata, out.with_suffix(".md"))
    return metadata


def _run(served: ExportWrapper, crops: NDArray[np.uint8], *, logits: bool = False) -> NDArray[np.float32]:
    """Probabilities (or logits) of crops uint8 [N, S, S, 3] by torch."""
    with torch.inference_mode():
        batches = torch.split(torch.from_numpy(crops), _BATCH)
        parts = [served.logits(batch) if logits else served(batch) for batch in batches]
    return torch.cat(parts).numpy()


def _run_session(session: Session, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities of crops uint8 [N, S, S, 3] by onnxruntime."""
    parts = [
        session.run([OUTPUT_NAME], {INPUT_NAME: crops[start : start + _BATCH]})[0]
        for start in range(0, len(crops), _BATCH)
    ]
    return np.concatenate(parts)


def write_graph(served: ExportWrapper, size: int, path: Path) -> None:
    """Write the graph for crops of so many pixels a side, with a symbolic batch."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    symbolic = {0: torch.export.Dim("N", min=1)}
    trace(served, example, symbolic, path, input_name=INPUT_NAME, output_names=[OUTPUT_NAME])


def _parity(served: ExportWrapper, session: Session, crops: NDArray[np.uint8]) -> Parity:
    """Compare torch and onnxruntime, in small batches and over the whole validation split.

    Raises:
        ExportError: probabilities differ by more than 1e-4, or a top-1 answer differs.
    """
    difference = 0.0
    for count in _PARITY_BATCHES:
        batch = crops[:count]
        answer = _run_session(session, batch)
        difference = max(difference, float(np.abs(answer - _run(served, batch)).max()))
    expected, answer = _run(served, crops), _run_session(session, crops)
    difference = max(difference, float(np.abs(answer - expected).max()))
    changed = int((answer.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if difference > _TOLERANCE or changed:
        raise ExportError(
            f"the exported graph is not the network: probabilities differ by {difference:.2e} "
            f"(at most {_TOLERANCE:.0e}), {changed} answers of {len(crops)} changed"
        )
    return Parity(max_difference=difference, rows=len(crops))


def _metadata(
    run: RunFolder,
    recipe: Recipe,
    train: FaceDataset,
    validation: FaceDataset,
    served: ExportWrapper,
    parity: Parity,
    probabilities: NDArray[np.float32],
) -> Metadata:
    splits = {str(part.splits[0]): len(part) for part in (train, validation)}
    return Metadata(
        schema=1,
        name=recipe.name,
        version=__version__,
        description=recipe.description,
        variant="mean logits of the face and of its mirror image" if served.mirror else "",
        labels=validation.classes,
        input_size=recipe.network.input_size,
        crop=CropGeometry.model_validate(recipe.crop.model_dump()),
        selective_accuracy=recipe.selective_accuracy,
        temperature=served.temperature,
        recipe=recipe.name,
        seed=recipe.seed,
        epochs=recipe.epochs,
        data=TrainingData(
            name=train.name,
            splits=splits,
            sha256=train.sha256,
            rename=recipe.data.rename,
            held_out=_held_out(run, recipe, train, validation),
        ),
        parity=parity,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit() or run.environment()["commit"],
        licence=_LICENCE,
        **figures(probabilities, train, validation, recipe.selective_accuracy),
    )


def _held_out(run: RunFolder, recipe: Recipe, train: FaceDataset, validation: FaceDataset) -> HeldOut | None:
    if str(validation.splits[0]) != HELD_OUT:
        return None
    limit = run.environment()["data"].get("limit")
    return HeldOut(split=str(train.splits[0]), fraction=recipe.data.hold_out, seed=recipe.seed, limit=limit)


def figures(
    probabilities: NDArray[np.float32], train: FaceDataset, validation: FaceDataset, selective_accuracy: float
) -> dict[str, Any]:
    """The part of the metadata that follows from a file's own answers.

    Args:
        probabilities: float32 [N, C], the answers to the validation split.
        train: The split that the weights were fitted to.
        validation: The N images of the validation split.
        selective_accuracy: What the answers that are not uncertain have to reach.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == validation.labels
    threshold = threshold_for(confidence, correct, selective_accuracy)
    return {
        "metrics": score(probabilities, validation.labels, validation.classes, str(validation.splits[0])),
        "deduplicated": deduplicated(probabilities, train, validation),
        "uncertain_below": threshold,
        "accepted": round(float((confidence >= threshold).mean()), 5),
    }


def write_bundle(graph: Path, metadata: Metadata, out: Path) -> None:
    """Write a graph with its metadata, and nothing else in it, as a bundle.

    Raises:
        ExportError: the file cannot be written.
    """
    write_model(graph, {METADATA_KEY: metadata.model_dump_json(by_alias=True)}, out)
