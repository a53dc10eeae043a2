"""What `fer-train train`, `export`, `evaluate` and `report` do where they are given a detector."""

from pathlib import Path

from service.detectors.own import DetectorMetadata, read_detector_metadata
from service.errors import DetectorError
from service.inference.session import Session
from training.config import read_recipe, validated
from training.detector.comparison import Measured, measure
from training.detector.export import export_detector
from training.detector.loop import JUDGED_SIDE, DetectorTraining
from training.detector.material import NAME, Material, read_material
from training.detector.photographs import read_photographs
from training.detector.recipe import DetectorRecipe
from training.detector.report import write_detector_report
from training.device import build_fabric
from training.errors import DataError, RunError
from training.run import RunFolder


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
    material = read_material(data, faces, plan, limit)
    fabric = build_fabric(device)
    fabric.launch()
    run = RunFolder(out)
    training = DetectorTraining(plan, material, run, fabric)
    run.begin(plan, _about(data, faces, material, limit), resume)
    training.go()


def export(run: RunFolder, out: Path, data: Path | None, faces: Path | None) -> DetectorMetadata:
    """Export a detector's run (see `export_detector`); `data` and `faces` say where its data lies now."""
    return export_detector(run, run_recipe(run), run_material(run, data, faces), out)


def report(run: RunFolder, data: Path | None, faces: Path | None) -> Path:
    """Write the report of a detector's run (see `write_detector_report`)."""
    return write_detector_report(run, run_recipe(run), run_material(run, data, faces))


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
    chosen = photographs.pictures
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


def run_material(run: RunFolder, data: Path | None, faces: Path | None) -> Material:
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
    material = read_material(*paths, run_recipe(run), recorded["limit"])
    if list(material.sha256) != recorded["sha256"]:
        raise RunError(f"{paths[0]} and {paths[1]} are not the data that {run.path} was trained on")
    return material


def _about(data: Path, faces: Path, material: Material, limit: int | None) -> dict[str, object]:
    return {
        "path": str(data.resolve()),
        "faces": str(faces.resolve()),
        "name": NAME,
        "sha256": list(material.sha256),
        "splits": {"fit": len(material.fit), "held-out": len(material.held_out), "pasted": len(material.faces)},
        "limit": limit,
    }
