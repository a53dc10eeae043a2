"""Implementation of `fer-train train`, `export`, `evaluate` and `report` for detectors."""

from pathlib import Path

from fer_service.contract.errors import DetectorError
from fer_service.detection.tiny import DetectorMetadata, read_detector_metadata
from fer_service.onnx.session import Session

from fer_training.config import read_recipe, validate_recipe
from fer_training.detector.assets import NAME, SceneAssets, read_assets
from fer_training.detector.comparison import Measured, measure
from fer_training.detector.export import export_detector
from fer_training.detector.photographs import read_photographs
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.report import write_detector_report
from fer_training.detector.trainer import EVAL_SIDE, DetectorTrainer
from fer_training.device import build_fabric
from fer_training.errors import DataError, RunError
from fer_training.run import RunFolder


def train(
    recipe: str,
    data: Path,
    faces: Path,
    out: Path,
    *,
    resume: bool,
    device: str,
    limit: int | None,
    **changes: int | None,
) -> None:
    """Train a detector.

    Args:
        recipe: Recipe name or YAML file.
        data: Folder of photographs.
        faces: Path of the face data to paste.
        out: Run folder.
        resume: Continue the run in `out`.
        device: auto, cpu, cuda or mps.
        limit: Maximum number of photographs and of faces; None uses all.
        changes: `seed` and `epochs` that replace the recipe's values.

    Raises:
        TrainingError: The recipe, the data or the run folder is invalid.
    """
    resolved = validate_recipe(DetectorRecipe, *read_recipe(recipe)).changed(**changes)
    assets = read_assets(data, faces, resolved, limit)
    fabric = build_fabric(device)
    fabric.launch()
    run = RunFolder(out)
    training = DetectorTrainer(resolved, assets, run, fabric)
    run.begin(resolved, _about(data, faces, assets, limit), resume)
    training.fit()


def export(run: RunFolder, out: Path, data: Path | None, faces: Path | None) -> DetectorMetadata:
    """Export a detector's run (see `export_detector`). `data` and `faces` are new paths of moved data."""
    return export_detector(run, run_recipe(run), run_assets(run, data, faces), out)


def report(run: RunFolder, data: Path | None, faces: Path | None) -> Path:
    """Write the report of a detector's run (see `write_detector_report`)."""
    return write_detector_report(run, run_recipe(run), run_assets(run, data, faces))


def evaluate(model: Path, data: Path, split: str, beside: list[str]) -> list[Measured]:
    """Evaluate a detector, and optionally others on the same photographs.

    Args:
        model: File written by `export`.
        data: Folder of photographs.
        split: `all`, or `held-out` if the detector was trained on this folder.
        beside: Further detectors, as values of FER_DETECTOR.

    Raises:
        DetectorError: A file is not a detector.
        DataError: The photographs cannot be read, or the split is unknown or not available.
    """
    session = Session.open(model, device="cpu", threads=1, failure=DetectorError)
    trained = read_detector_metadata(session, str(model)).data
    photographs = read_photographs(data)
    if split not in ("all", "held-out"):
        raise DataError(f"unknown --split {split}: use held-out or all")
    if split == "held-out" and photographs.sha256 != trained.sha256[0]:
        raise DataError(f"{model} was not trained on {data}, so it has no held-out split: use --split all")
    chosen = photographs.images
    if split == "held-out":
        chosen = photographs.split(trained.hold_out, trained.seed)[1]
    return measure([str(model), *beside], chosen, EVAL_SIDE)


def run_recipe(run: RunFolder) -> DetectorRecipe:
    """Read the recipe of a detector's run.

    Raises:
        RunError: The folder is not a run directory, or recipe.yaml is damaged.
        RecipeError: The recipe is invalid, or is not a detector's.
    """
    return validate_recipe(DetectorRecipe, run.recipe_content(), str(run.path / "recipe.yaml"))


def run_assets(run: RunFolder, data: Path | None, faces: Path | None) -> SceneAssets:
    """Load the data that a detector was trained on.

    Args:
        run: Run of a detector.
        data: New path of the photographs, if they were moved.
        faces: New path of the faces, if they were moved.

    Raises:
        RunError: The data differs from the run's data.
        DataError: The data is missing or cannot be read.
    """
    recorded = run.environment()["data"]
    paths = data or Path(recorded["path"]), faces or Path(recorded["faces"])
    assets = read_assets(*paths, run_recipe(run), recorded["limit"])
    if list(assets.sha256) != recorded["sha256"]:
        raise RunError(
            f"{paths[0]} and {paths[1]} differ from the data that {run.path} was trained on: "
            "give the original data with --data and --faces"
        )
    return assets


def _about(data: Path, faces: Path, assets: SceneAssets, limit: int | None) -> dict[str, object]:
    return {
        "path": str(data.resolve()),
        "faces": str(faces.resolve()),
        "name": NAME,
        "sha256": list(assets.sha256),
        "splits": {"fit": len(assets.train), "held-out": len(assets.held_out), "pasted": len(assets.faces)},
        "limit": limit,
    }
