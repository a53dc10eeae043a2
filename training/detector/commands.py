"""What `fer-train train`, `export`, `evaluate` and `report` do where they are given a detector."""

from pathlib import Path

from training.config import read_recipe, validated
from training.detector.loop import DetectorTraining
from training.detector.material import NAME, Material, read_material
from training.detector.recipe import DetectorRecipe
from training.device import build_fabric
from training.errors import RunError
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
