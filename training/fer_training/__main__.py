"""The command line: recipes, data, train, report, compare, record, export, quantize, evaluate, robustness."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from fer_service.contract.errors import FerError
from fer_service.detection.tiny import is_tiny_detector
from rich.console import Console

from fer_training.config import available_recipes, is_detector_recipe, read_recipe
from fer_training.errors import DataError, RecipeError, TrainingError

app = typer.Typer(
    help="Train emotion networks by recipe, and export them for the service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_Data = Annotated[
    Path,
    typer.Option("--data", help="A .parquet, the challenge's .csv, or a folder with one folder a class."),
]

_Faces = Annotated[
    Path | None, typer.Option("--faces", help="Of a detector: the faces to paste, as --data of the other recipes.")
]


@app.command()
def recipes() -> None:
    """List the recipes that come with the project."""
    for name in available_recipes():
        content, _ = read_recipe(name)
        description = content.get("description", "") if isinstance(content, dict) else ""
        print(f"{name}: {description}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML file.")],
    data: _Data,
    out: Annotated[Path, typer.Option(help="The run folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run folder stands.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many in each phase.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take about so many images a split.")] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="Begin with this checkpoint of the recipe's timm network.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin with random weights, whatever the recipe says.")
    ] = False,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="A finished run to learn from; may be given several times.")
    ] = None,
    teacher_cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps the teachers' answers (loss.teacher_views).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a file cannot be read.")] = False,
    pasted: _Faces = None,
) -> None:
    """Train a network by a recipe; under `torchrun` on several processes."""
    if is_detector_recipe(read_recipe(recipe)[0]):
        from fer_training.detector.commands import train as train_detector

        _no_options(
            pretrained=pretrained,
            from_scratch=from_scratch,
            teacher=teacher,
            strict=strict,
            teacher_cache=teacher_cache,
        )
        if pasted is None:
            raise DataError("a detector also needs faces to paste: name them with --faces")
        train_detector(
            recipe, data, pasted, out, resume=resume, device=device, limit=limit, seed=seed, epochs=epochs
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
        from_scratch=from_scratch,
        teachers=teacher or [],
        teacher_cache=teacher_cache,
        strict=strict,
        seed=seed,
        epochs=epochs,
    )


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    data: Annotated[Path | None, typer.Option(help="Where the run's data lies now, if it was moved.")] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Answer with the mean over face and mirror image: twice the work.")
    ] = False,
    faces: _Faces = None,
) -> None:
    """Export a run's best weights as one file for the service, with its model card beside it."""
    from fer_training.evaluate import print_metrics
    from fer_training.export import export as export_run
    from fer_training.run import RunFolder

    if is_detector_recipe(RunFolder(run).recipe_content()):
        from fer_training.detector.commands import export as export_detector

        _no_options(mirror=mirror)
        found = export_detector(RunFolder(run), out, data, faces).found["all"]
        print(
            f"{out}: AP50 {found.ap50:.3f} and recall {found.recall:.3f} at 0.5 false boxes an image, "
            f"of {found.count} held-out faces"
        )
        return
    metadata = export_run(RunFolder(run), out, data, mirror=mirror)
    print_metrics(metadata.metrics, Console())
    print(
        f"{out}: temperature {metadata.temperature:.3f}, uncertain below {metadata.uncertain_below:.3f}, "
        f"parity {metadata.parity.max_difference:.1e} over {metadata.parity.rows} images"
    )


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="A bundle.")],
    data: _Data,
    split: Annotated[str, typer.Option(help="A split that the data has.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    beside: Annotated[
        list[str] | None, typer.Option(help="Of a detector: another, as FER_DETECTOR, measured in the same run.")
    ] = None,
) -> None:
    """Score a bundle, or a detector, through onnxruntime, exactly as it is served."""
    if is_tiny_detector(model):
        from fer_training.detector.commands import evaluate as evaluate_detector
        from fer_training.detector.comparison import print_comparison

        measured = evaluate_detector(model, data, split, beside or [])
        if as_json:
            print(json.dumps([entry.as_json() for entry in measured], indent=2))
        else:
            print_comparison(measured, Console(width=160))
        return
    _no_options(beside=beside)
    from fer_training.evaluate import evaluate_file, print_metrics

    metrics = evaluate_file(model, data, split)
    if as_json:
        print(metrics.model_dump_json(indent=2))
    else:
        print_metrics(metrics, Console())


