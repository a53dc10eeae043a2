"""The task `emotion`."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fer_service import assets
from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import METADATA_KEY
from fer_service.contract.text import printable
from lightning.fabric import Fabric
from rich.console import Console

from fer_training.data import FaceDataset, load_dataset
from fer_training.engine.recipe import Recipe
from fer_training.engine.run_folder import RunFolder, file_record
from fer_training.engine.task import TrainArguments
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.calibrate import ENOUGH_IMAGES
from fer_training.tasks.emotion.card import write_card
from fer_training.tasks.emotion.describe import report_doubts, report_unreadable
from fer_training.tasks.emotion.evaluate import better_constant, print_metrics
from fer_training.tasks.emotion.export import export, write_bundle
from fer_training.tasks.emotion.labelled_images import (
    EvaluatedImages,
    describe_left_out,
    evaluate_file,
)
from fer_training.tasks.emotion.learner import EmotionLearner, Start
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.report import write_report
from fer_training.tasks.emotion.splits import recipe_classes, train_and_validation
from fer_training.tasks.emotion.teachers import teacher_weights, weights_sha256


class EmotionTask:
    """Emotion models."""

    recipe: type[Recipe] = EmotionRecipe
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"pretrained", "init", "from_scratch", "teacher", "teacher_cache", "strict"}),
        "export": frozenset({"data", "mirror"}),
        "evaluate": frozenset({"split", "map", "detector", "write"}),
        "report": frozenset({"data"}),
    }
    metadata_key = METADATA_KEY

    def learner(
        self, recipe: EmotionRecipe, run: RunFolder, fabric: Fabric, arguments: TrainArguments
    ) -> EmotionLearner:
        """Prepare a training (see `Task.learner`)."""
        options, limit = arguments.options, arguments.limit
        weights: Path | None = options.get("pretrained")
        init: str | None = options.get("init")
        if init and weights:
            raise RecipeError("--init and --pretrained exclude each other")
        if options.get("from_scratch") and (init or weights):
            raise RecipeError(f"--from-scratch and {'--init' if init else '--pretrained'} exclude each other")
        exported = assets.model_file(init) if init else None
        from_scratch: bool = options.get("from_scratch", False)
        given = weights or exported or recipe.network.pretrained or from_scratch or arguments.resumed
        if not given and recipe.phases[0].trainable != "all":
            raise RecipeError(
                f"{recipe.name} begins with some layers frozen, so it needs trained weights: give --init bundled, "
                "--init FILE or --pretrained FILE, or --from-scratch for random weights"
            )
        teachers = [assets.model_file(teacher) for teacher in options.get("teacher") or []]
        records = [file_record(path, teacher_weights(path)) for path in teachers]
        if len({weights_sha256(path) for path in teachers}) < len(teachers):
            raise RecipeError("--teacher names the same weights twice: give each teacher once")
        faces = load_dataset(arguments.data, recipe.network.input_size)
        report_unreadable(faces.unreadable, strict=options.get("strict", False))
        faces = recipe_classes(faces, recipe)
        report_doubts(faces, recipe.data)
        if faces.votes is None and (recipe.loss.votes or recipe.loss.votes_head):
            print(f"note: the data has no FER+ votes, which {recipe.name} would also learn", file=sys.stderr)
        views = bool(teachers) and recipe.loss.teacher_views > 0
        return EmotionLearner(
            recipe,
            *train_and_validation(faces.limited(limit) if limit else faces, recipe),
            fabric,
            about={
                "data": data_record(faces, arguments.data, limit),
                "pretrained": file_record(weights or exported),
                "teachers": records,
            },
            # A resumed run takes its weights from the checkpoint.
            start=Start() if arguments.resumed else Start(weights, exported, from_scratch=from_scratch),
            teachers=teachers,
            teacher_cache=options.get("teacher_cache") or (run.path / "teacher-cache" if views else None),
        )

    def export(self, run: RunFolder, out: Path, options: Mapping[str, Any], console: Console) -> None:
        """Export a run (see `export`)."""
        metadata = export(run, out, options.get("data"), mirror=options.get("mirror", False))
        say = partial(console.print, soft_wrap=True)
        print_metrics(metadata.metrics, console)
        say(
            f"{out}: temperature {metadata.temperature:.3f}, uncertain below {metadata.uncertain_below:.3f}, "
            f"maximum difference from torch {metadata.parity.max_difference:.1e} over "
            f"{metadata.parity.rows} images"
        )
        if label := better_constant(metadata.metrics):
            say(
                f"warning: the model learned nothing useful: to answer {label} every time would be as accurate. "
                "Train for more epochs, with another learning rate, or on more images"
            )
        if (count := metadata.metrics.count) < ENOUGH_IMAGES:
            say(
                f"uncertain below {metadata.uncertain_below:.3f} is a default: {count} validation images are too "
                f"few to choose it, {ENOUGH_IMAGES} are needed"
            )

    def evaluate(self, model: Path, data: Path, options: Mapping[str, Any]) -> EvaluatedImages:
        """Evaluate a bundle on labelled images (see `evaluate_file`).

        Args:
            model: Path of the bundle.
            data: Path of the data (see `load_dataset`).
            options: `split`: name of the split. `map`: labels of the bundle by class name of the data, where they
                differ. `detector`: a value of FER_DETECTOR; without it each image is one face. `write`: name under
                which the results are written into the bundle and its card.
        """
        evaluated = evaluate_file(
            model, data, options.get("split"), names=options.get("map") or {}, detector=options.get("detector")
        )
        report_unreadable(evaluated.unreadable, strict=False)
        if evaluated.left_out:
            print(printable(describe_left_out(evaluated)), file=sys.stderr)
        if (share := evaluated.uncut_share) is not None:
            print(
                f"warning: the faces fill only {share:.0%} of the height of their images; --detector auto finds "
                "and cuts them first, as the service does",
                file=sys.stderr,
            )
        if written := options.get("write"):
            about = open_classifier(model, "cpu", 1).bundle.metadata
            about = about.model_copy(update={"evaluations": about.evaluations | {written: evaluated.evaluation}})
            write_bundle(model, about, model)
            write_card(about, model.with_suffix(".md"))
        return evaluated

    def report(self, run: RunFolder, options: Mapping[str, Any]) -> Path:
        """Write the report of a run (see `write_report`)."""
        return write_report(run, options.get("data"))


def data_record(data: FaceDataset, path: Path, limit: int | None) -> dict[str, Any]:
    """Describe the data of a run for environment.json.

    Args:
        data: Data with the recipe's classes, before `limit` is applied.
        path: Path of the data.
        limit: Images per split that are used; None uses all.
    """
    return {
        "path": str(path.absolute()),
        "name": data.name,
        "sha256": data.sha256,
        "splits": data.split_sizes,
        "classes": list(data.classes),
        "limit": limit,
    }


TASK = EmotionTask()
