"""The command line: recipes, train, export, evaluate."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.errors import FerError
from training.config import available_recipes, load_recipe
from training.errors import TrainingError

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


@app.command()
def recipes() -> None:
    """List the recipes that come with the project."""
    for name in available_recipes():
        print(f"{name}: {load_recipe(name).description}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML file.")],
    data: _Data,
    out: Annotated[Path, typer.Option(help="The run folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run folder stands.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Take so many pictures a split only.")] = None,
) -> None:
    """Train a network by a recipe."""
    from training.data import load_dataset
    from training.loop import build_fabric
    from training.loop import train as run_training
    from training.run import RunFolder
    from training.splits import fit_and_select

    plan = load_recipe(recipe)
    faces = load_dataset(data, plan.network.input_size)
    faces = faces.with_classes(plan.data.labels or faces.classes)
    fit, select = fit_and_select(faces.limited(limit) if limit else faces, plan)
    fabric = build_fabric(device)
    fabric.launch()
    run = RunFolder(out)
    if fabric.is_global_zero:
        run.start(plan, faces, data, resume)
    fabric.barrier()
    run_training(plan, fit, select, run, fabric)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    data: Annotated[Path | None, typer.Option(help="Where the run's data lies now, if it was moved.")] = None,
) -> None:
    """Export a run's best weights as one file for the service, with its model card beside it."""
    from training.evaluate import print_metrics
    from training.export import export as export_run
    from training.run import RunFolder

    metadata = export_run(RunFolder(run), out, data)
    print_metrics(metadata.metrics, Console())
    print(
        f"{out}: temperature {metadata.temperature:.3f}, uncertain below {metadata.uncertain_below:.3f}, "
        f"parity {metadata.parity.max_difference:.1e} over {metadata.parity.rows} pictures"
    )


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="A bundle.")],
    data: _Data,
    split: Annotated[str, typer.Option(help="A split that the data has.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a bundle through onnxruntime, exactly as it is served."""
    from training.evaluate import evaluate_file, print_metrics

    metrics = evaluate_file(model, data, split)
    if as_json:
        print(metrics.model_dump_json(indent=2))
    else:
        print_metrics(metrics, Console())


def main() -> None:
    """Entry point: an error that was foreseen is one line, not a traceback."""
    try:
        app()
    except (TrainingError, FerError) as error:
        print(f"fer-train: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("fer-train: interrupted; go on with --resume", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
