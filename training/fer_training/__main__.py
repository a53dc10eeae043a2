"""The command line `fer-train`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from fer_service.contract.errors import FerError
from fer_service.contract.text import printable
from fer_service.detection.tiny import is_tiny_detector
from rich.console import Console

from fer_training.config import available_recipes, is_detector_recipe, read_recipe
from fer_training.errors import DataError, RecipeError, TrainingError

app = typer.Typer(
    help="Train emotion models and face detectors, and export them for the service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_Data = Annotated[
    Path,
    typer.Option("--data", help="Data: FER-2013 as .parquet or .csv, or a folder with one folder per class."),
]

_Faces = Annotated[
    Path | None, typer.Option("--faces", help="Detector only: face images to paste, in a format of --data.")
]


@app.command()
def recipes() -> None:
    """List the included recipes."""
    for name in available_recipes():
        content, _ = read_recipe(name)
        description = content.get("description", "") if isinstance(content, dict) else ""
        print(f"{name}: {description}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Recipe name or YAML file.")],
    data: _Data,
    out: Annotated[Path, typer.Option(help="Write the run into this folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in this folder.")] = False,
    device: Annotated[str, typer.Option(help="Training device: auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed; overrides the recipe.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Maximum epochs per phase.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use about this many images per split.")] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="Start from this checkpoint of the recipe's timm network.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Start from an exported file with the recipe's network: bundled, large, or a path."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from random weights, even if the recipe sets pretrained.")
    ] = False,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Run folder of a teacher for distillation. Repeat for an ensemble.")
    ] = None,
    teacher_cache: Annotated[
        Path | None, typer.Option(help="Cache the teachers' predictions in this folder (loss.teacher_views).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a file cannot be read.")] = False,
    pasted_faces: _Faces = None,
) -> None:
    """Train a network from a recipe. Use `torchrun` for several processes."""
    if is_detector_recipe(read_recipe(recipe)[0]):
        from fer_training.detector.commands import train as train_detector

        _refuse_options(
            pretrained=pretrained,
            init=init,
            from_scratch=from_scratch,
            teacher=teacher,
            strict=strict,
            teacher_cache=teacher_cache,
        )
        if pasted_faces is None:
            raise DataError("a detector recipe requires face images to paste: give them with --faces")
        train_detector(
            recipe, data, pasted_faces, out, resume=resume, device=device, limit=limit, seed=seed, epochs=epochs
        )
        return
    from fer_training.commands import train as train_emotions

    train_emotions(
        recipe,
        data,
        out,
        resume=resume,
        device=device,
        limit=limit,
        weights=pretrained,
        init=init,
        from_scratch=from_scratch,
        teachers=teacher or [],
        teacher_cache=teacher_cache,
        strict=strict,
        seed=seed,
        epochs=epochs,
    )


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Write this ONNX file.")],
    data: Annotated[Path | None, typer.Option(help="New path of the run's data, if it was moved.")] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average the face and its mirror image; doubles the computation.")
    ] = False,
    faces: _Faces = None,
) -> None:
    """Export a run as one ONNX file for the service, with a model card (.md) in the same folder."""
    from fer_training.evaluate import print_metrics
    from fer_training.export import export as export_run
    from fer_training.run import RunFolder

    if is_detector_recipe(RunFolder(run).recipe_content()):
        from fer_training.detector.commands import export as export_detector

        _refuse_options(mirror=mirror)
        found = export_detector(RunFolder(run), out, data, faces).found["all"]
        print(
            f"{out}: AP50 {found.ap50:.3f}, recall {found.recall:.3f} at 0.5 false boxes per image, "
            f"{found.count} held-out faces"
        )
        return
    metadata = export_run(RunFolder(run), out, data, mirror=mirror)
    print_metrics(metadata.metrics, Console())
    print(
        f"{out}: temperature {metadata.temperature:.3f}, uncertain below {metadata.uncertain_below:.3f}, "
        f"maximum difference from torch {metadata.parity.max_difference:.1e} over {metadata.parity.rows} images"
    )


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="Bundle or detector (ONNX file).")],
    data: _Data,
    split: Annotated[str | None, typer.Option(help="Split of the data, if it has several: PublicTest, …")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="CLASS=LABEL", help="Label of the model for a class of the data. Repeatable."
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="Find the faces first with this detector, a value of FER_DETECTOR. Default: an image is a face."
        ),
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write the results into the bundle and its card under this name."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Detector only: also measure this detector, a value of FER_DETECTOR. Repeatable."),
    ] = None,
) -> None:
    """Evaluate a bundle or a detector on labelled images with the service's own code."""
    if is_tiny_detector(model):
        from fer_training.detector.commands import evaluate as evaluate_detector
        from fer_training.detector.comparison import print_comparison

        _refuse_options(map=map_, detector=detector, write=write)
        if split is None:
            raise DataError("the evaluation of a detector requires --split held-out or --split all")
        measured = evaluate_detector(model, data, split, beside or [])
        if as_json:
            print(json.dumps([entry.as_json() for entry in measured], indent=2))
        else:
            print_comparison(measured, Console(width=160))
        return
    _refuse_options(beside=beside)
    from fer_training.commands import evaluate as evaluate_bundle
    from fer_training.labelled_images import print_evaluation

    evaluated = evaluate_bundle(model, data, split, _names(map_ or []), detector, write=write)
    if as_json:
        print(evaluated.evaluation.model_dump_json(indent=2))
    else:
        print_evaluation(evaluated, Console())


