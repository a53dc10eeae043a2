"""The task `landmarks`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_service.contract.errors import DetectorError
from fer_service.detection.landmarks import METADATA_KEY, read_landmark_metadata
from fer_service.onnx.session import Session
from lightning.fabric import Fabric
from rich.console import Console

from fer_training.engine.pages import save_png
from fer_training.engine.plots import learning_curves
from fer_training.engine.recipe import Recipe
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.task import TrainArguments
from fer_training.errors import DataError, RunError
from fer_training.tasks.landmarks.export import export_landmarks, finder
from fer_training.tasks.landmarks.learner import LandmarkData, LandmarkLearner, read_data, read_validation
from fer_training.tasks.landmarks.recipe import LandmarkRecipe
from fer_training.tasks.landmarks.scoring import TURN, Errors, measured


class LandmarkTask:
    """Landmarks of faces."""

    recipe: type[Recipe] = LandmarkRecipe
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"landmarks"}),
        "export": frozenset({"data", "landmarks"}),
        "evaluate": frozenset({"landmarks"}),
        "report": frozenset(),
    }
    metadata_key = METADATA_KEY

    def learner(
        self, recipe: LandmarkRecipe, run: RunFolder, fabric: Fabric, arguments: TrainArguments
    ) -> LandmarkLearner:
        """Prepare a training (see `Task.learner`)."""
        landmarks = _landmarks(arguments.options)
        data = read_data(arguments.data, landmarks, arguments.limit)
        about = {
            "path": str(arguments.data.absolute()),
            "landmarks": str(landmarks.absolute()),
            "name": data.name,
            "sha256": data.sha256,
            "splits": {"train": len(data.train), "validation": len(data.validation)},
            "limit": arguments.limit,
        }
        return LandmarkLearner(recipe, data, fabric, {"data": about})

    def export(self, run: RunFolder, out: Path, options: Mapping[str, Any], console: Console) -> None:
        """Export a run (see `export_landmarks`)."""
        recipe = run.recipe(LandmarkRecipe)
        made = export_landmarks(run, recipe, _run_data(run, options), out)
        console.print(
            f"{out}: mean distance {made.distance:.3f} sides, {made.turned_distance:.3f} rotated by {TURN:.0f}°",
            soft_wrap=True,
        )

    def evaluate(self, model: Path, data: Path, options: Mapping[str, Any]) -> "LandmarkEvaluation":
        """Evaluate a landmark network on the validation split of labelled faces.

        Raises:
            DetectorError: The file is not a landmark network.
            DataError: The faces or their landmarks cannot be read.
        """
        session = Session.open(model, device="cpu", threads=1, failure=DetectorError)
        read_landmark_metadata(session, str(model))
        faces = read_validation(data, _landmarks(options))
        return LandmarkEvaluation(len(faces), *measured(finder(session), faces))

    def report(self, run: RunFolder, options: Mapping[str, Any]) -> Path:
        """Write the learning curves of a run."""
        path = run.path / "figures" / "curves.png"
        save_png(learning_curves({run.path.name: run.metrics()}, LandmarkLearner.metric), path)
        return path


@dataclass(frozen=True)
class LandmarkEvaluation:
    """Errors of a landmark network.

    Attributes:
        images: Number of faces.
        upright: Errors on the faces as they are.
        turned: Errors on the faces rotated by 30°.
    """

    images: int
    upright: Errors
    turned: Errors

    def as_json(self) -> str:
        """Return a JSON object."""
        return json.dumps(asdict(self), indent=2)

    def print_to(self, console: Console) -> None:
        """Print the errors."""
        for name, errors in (("as they are", self.upright), (f"rotated by {TURN:.0f}°", self.turned)):
            console.print(
                f"{self.images:,} faces {name}: mean distance {errors.distance:.4f} sides, "
                f"median error of the roll {errors.roll:.1f}°"
            )


_RECORDED = {"data": "path", "landmarks": "landmarks"}  # entries of environment.json by option


def _landmarks(options: Mapping[str, Any]) -> Path:
    path: Path | None = options.get("landmarks")
    if path is None:
        raise DataError("a landmark network needs the landmarks of the faces: give them with --landmarks")
    return path


def _run_data(run: RunFolder, options: Mapping[str, Any]) -> LandmarkData:
    recorded = run.environment()["data"]
    data, landmarks = (Path(options.get(name) or recorded[key]) for name, key in _RECORDED.items())
    found = read_data(data, landmarks, recorded["limit"])
    if found.sha256 != recorded["sha256"]:
        raise RunError(f"{data} or {landmarks} differs from the data that {run.path} was trained on")
    return found


TASK = LandmarkTask()
