"""The task `detection`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_service.contract.errors import DetectorError
from fer_service.detection.own import METADATA_KEY, read_detector_metadata
from fer_service.onnx.session import Session
from lightning.fabric import Fabric
from rich.console import Console

from fer_training.engine.recipe import Recipe
from fer_training.engine.run_folder import RunFolder, file_record
from fer_training.engine.task import TrainArguments
from fer_training.errors import DataError
from fer_training.tasks.detection.assets import NAME, SceneAssets, read_assets, run_assets
from fer_training.tasks.detection.comparison import Measured, measure, print_comparison
from fer_training.tasks.detection.export import export_detector
from fer_training.tasks.detection.exported_weights import exported_file
from fer_training.tasks.detection.learner import DetectionLearner
from fer_training.tasks.detection.photographs import EVAL_SIDE, read_photographs
from fer_training.tasks.detection.recipe import DetectionRecipe
from fer_training.tasks.detection.report import write_detector_report


class DetectionTask:
    """Face detectors."""

    recipe: type[Recipe] = DetectionRecipe
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"faces", "init"}),
        "export": frozenset({"data", "faces"}),
        "evaluate": frozenset({"split", "compare_with"}),
        "report": frozenset({"data", "faces"}),
    }
    metadata_key = METADATA_KEY

    def learner(
        self, recipe: DetectionRecipe, run: RunFolder, fabric: Fabric, arguments: TrainArguments
    ) -> DetectionLearner:
        """Prepare a training (see `Task.learner`)."""
        faces: Path | None = arguments.options.get("faces")
        if faces is None:
            raise DataError("a detector recipe requires face images to paste: give them with --faces")
        assets = read_assets(arguments.data, faces, recipe, arguments.limit)
        about: dict[str, object] = {"data": _about(arguments.data, faces, assets, arguments.limit)}
        init = exported_file(arguments.options.get("init"))
        if init:
            about["pretrained"] = file_record(init)
        # A resumed run takes its weights from the checkpoint.
        return DetectionLearner(
            recipe.limited(arguments.limit), assets, fabric, about, None if arguments.resumed else init
        )

    def export(self, run: RunFolder, out: Path, options: Mapping[str, Any], console: Console) -> None:
        """Export a run (see `export_detector`)."""
        found = export_detector(run, *_run(run, options), out).found["all"]
        console.print(
            f"{out}: AP50 {found.ap50:.3f}, recall {found.recall:.3f} at 0.5 false boxes per image, "
            f"{found.count} held-out faces",
            soft_wrap=True,
        )

    def evaluate(self, model: Path, data: Path, options: Mapping[str, Any]) -> "DetectionEvaluation":
        """Evaluate a detector, and optionally others on the same photographs.

        Args:
            model: File written by `export`.
            data: Folder of photographs.
            options: `split`: `all`, or `held-out` if the detector was trained on this folder. `compare_with`:
                further detectors, as values of FER_DETECTOR.

        Raises:
            DetectorError: A file is not a detector.
            DataError: The photographs cannot be read, or the split is unknown or not available.
        """
        split: str | None = options.get("split")
        if split is None:
            raise DataError("the evaluation of a detector requires --split held-out or --split all")
        session = Session.open(model, device="cpu", threads=1, failure=DetectorError)
        trained = read_detector_metadata(session, str(model)).data
        if split not in ("all", "held-out"):
            raise DataError(f"unknown --split {split}: use held-out or all")
        photographs = read_photographs(data)
        if split == "held-out" and photographs.sha256 != trained.sha256[0]:
            raise DataError(f"{model} was not trained on {data}, so it has no held-out split: use --split all")
        chosen = photographs.images
        if split == "held-out":
            chosen = photographs.split(trained.hold_out, trained.seed)[1]
        return DetectionEvaluation(measure([str(model), *options.get("compare_with", [])], chosen, EVAL_SIDE))

    def report(self, run: RunFolder, options: Mapping[str, Any]) -> Path:
        """Write the report of a run (see `write_detector_report`)."""
        return write_detector_report(run, *_run(run, options))


@dataclass(frozen=True)
class DetectionEvaluation:
    """Measurements of one detector or several."""

    measured: list[Measured]

    def as_json(self) -> str:
        """Return a JSON list with one object per detector."""
        return json.dumps([entry.as_json() for entry in self.measured], indent=2)

    def print_to(self, console: Console) -> None:
        """Print the measurements as tables."""
        print_comparison(self.measured, console)


def _run(run: RunFolder, options: Mapping[str, Any]) -> tuple[DetectionRecipe, SceneAssets]:
    recipe = run.recipe(DetectionRecipe)
    return recipe, run_assets(run, recipe, options.get("data"), options.get("faces"))


def _about(data: Path, faces: Path, assets: SceneAssets, limit: int | None) -> dict[str, object]:
    return {
        "path": str(data.absolute()),
        "faces": str(faces.absolute()),
        "name": NAME,
        "sha256": list(assets.sha256),
        "splits": {"train": len(assets.train), "held-out": len(assets.held_out), "pasted": len(assets.faces)},
        "limit": limit,
    }


TASK = DetectionTask()
