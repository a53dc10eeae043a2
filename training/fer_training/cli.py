"""The command line `fer-train`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from fer_service import assets
from fer_service.contract.errors import FerError
from fer_service.contract.text import printable
from fer_service.system.commands import Commands
from fer_service.system.program import as_typed
from fer_service.system.terminal import escape_unencodable
from rich.console import Console

from fer_training.engine.recipe import MAX_SEED, available_recipes, read_recipe, validate_recipe
from fer_training.errors import RecipeError, TrainingError

app = typer.Typer(
    cls=Commands,
    help="Train emotion models, face detectors and landmark networks, and export them for the service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_INTERRUPTED: Final = 130


def _console() -> Console:
    """Return a console that shows brackets and numbers as they are."""
    return Console(markup=False, highlight=False)


_LABELLED = (
    "Labelled images: a folder with one folder per class, FER-2013 as .csv or .parquet, or another layout of "
    "docs/data-sets.md."
)
_Data = Annotated[Path, typer.Option("--data", metavar="PATH", help=_LABELLED)]
_WITH_PHOTOGRAPHS = f"{_LABELLED} For a detector: a folder of photographs with faces.json."
_TaskData = Annotated[Path, typer.Option("--data", metavar="PATH", help=_WITH_PHOTOGRAPHS)]
_Moved = Annotated[Path | None, typer.Option("--data", help="New path of the run's data, if it was moved.")]
_Faces = Annotated[
    Path | None, typer.Option("--faces", help="Detector only: face images to paste, in a format of --data.")
]

_Landmarks = Annotated[
    Path | None,
    typer.Option("--landmarks", help="Landmark networks only: CSV of tools/label_landmarks.py."),
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
    data: _TaskData,
    out: Annotated[Path, typer.Option(help="Write the run into this folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in this folder.")] = False,
    device: Annotated[str, typer.Option(help="Training device: auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_SEED, help="Random seed instead of the recipe's.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Maximum epochs per phase.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use about this many images per split.")] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="Start from this checkpoint of the recipe's timm network.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Start from a model file with the recipe's network: bundled, large, or a path."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from random weights, even if the recipe sets pretrained.")
    ] = False,
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Run folder, model file, bundled or large. Repeat for an ensemble."),
    ] = None,
    teacher_cache: Annotated[
        Path | None, typer.Option(help="Store the teachers' predictions in this folder (loss.teacher_views).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a file cannot be read.")] = False,
    faces: _Faces = None,
    landmarks: _Landmarks = None,
) -> None:
    """Train a network from a recipe. Use `torchrun` for several processes."""
    from fer_training.data.tree import refuse_output_inside
    from fer_training.engine.device import build_fabric
    from fer_training.engine.results import summary
    from fer_training.engine.run_folder import RunFolder
    from fer_training.engine.task import TrainArguments
    from fer_training.engine.trainer import Trainer
    from fer_training.tasks import task_of

    content, where = read_recipe(recipe)
    task = task_of(content)
    options = _given(
        task.options["train"],
        pretrained=pretrained,
        init=init,
        from_scratch=from_scratch,
        teacher=teacher,
        teacher_cache=teacher_cache,
        strict=strict,
        faces=faces,
        landmarks=landmarks,
    )
    resolved = validate_recipe(task.recipe, content, where).changed(seed=seed, epochs=epochs)
    fabric = build_fabric(device)
    fabric.launch()
    run = RunFolder(out)
    run.check_new(resume)  # before the data are read
    if not run.last.exists():
        refuse_output_inside(out, data)
    learner = task.learner(resolved, run, fabric, TrainArguments(data, limit, run.last.exists(), options))
    trainer = Trainer(resolved, learner, run, fabric)
    if fabric.is_global_zero:
        run.start(resolved, learner.about, resume)
    fabric.barrier()
    trainer.fit()
    if fabric.is_global_zero:
        for line in summary(run, resolved, learner.sizes, learner.keeps_best):
            print(printable(line))
        print(f"next: {as_typed('fer-train', 'fer_training')} export {shlex.quote(str(out))} --out model.onnx")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Write this ONNX file.")],
    data: _Moved = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average the face and its mirror image; doubles the computation.")
    ] = False,
    faces: _Faces = None,
    landmarks: _Landmarks = None,
) -> None:
    """Export a run as one ONNX file for the service, with a model card (.md) in the same folder."""
    from fer_training.engine.run_folder import RunFolder
    from fer_training.tasks import task_of

    folder = RunFolder(run)
    task = task_of(folder.recipe_content())
    options = _given(task.options["export"], data=data, mirror=mirror, faces=faces, landmarks=landmarks)
    task.export(folder, out, options, _console())


@app.command()
def evaluate(
    model: Annotated[
        Path,
        typer.Option(
            help="Exported model file (.onnx), or bundled or large: the INT8 file that the service uses on a CPU."
        ),
    ],
    data: _TaskData,
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
            help="Find the faces first with this detector, a value of FER_DETECTOR. Default: an image is one face."
        ),
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write the results into the model file and its card under this name."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    compare_with: Annotated[
        list[str] | None,
        typer.Option(help="Detector only: also measure this detector, a value of FER_DETECTOR. Repeatable."),
    ] = None,
    landmarks: _Landmarks = None,
) -> None:
    """Evaluate an exported model on labelled images with the service's own code."""
    from fer_training.tasks import task_of_model

    if write and str(model) in assets.MODELS:
        raise RecipeError(f"--write would change the installed file of {model}: give the path of a file")
    model = assets.model_file(str(model), int8=True)
    task = task_of_model(model)
    options = _given(
        task.options["evaluate"],
        split=split,
        map=_names(map_ or []),
        detector=detector,
        write=write,
        landmarks=landmarks,
        compare_with=compare_with,
    )
    evaluation = task.evaluate(model, data, options)
    if as_json:
        print(evaluation.as_json())
    else:
        evaluation.print_to(_console())


