"""Export of a landmark network as an ONNX file for the service, checked against torch."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from fer_service import __version__
from fer_service.detection.landmarks import (
    INPUT_NAME,
    METADATA_KEY,
    OUTPUT_NAME,
    POINTS,
    LandmarkMetadata,
    read_landmark_metadata,
)
from fer_service.onnx.session import Session
from torch import Tensor

from fer_training.engine.checkpoint import load_checkpoint, restore
from fer_training.engine.onnx_export import check_output, trace, write_model
from fer_training.engine.run_folder import RunFolder, commit
from fer_training.errors import ExportError
from fer_training.tasks.landmarks.card import write_landmark_card
from fer_training.tasks.landmarks.learner import LandmarkData
from fer_training.tasks.landmarks.network import LandmarkExportWrapper, LandmarkNetwork
from fer_training.tasks.landmarks.recipe import SIDE, LandmarkRecipe
from fer_training.tasks.landmarks.scoring import Find, measured

_TOLERANCE = 1e-4  # sides
_BATCH = 256
_LICENCE = "MIT for the file itself. The weights were trained on images whose licences may restrict commercial use"


def export_landmarks(run: RunFolder, recipe: LandmarkRecipe, data: LandmarkData, out: Path) -> LandmarkMetadata:
    """Export the best epoch of a run, with its figures and a model card.

    Args:
        run: Finished or interrupted run.
        recipe: Recipe of the run.
        data: Data of the run.
        out: ONNX file to write. The card gets the same name with the suffix .md.

    Returns:
        Metadata of the file.

    Raises:
        RunError: The run has no weights.
        ExportError: The file's output differs from the network's, or it cannot be written.
    """
    check_output(out)
    saved = load_checkpoint(run.best)
    network = LandmarkNetwork(recipe.widths)
    restore(run.best, saved, {"network": network})
    wrapper = LandmarkExportWrapper(network.eval()).eval()
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        example = torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8)
        batch = {0: torch.export.Dim("N", min=1)}
        trace(wrapper, example, batch, graph, input_name=INPUT_NAME, output_names=[OUTPUT_NAME])
        session = Session.open(graph, device="cpu", threads=1)
        upright, turned = measured(finder(session), data.validation)
        metadata = LandmarkMetadata(
            schema=1,
            name=recipe.name,
            version=__version__,
            description=recipe.description,
            size=SIDE,
            data=data.name,
            sha256=data.sha256,
            images=(len(data.train), len(data.validation)),
            distance=round(upright.distance, 4),
            turned_distance=round(turned.distance, 4),
            roll=round(upright.roll, 2),
            turned_roll=round(turned.roll, 2),
            parity=_parity(wrapper, session, data.validation.levels[:_BATCH]),
            epochs=saved["epoch"],
            seed=recipe.seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit() or run.environment()["commit"],
            licence=_LICENCE,
        )
        write_model(graph, {METADATA_KEY: metadata.model_dump_json(by_alias=True)}, out)
    read_landmark_metadata(Session.open(out, device="cpu", threads=1), str(out))
    write_landmark_card(metadata, out.with_suffix(".md"))
    return metadata


def finder(session: Session) -> Find:
    """Return a function from grey levels to points, by an exported file."""

    def find(levels: Tensor) -> Tensor:
        rows = [session.run([OUTPUT_NAME], {INPUT_NAME: _crops(part)})[0] for part in torch.split(levels, _BATCH)]
        return torch.from_numpy(np.concatenate(rows)).reshape(-1, POINTS, 2)

    return find


def _crops(levels: Tensor) -> np.ndarray:
    """Return grey levels as the RGB crops that the file takes, uint8 [n, 48, 48, 3]."""
    return levels.to(torch.uint8).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()


def _parity(wrapper: LandmarkExportWrapper, session: Session, levels: Tensor) -> float:
    with torch.inference_mode():
        expected = wrapper(torch.from_numpy(_crops(levels).copy())).reshape(-1, POINTS, 2)
    difference = float((finder(session)(levels) - expected).abs().max())
    if difference > _TOLERANCE:
        raise ExportError(
            f"the exported graph differs from the network by {difference:.1e} sides (at most {_TOLERANCE:.0e})"
        )
    return difference
