"""The table of all runs, one line each, failures too: a CSV file that lives in the repository."""

import csv
import statistics
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fer_service.contract.bundle import file_sha256

from fer_training.errors import RunError
from fer_training.run import RunFolder


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes:
        started: When, UTC.
        recipe: Its name.
        fingerprint: The first 12 hexadecimal digits of the SHA-256 of its recipe.yaml: what was really run.
        seed: Of the run.
        epochs: That have ended, of those the recipe has.
        limit: So many images a split, empty for all.
        accuracy: The best on the validation split, while training.
        best_epoch: The one that had it.
        seconds: Median of an epoch's, without judging it.
        cores: Of the machine.
        note: What was learnt, and whether it was kept.
    """

    started: str
    recipe: str
    fingerprint: str
    seed: int
    epochs: str
    limit: str
    accuracy: float
    best_epoch: int
    seconds: float
    cores: int
    note: str


def result_of(run: RunFolder, note: str = "") -> Result:
    """A run's line.

    Raises:
        RunError: the folder is no run, or no epoch of it has ended yet.
    """
    recipe, environment, entries = run.recipe(), run.environment(), run.metrics()
    if not entries:
        raise RunError(f"{run.path}: no epoch of it has ended yet")
    best = max(entries, key=lambda entry: float(entry["val_accuracy"]))
    return Result(
        started=environment["started"],
        recipe=recipe.name,
        fingerprint=file_sha256(run.path / "recipe.yaml")[:12],
        seed=recipe.seed,
        epochs=f"{len(entries)}/{recipe.epochs}",
        limit=str(environment["data"].get("limit") or ""),
        accuracy=best["val_accuracy"],
        best_epoch=best["epoch"],
        seconds=round(statistics.median(entry["seconds"] for entry in entries), 1),
        cores=environment["cores"],
        note=note,
    )


def record(result: Result, path: Path) -> None:
    """Put a line into the table; an earlier one of the same run (same start, recipe and seed) is replaced.

    Raises:
        RunError: the file is another table, or cannot be written.
    """
    columns = [field.name for field in fields(Result)]
    rows: list[dict[str, str]] = []
    try:
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != columns:
                    raise RunError(f"{path} is no table of results: its columns are {reader.fieldnames}")
                rows = list(reader)
        new = {name: str(value) for name, value in asdict(result).items()}
        same = ("started", "recipe", "fingerprint", "seed")
        rows = [row for row in rows if any(row[name] != new[name] for name in same)]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted([*rows, new], key=lambda row: row["started"]))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from error