@app.command()
def robustness(
    model: Annotated[Path, typer.Option(help="Bundle (ONNX file).")],
    data: _Data,
    detector: Annotated[
        str, typer.Option(help="Face detector of the pipeline, a value of FER_DETECTOR.")
    ] = "auto",
    write: Annotated[
        bool, typer.Option("--write", help="Write the results into the bundle and its card.")
    ] = False,
) -> None:
    """Measure a bundle on degraded images and through the whole pipeline, on its validation split."""
    from fer_training.commands import robustness as measure_robustness
    from fer_training.robustness import print_robustness

    print_robustness(measure_robustness(model, data, detector, write=write), Console())


@app.command("data")
def describe_data(
    path: Annotated[Path, typer.Argument(help="Data, in a format of --data.")],
    out: Annotated[Path | None, typer.Option(help="Write figures into this folder.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if a file cannot be read, or training would be refused.")
    ] = False,
) -> None:
    """Print and plot a data set: classes, duplicates, unreadable files, and what would spoil a training."""
    from fer_training.commands import describe

    describe(path, out, Console(), strict=strict)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path | None, typer.Option(help="New path of the run's data, if it was moved.")] = None,
    faces: _Faces = None,
) -> None:
    """Write report.html, figures and predictions into a run folder."""
    from fer_training.report import write_report
    from fer_training.run import RunFolder

    if is_detector_recipe(RunFolder(run).recipe_content()):
        from fer_training.detector.commands import report as report_detector

        print(report_detector(RunFolder(run), data, faces))
        return
    print(write_report(RunFolder(run), data))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders. The first one is the baseline.")],
    out: Annotated[Path, typer.Option(help="Write this HTML page.")] = Path("comparison.html"),
    data: Annotated[Path | None, typer.Option(help="New path of the runs' data, if it was moved.")] = None,
) -> None:
    """Compare runs in a table and on an HTML page."""
    from fer_training.report import print_comparison, write_comparison
    from fer_training.run import RunFolder

    print_comparison(write_comparison([RunFolder(run) for run in runs], out, data), Console())
    print(out)


@app.command()
def record(
    run: Annotated[Path, typer.Argument(help="Run folder, complete or not.")],
    into: Annotated[Path, typer.Option(help="Table of results, a CSV file; created if missing.")],
    note: Annotated[str, typer.Option(help="Free text for the row.")] = "",
) -> None:
    """Add a run to a table of results."""
    from fer_training.results import record as add_row
    from fer_training.results import run_result
    from fer_training.run import RunFolder

    result = run_result(RunFolder(run), note)
    add_row(result, into)
    print(f"{into}: {result.recipe}, seed {result.seed}, {result.epochs} epochs, {result.accuracy:.2%}")


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="Bundle (ONNX file).")],
    data: _Data,
    out: Annotated[Path, typer.Option(help="Write this file.")],
    fp16: Annotated[bool, typer.Option("--fp16", help="Store the weights in fp16, compute in fp32.")] = False,
    half: Annotated[bool, typer.Option("--half", help="Compute in fp16, for GPUs.")] = False,
    calibration: Annotated[int, typer.Option(min=8, help="Number of calibration images for INT8.")] = 512,
    force: Annotated[
        bool, typer.Option("--force", help="Write the file even if the accuracy drops too far.")
    ] = False,
) -> None:
    """Write a smaller variant of a bundle (default INT8). Fail if the accuracy drops more than 0.5 points."""
    from fer_training.quantize import variant

    if fp16 and half:
        raise typer.BadParameter("--fp16 and --half exclude each other: give one of them")
    kind: Literal["int8", "fp16-weights", "fp16"] = "fp16" if half else "fp16-weights" if fp16 else "int8"
    before, after = variant(model, out, data, kind=kind, calibration_size=calibration, force=force)
    print(
        f"{out}: {out.stat().st_size / 1e6:.1f} MB (before {model.stat().st_size / 1e6:.1f} MB); "
        f"{after.split} accuracy {after.accuracy:.2%} (before {before.accuracy:.2%}), "
        f"ECE-15 {after.ece15:.4f} (before {before.ece15:.4f})"
    )


def _names(pairs: list[str]) -> dict[str, str]:
    """Return the labels by class name from `CLASS=LABEL` words."""
    names = {}
    for pair in pairs:
        name, _, label = pair.rpartition("=")
        if not (name and label):
            raise typer.BadParameter(f"--map needs CLASS=LABEL, for example --map smile=happy, not {pair!r}")
        names[name] = label
    return names


def _refuse_options(**given: object) -> None:
    """Refuse options that do not apply to this kind of model."""
    for name, value in given.items():
        if value:
            raise RecipeError(f"--{name.replace('_', '-')} does not apply to this kind of model: remove it")


def main() -> None:
    """Run the command line. Expected errors print one line instead of a traceback."""
    try:
        app()
    except (TrainingError, FerError) as error:
        print(f"fer-train: {printable(error)}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        print(
            f"fer-train: missing package {error.name}: use the environment that `make setup-training` creates",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("fer-train: interrupted; continue with --resume", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