@app.command()
def robustness(
    model: Annotated[Path, typer.Option(help="Exported model file (.onnx).")],
    data: _Data,
    detector: Annotated[
        str, typer.Option(help="Face detector of the pipeline, a value of FER_DETECTOR.")
    ] = "auto",
    write: Annotated[
        bool, typer.Option("--write", help="Write the results into the model file and its card.")
    ] = False,
) -> None:
    """Measure a model on degraded images and through the whole pipeline, on its validation split."""
    from fer_training.tasks.emotion.robustness import measure_file, print_robustness

    print_robustness(measure_file(model, data, detector, write=write), _console())


@app.command("data")
def describe_data(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Labelled images, as for `fer-train train --data`."),
    ],
    out: Annotated[Path | None, typer.Option(help="Write figures into this folder.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if a file cannot be read, or training would be refused.")
    ] = False,
) -> None:
    """Print and plot a data set: classes, duplicates, unreadable files, and what would spoil a training."""
    from fer_training.tasks.emotion.describe import describe

    describe(path, out, _console(), strict=strict)


@app.command("cut-faces")
def cut_faces_out(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder of photographs, with or without folders for classes and splits.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Write the faces into this folder, in the same subfolders.")],
    detector: Annotated[str, typer.Option(help="Detector, as in FER_DETECTOR.")] = "auto",
) -> None:
    """Cut the largest face out of each photograph, with the crop of the service."""
    from rich.progress import Progress

    from fer_training.data.face_cutter import cut_photographs

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("photographs", total=None)
        counts = cut_photographs(folder, out, detector=detector, done=lambda: bar.advance(task))
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    print(f"next: {as_typed('fer-train', 'fer_training')} data {shlex.quote(str(out))}")


