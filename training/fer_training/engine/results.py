"""Table of results: a CSV file with one row per run."""

import csv
import io
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fer_service.system.files import file_sha256, write_atomically

from fer_training.engine.recipe import Recipe
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RunError

_ENOUGH = 30  # images for validation


@dataclass(frozen=True)
class Result:
    """Row of the table.

    Attributes:
        started: Start time, UTC.
        recipe: Name of the recipe.
        fingerprint: First 12 hexadecimal digits of the SHA-256 of recipe.yaml.
        seed: Random seed.
        epochs: Completed epochs / epochs of the recipe.
        limit: Images per split; empty for all.
        metric: Name of the validation metric.
        best: Its best value in training.
        best_epoch: Epoch with the best value.
        seconds: Median seconds per epoch, without validation.
        cores: CPU cores of the machine.
        note: Free text.
    """

    started: str
    recipe: str
    fingerprint: str
    seed: int
    epochs: str
    limit: str
    metric: str
    best: float
    best_epoch: int
    seconds: float
    cores: int
    note: str


def run_result(run: RunFolder, recipe: Recipe, note: str = "") -> Result:
    """Summarise a run.

    Raises:
        RunError: The folder is not a run folder, or no epoch is complete.
    """
    environment, entries = run.environment(), run.metrics()
    if not entries:
        raise RunError(f"{run.path}: no epoch is complete")
    metric = next(name for name in entries[0] if name.startswith("val_"))
    best = max(entries, key=lambda entry: float(entry[metric]))
    return Result(
        started=environment["started"],
        recipe=recipe.name,
        fingerprint=file_sha256(run.path / "recipe.yaml")[:12],
        seed=recipe.seed,
        epochs=f"{len(entries)}/{recipe.epochs}",
        limit=str(environment["data"].get("limit") or ""),
        metric=metric.removeprefix("val_"),
        best=best[metric],
        best_epoch=best["epoch"],
        seconds=round(statistics.median(entry["seconds"] for entry in entries), 1),
        cores=environment["cores"],
        note=note,
    )


def summary(run: RunFolder, recipe: Recipe, sizes: tuple[int, int], keeps_best: bool) -> Iterator[str]:
    """Yield lines about a complete run.

    Args:
        run: The run.
        recipe: Its recipe.
        sizes: Number of training images and of validation images.
        keeps_best: True if the best epoch is exported, False if the last one is.
    """
    result = run_result(run, recipe)
    few = ", too few for an exact score" if sizes[1] < _ENOUGH else ""
    yield f"{run.path}: trained on {sizes[0]:,} images, validated on {sizes[1]:,}{few}"
    exported = "" if keeps_best else "; the last one is exported"
    yield f"best epoch: {result.best_epoch}, {result.metric} {result.best:.4f}{exported}"


def record(result: Result, path: Path) -> None:
    """Add a row to the table. It replaces an earlier row of the same run (same start, recipe and seed).

    Raises:
        RunError: The file is another table, or cannot be written.
    """
    columns = [field.name for field in fields(Result)]
    rows: list[dict[str, str]] = []
    try:
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != columns:
                    raise RunError(f"{path} is not a table of results: its columns are {reader.fieldnames}")
                rows = list(reader)
        new = {name: str(value) for name, value in asdict(result).items()}
        same = ("started", "recipe", "fingerprint", "seed")
        rows = [row for row in rows if any(row[name] != new[name] for name in same)]
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*rows, new], key=lambda row: row["started"]))
        write_atomically(path, table.getvalue())
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not a table of results: it is not UTF-8 text") from error
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from error