@app.command()
def robustness(
    model: Annotated[Path, typer.Option(help="A bundle.")],
    data: _Data,
    detector: Annotated[str, typer.Option(help="As FER_DETECTOR: finds the faces of the whole line.")] = "auto",
    write: Annotated[bool, typer.Option("--write", help="Put the figures into the file and its card.")] = False,
) -> None:
    """Measure a bundle on worse images and through the whole line, on its validation split."""
    from fer_training.commands import robustness as measure_robustness
    from fer_training.robustness import print_robustness

    print_robustness(measure_robustness(model, data, detector, write=write), Console())


@app.command("data")
def describe_data(
    path: Annotated[Path, typer.Argument(help="What --data takes.")],
    out: Annotated[Path | None, typer.Option(help="Write figures into this folder.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a file cannot be read.")] = False,
) -> None:
    """Print and plot what is in a data set: classes, duplicates, contradicting labels, unreadable files."""
    from fer_training.commands import describe

    describe(path, out, Console(), strict=strict)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[Path | None, typer.Option(help="Where the run's data lies now, if it was moved.")] = None,
    faces: _Faces = None,
) -> None:
    """Write a run's report: one HTML page, its figures as PNG, and the predictions."""
    from fer_training.report import write_report
    from fer_training.run import RunFolder

    if is_detector_recipe(RunFolder(run).recipe_content()):
        from fer_training.detector.commands import report as report_detector

        print(report_detector(RunFolder(run), data, faces))
        return
    print(write_report(RunFolder(run), data))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is what others are compared with.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("comparison.html"),
    data: Annotated[Path | None, typer.Option(help="Where the runs' data lies now, if it was moved.")] = None,
) -> None:
    """Put runs side by side, on the screen and as a page."""
    from fer_training.report import print_comparison, write_comparison
    from fer_training.run import RunFolder

    print_comparison(write_comparison([RunFolder(run) for run in runs], out, data), Console())
    print(out)


@app.command()
def record(
    run: Annotated[Path, typer.Argument(help="A run folder, finished or not.")],
    into: Annotated[Path, typer.Option(help="The table, a CSV file; made where it is not there.")],
    note: Annotated[str, typer.Option(help="What was learnt, and whether it was kept.")] = "",
) -> None:
    """Put a run into the table of results, good or bad."""
    from fer_training.results import record as put
    from fer_training.results import result_of
    from fer_training.run import RunFolder

    result = result_of(RunFolder(run), note)
    put(result, into)
    print(f"{into}: {result.recipe}, seed {result.seed}, {result.epochs} epochs, {result.accuracy:.2%}")


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="A bundle.")],
    data: _Data,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    fp16: Annotated[bool, typer.Option("--fp16", help="Only store weights in half precision.")] = False,
    half: Annotated[bool, typer.Option("--half", help="Compute in half precision, for GPUs.")] = False,
    calibration: Annotated[int, typer.Option(min=8, help="Images that set INT8's ranges.")] = 512,
    force: Annotated[bool, typer.Option("--force", help="Write it whatever accuracy it loses.")] = False,
) -> None:
    """Make a smaller file of a bundle (INT8), measure it, and refuse it if it loses more than half a point."""
    from fer_training.quantize import variant

    if fp16 and half:
        raise typer.BadParameter("--fp16 and --half are two different files: give one of them")
    kind: Literal["int8", "fp16-weights", "fp16"] = "fp16" if half else "fp16-weights" if fp16 else "int8"
    before, after = variant(model, out, data, kind=kind, calibration_size=calibration, force=force)
    print(
        f"{out}: {out.stat().st_size / 1e6:.1f} MB instead of {model.stat().st_size / 1e6:.1f}; "
        f"{after.split} accuracy {after.accuracy:.2%} instead of {before.accuracy:.2%}, "
        f"ECE-15 {after.ece15:.4f} instead of {before.ece15:.4f}"
    )


def _no_options(**given: object) -> None:
    """Refuse options that the other kind of recipe has."""
    for name, value in given.items():
        if value:
            raise RecipeError(
                f"--{name.replace('_', '-')} has no meaning here: it is of the other kind of network"
            )


def main() -> None:
    """Entry point: an error that was foreseen is one line, not a traceback."""
    try:
        app()
    except (TrainingError, FerError) as error:
        print(f"fer-train: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        print(f"fer-train needs {error.name}: install fer-service[training]", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("fer-train: interrupted; go on with --resume", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