@app.command("cut-crema-d")
def cut_crema_d(
    folder: Annotated[Path, typer.Argument(help="CREMA-D folder: summaryTable.csv and the clips, at any depth.")],
    out: Annotated[Path, typer.Option(help="Write one folder per split and class into this folder.")],
    frames: Annotated[int, typer.Option(min=1, max=100, help="Images per clip.")] = 3,
    detector: Annotated[str, typer.Option(help="Detector, as in FER_DETECTOR.")] = "auto",
) -> None:
    """Cut face images out of the clips of CREMA-D, labelled with the raters' majority vote without sound."""
    from rich.progress import Progress

    from fer_training.data.crema_d import cut_faces

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("clips", total=None)
        counts = cut_faces(folder, out, frames=frames, detector=detector, done=lambda name: bar.advance(task))
    for name, count in sorted(counts.items()):
        print(f"{name}: {count:,}")
    print(f"next: {as_typed('fer-train', 'fer_training')} data {shlex.quote(str(out))}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: _Moved = None,
    faces: _Faces = None,
) -> None:
    """Write the report of a run into its folder."""
    from fer_training.engine.run_folder import RunFolder
    from fer_training.tasks import task_of

    folder = RunFolder(run)
    task = task_of(folder.recipe_content())
    print(task.report(folder, _given(task.options["report"], data=data, faces=faces)))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders. The first one is the baseline.")],
    out: Annotated[Path, typer.Option(help="Write this HTML page.")] = Path("comparison.html"),
    data: _Moved = None,
) -> None:
    """Compare runs of emotion models in a table and on an HTML page."""
    from fer_training.engine.run_folder import RunFolder
    from fer_training.tasks.emotion.report import print_comparison, write_comparison

    print_comparison(write_comparison([RunFolder(run) for run in runs], out, data), _console())
    print(out)


@app.command()
def record(
    run: Annotated[Path, typer.Argument(help="Run folder, complete or not.")],
    into: Annotated[Path, typer.Option(help="Table of results, a CSV file; created if missing.")],
    note: Annotated[str, typer.Option(help="Free text for the row.")] = "",
) -> None:
    """Add a run to a table of results."""
    from fer_training.engine.results import record as add_row
    from fer_training.engine.results import run_result
    from fer_training.engine.run_folder import RunFolder
    from fer_training.tasks import task_of

    folder = RunFolder(run)
    result = run_result(folder, folder.recipe(task_of(folder.recipe_content()).recipe), note)
    add_row(result, into)
    print(
        f"{into}: {result.recipe}, seed {result.seed}, {result.epochs} epochs, {result.metric} {result.best:.2%}"
    )


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="Exported model file (.onnx).")],
    data: _Data,
    out: Annotated[Path, typer.Option(help="Write this file.")],
    fp16: Annotated[bool, typer.Option("--fp16", help="Store the weights in fp16, compute in fp32.")] = False,
    half: Annotated[bool, typer.Option("--half", help="Compute in fp16, for GPUs.")] = False,
    calibration: Annotated[int, typer.Option(min=8, help="Number of calibration images for INT8.")] = 512,
    force: Annotated[
        bool, typer.Option("--force", help="Write the file even if the accuracy drops too far.")
    ] = False,
) -> None:
    """Write a smaller variant (default INT8). Fail if the accuracy drops by more than 0.5 percentage points."""
    from fer_training.tasks.emotion.quantize import variant

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


def _given(accepted: frozenset[str], **options: object) -> dict[str, Any]:
    """Return the options that were given.

    Raises:
        RecipeError: The task does not accept one of them.
    """
    given = {name: value for name, value in options.items() if value}
    for name in given.keys() - accepted:
        raise RecipeError(f"--{name.replace('_', '-')} does not apply to this kind of model: remove it")
    return given


def main() -> None:
    """Run the command line. Expected errors print one line instead of a traceback."""
    escape_unencodable()
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
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"fer-train: {printable(f'{place}{error.strerror or error}')}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer's status after Ctrl-C
            print("fer-train: interrupted; a training continues with --resume", file=sys.stderr)
        raise
