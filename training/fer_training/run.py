"""The run folder: all files of a training run.

recipe.yaml        resolved recipe
environment.json   versions, device, commit, path and SHA-256 of the data
metrics.jsonl      one line per epoch
last.ckpt          checkpoint for --resume
best.ckpt          emotion model only: weights with the best validation accuracy
tensorboard/       the same metrics for TensorBoard
"""

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from fer_service.contract.bundle import file_sha256
from fer_service.system.files import write_atomically
from pydantic import BaseModel

from fer_training.config import Recipe, parse_recipe
from fer_training.data import FaceDataset, load_dataset
from fer_training.errors import RunError
from fer_training.splits import recipe_classes

_PACKAGES = ("torch", "timm", "lightning", "numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class RunFolder:
    """Files of one training run.

    Attributes:
        path: Path of the folder.
    """

    path: Path

    @property
    def last(self) -> Path:
        """Path of the checkpoint to resume from."""
        return self.path / "last.ckpt"

    @property
    def best(self) -> Path:
        """Path of the checkpoint to export."""
        return self.path / "best.ckpt"

    def start(
        self,
        recipe: Recipe,
        data: FaceDataset,
        data_path: Path,
        resume: bool,
        *,
        limit: int | None = None,
        weights: Path | None = None,
        teachers: Mapping[Path, Path] = MappingProxyType({}),
    ) -> None:
        """Create the folder of an emotion run, or check that an existing run matches.

        Args:
            recipe: Resolved recipe.
            data: Data with the recipe's classes, before `limit` is applied.
            data_path: Path of the data.
            resume: Accept an existing run.
            limit: Images per split that are used; None uses all.
            weights: Checkpoint that the network starts from.
            teachers: The file with the weights of each teacher.

        Raises:
            RunError: A run exists and `resume` is False, or the run differs from the arguments.
        """
        teacher_records = [
            {"path": str(path.resolve()), "sha256": file_sha256(file)} for path, file in teachers.items()
        ]
        about = {
            "path": str(data_path.resolve()),
            "name": data.name,
            "sha256": data.sha256,
            "splits": data.split_sizes,
            "classes": list(data.classes),
            "limit": limit,
        }
        initial_weights = {"path": str(weights.resolve()), "sha256": file_sha256(weights)} if weights else None
        if self.last.exists():
            recorded = [teacher["sha256"] for teacher in self.environment().get("teachers", [])]
            if resume and recorded != [teacher["sha256"] for teacher in teacher_records]:
                raise RunError(
                    f"{self.path} has a run with other teachers: give the same --teacher, or another --out"
                )
        self.begin(recipe, about, resume, pretrained=initial_weights, teachers=teacher_records)

    def begin(self, recipe: BaseModel, data: dict[str, Any], resume: bool, **more: object) -> None:
        """Create the folder, or check that an existing run matches.

        Args:
            recipe: Resolved recipe.
            data: Description of the data. `sha256` and `limit` must match in an existing run.
            resume: Accept an existing run.
            more: Further entries of environment.json.

        Raises:
            RunError: A run exists and `resume` is False, or the run differs from the arguments.
        """
        content = recipe.model_dump(mode="json", by_alias=True)
        if self.last.exists():
            if not resume:
                raise RunError(f"{self.path} already has a run: continue it with --resume, or give another --out")
            if type(recipe).model_validate(self.recipe_content()) != recipe:
                raise RunError(f"{self.path} has a run with another recipe: give another --out")
            recorded = self.environment()["data"]
            if recorded["sha256"] != data["sha256"]:
                raise RunError(f"{self.path} has a run with other data: give another --out")
            if recorded.get("limit") != data["limit"]:
                raise RunError(
                    f"{self.path} has a run with --limit {recorded.get('limit')}: "
                    "give the same --limit, or another --out"
                )
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot create {self.path}: {error.strerror or error}") from error
        self._write("recipe.yaml", yaml.safe_dump(content, sort_keys=False))
        self._write("environment.json", json.dumps(_environment() | {"data": data} | more, indent=2) + "\n")
        self._write("metrics.jsonl", "")

    def recipe(self) -> Recipe:
        """Read the run's recipe.

        Raises:
            RunError: The folder is not a run directory, or recipe.yaml is damaged.
            RecipeError: The recipe is invalid.
        """
        return parse_recipe(self.recipe_content(), str(self.path / "recipe.yaml"))

    def recipe_content(self) -> object:
        """Read the content of recipe.yaml, of an emotion model or a detector.

        Raises:
            RunError: The folder is not a run directory, or recipe.yaml is damaged.
        """
        text = self._read("recipe.yaml")
        try:
            content: object = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RunError(f"{self.path / 'recipe.yaml'} is damaged: {' '.join(str(error).split())}") from error
        return content

    def data(self, moved: Path | None = None) -> FaceDataset:
        """Load the data that the run was trained on, with the recipe's classes.

        Args:
            moved: New path of the data, if it was moved.

        Raises:
            RunError: The data differs from the run's data.
            DataError: The data is missing or cannot be read.
        """
        recipe, recorded = self.recipe(), self.environment()["data"]
        path = moved or Path(recorded["path"])
        data = load_dataset(path, recipe.network.input_size)
        if data.sha256 != recorded["sha256"]:
            raise RunError(
                f"{path} differs from the data that {self.path} was trained on: give the original data with --data"
            )
        data = recipe_classes(data, recipe)
        return data.limited(recorded.get("limit")) if recorded.get("limit") else data

    def environment(self) -> dict[str, Any]:
        """Read versions, device, commit and data of the run."""
        text = self._read("environment.json")
        try:
            content: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise RunError(f"{self.path / 'environment.json'} is damaged: {error}") from error
        return content

    def metrics(self) -> list[dict[str, Any]]:
        """Read the logged metrics, one entry per epoch."""
        lines = self._read("metrics.jsonl").splitlines()
        try:
            return [_with_current_names(json.loads(line)) for line in lines]
        except ValueError as error:
            raise RunError(f"{self.path / 'metrics.jsonl'} is damaged: {error}") from error

    def log(self, entry: dict[str, Any]) -> None:
        """Append the metrics of an epoch. An epoch that is repeated after a resume replaces its old entry."""
        kept = [logged for logged in self.metrics() if logged["epoch"] < entry["epoch"]]
        self._write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in [*kept, entry]))

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise RunError(f"{self.path} is not a run directory (missing {name})") from error
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot read {self.path / name}: {error}") from error

    def _write(self, name: str, text: str) -> None:
        try:
            write_atomically(self.path / name, text)
        except OSError as error:
            raise RunError(f"cannot write {self.path / name}: {error.strerror or error}") from error


def _with_current_names(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry with current names. Earlier versions wrote `select_` instead of `val_`."""
    return {re.sub("^select_", "val_", name): value for name, value in entry.items()}


def commit() -> str:
    """Return the commit of the working tree, with `-dirty` if it has changes; empty outside a repository."""
    folder = Path(__file__).parent
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def _environment() -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: version(name) for name in _PACKAGES},
    }
