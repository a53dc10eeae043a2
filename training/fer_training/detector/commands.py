"""What `fer-train train`, `export`, `evaluate` and `report` do where they are given a detector."""

from pathlib import Path

from fer_service.contract.errors import DetectorError
from fer_service.detection.tiny import DetectorMetadata, read_detector_metadata
from fer_service.onnx.session import Session

from fer_training.config import read_recipe, validated
from fer_training.detector.assets import NAME, SceneAssets, read_assets
from fer_training.detector.comparison import Measured, measure
from fer_training.detector.export import export_detector
from fer_training.detector.photographs import read_photographs
from fer_training.detector.recipe import DetectorRecipe
from fer_training.detector.report import write_detector_report
from fer_training.detector.trainer import JUDGED_SIDE, DetectorTrainer
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
    """Train a detector by a recipe.

    Args:
        recipe: A recipe's name, or a YAML file.
        data: The folder of photographs.
        faces: The faces to paste.
        out: The run folder.
        resume: Go on where it stands.
        device: auto, cpu, cuda or mps.
        limit: Take so many photographs and faces.
        changes: `seed` and `epochs`, instead of the recipe's.

    Raises:
        TrainingError: the recipe, the data or the run folder is not right.
    """
    plan = validated(DetectorRecipe, *read_recipe(recipe)).changed(**changes)
    assets = read_assets(data, faces, plan, limit)
    fabric = build_fabric(device)
    fabric.launch()
    run = RunFolder(out)
    training = DetectorTrainer(plan, assets, run, fabric)
    run.begin(plan, _about(data, faces, assets, limit), resume)
    training.fit()


def export(run: RunFolder, out: Path, data: Path | None, faces: Path | None) -> DetectorMetadata:
    """Export a detector's run (see `export_detector`); `data` and `faces` say where its data lies now."""
    return export_detector(run, run_recipe(run), run_assets(run, data, faces), out)


def report(run: RunFolder, data: Path | None, faces: Path | None) -> Path:
    """Write the report of a detector's run (see `write_detector_report`)."""
    return write_detector_report(run, run_recipe(run), run_assets(run, data, faces))


def evaluate(model: Path, data: Path, split: str, beside: list[str]) -> list[Measured]:
    """Measure a detector's file, and others beside it in the same run.

    Args:
        model: Made by `export`.
        data: A folder of photographs.
        split: `held-out` of the folder that it was trained on, or `all`.
        beside: Further detectors, as FER_DETECTOR.

    Raises:
        DetectorError: one of them is none.
        DataError: the photographs cannot be read, or are not those that have a held-out part.
    """
    session = Session.open(model, device="cpu", threads=1, failure=DetectorError)
    trained = read_detector_metadata(session, str(model)).data
    photographs = read_photographs(data)
    if split not in ("all", "held-out"):
        raise DataError(f"--split {split}: photographs have the splits held-out and all")
    if split == "held-out" and photographs.sha256 != trained.sha256[0]:
        raise DataError(f"{data} is not what {model} was trained on, so nothing of it was held out: --split all")
    chosen = photographs.images
    if split == "held-out":
        chosen = photographs.halves(trained.hold_out, trained.seed)[1]
    return measure([str(model), *beside], chosen, JUDGED_SIDE)


def run_recipe(run: RunFolder) -> DetectorRecipe:
    """The recipe of a detector's run.

    Raises:
        RunError: the folder is no run.
        RecipeError: it is damaged, or a run of something else.
    """
    return validated(DetectorRecipe, run.recipe_content(), str(run.path / "recipe.yaml"))


def run_assets(run: RunFolder, data: Path | None, faces: Path | None) -> SceneAssets:
    """The very data that a detector was trained on.

    Args:
        run: Of a detector.
        data: Where its photographs lie now, if they were moved.
        faces: Likewise its faces.

    Raises:
        RunError: what lies there is other data.
        DataError: it is not there, or cannot be read.
    """
    recorded = run.environment()["data"]
    paths = data or Path(recorded["path"]), faces or Path(recorded["faces"])
    assets = read_assets(*paths, run_recipe(run), recorded["limit"])
    if list(assets.sha256) != recorded["sha256"]:
        raise RunError(f"{paths[0]} and {paths[1]} are not the data that {run.path} was trained on")
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
