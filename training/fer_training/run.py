"""The run folder: all that a training leaves behind, under fixed names.

recipe.yaml        the recipe as it was resolved
environment.json   versions, device, commit, data path and SHA-256
metrics.jsonl      one line an epoch
last.ckpt          everything that --resume needs
best.ckpt          of an emotion model: the weights that scored best on the validation split
tensorboard/       the figures of metrics.jsonl once more, for TensorBoard
"""

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from fer_service.contract.bundle import file_sha256
from pydantic import BaseModel

from fer_training.config import Recipe, parse_recipe
from fer_training.data import FaceDataset, load_dataset
from fer_training.errors import RunError
from fer_training.splits import recipe_classes

_PACKAGES = ("torch", "timm", "lightning", "numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class RunFolder:
    """Paths and records of one training.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint to export."""
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
        teachers: "Sequence[RunFolder]" = (),
    ) -> None:
        """Make the folder, or check that it belongs to this recipe and data.

        Args:
            recipe: As resolved.
            data: With the recipe's classes, not limited yet.
            data_path: Where it was read from.
            resume: Whether a run that is there is wanted.
            limit: So many images a split are used.
            weights: The checkpoint that the network begins with.
            teachers: The runs that it learns from.

        Raises:
            RunError: a run is there and `resume` is not wanted, or it is a run of something else.
        """
        taught_by = [{"path": str(run.path.resolve()), "sha256": file_sha256(run.best)} for run in teachers]
        about = {
            "path": str(data_path.resolve()),
            "name": data.name,
            "sha256": data.sha256,
            "splits": data.split_sizes,
            "classes": list(data.classes),
            "limit": limit,
        }
        begun_with = {"path": str(weights.resolve()), "sha256": file_sha256(weights)} if weights else None
        if self.last.exists():
            known = [teacher["sha256"] for teacher in self.environment().get("teachers", [])]
            if resume and known != [teacher["sha256"] for teacher in taught_by]:
                raise RunError(f"{self.path} is a run with other teachers; give the same or another --out")
        self.begin(recipe, about, resume, pretrained=begun_with, teachers=taught_by)

    def begin(self, recipe: BaseModel, data: dict[str, Any], resume: bool, **more: object) -> None:
        """Make the folder, or check that it belongs to this recipe and data.

        Args:
            recipe: As resolved.
            data: What is recorded of the data; `sha256` and `limit` have to be the same when the run goes on.
            resume: Whether a run that is there is wanted.
            more: Further entries of the environment.

        Raises:
            RunError: a run is there and `resume` is not wanted, or it is a run of something else.
        """
        content = recipe.model_dump(mode="json", by_alias=True)
        if self.last.exists():
            if not resume:
                raise RunError(f"{self.path} holds a run already: go on with --resume, or give another --out")
            if type(recipe).model_validate(self.recipe_content()) != recipe:
                raise RunError(f"{self.path} is a run of another recipe; give another --out")
            recorded = self.environment()["data"]
            if recorded["sha256"] != data["sha256"]:
                raise RunError(f"{self.path} is a run on other data; give another --out")
            if recorded.get("limit") != data["limit"]:
                raise RunError(
                    f"{self.path} is a run with --limit {recorded.get('limit')}; give the same or another --out"
                )
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror or error}") from error
        self._write("recipe.yaml", yaml.safe_dump(content, sort_keys=False))
        self._write("environment.json", json.dumps(_environment() | {"data": data} | more, indent=2) + "\n")
        self._write("metrics.jsonl", "")

    def recipe(self) -> Recipe:
        """The run's recipe.

        Raises:
            RunError: the folder is no run.
        """
        return parse_recipe(self.recipe_content(), str(self.path / "recipe.yaml"))

    def recipe_content(self) -> object:
        """What recipe.yaml holds, of whatever kind it is.

        Raises:
            RunError: the folder is no run.
        """
        text = self._read("recipe.yaml")
        try:
            content: object = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RunError(f"{self.path / 'recipe.yaml'} is damaged: {' '.join(str(error).split())}") from error
        return content

    def data(self, moved: Path | None = None) -> FaceDataset:
        """The very data that the run was trained on, with the recipe's classes.

        Args:
            moved: Where it lies now, if not where it lay then.

        Raises:
            RunError: what lies there is other data.
            DataError: it is not there, or cannot be read.
        """
        recipe, recorded = self.recipe(), self.environment()["data"]
        path = moved or Path(recorded["path"])
        data = load_dataset(path, recipe.network.input_size)
        if data.sha256 != recorded["sha256"]:
            raise RunError(f"{path} is not the data that {self.path} was trained on; give that with --data")
        data = recipe_classes(data, recipe)
        return data.limited(recorded.get("limit")) if recorded.get("limit") else data

    def environment(self) -> dict[str, Any]:
        """Versions, device, commit and data of the run."""
        text = self._read("environment.json")
        try:
            content: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise RunError(f"{self.path / 'environment.json'} is damaged: {error}") from error
        return content

    def metrics(self) -> list[dict[str, Any]]:
        """What was logged, an epoch an entry."""
        lines = self._read("metrics.jsonl").splitlines()
        try:
            return [_with_current_names(json.loads(line)) for line in lines]
        except ValueError as error:
            raise RunError(f"{self.path / 'metrics.jsonl'} is damaged: {error}") from error

    def log(self, entry: dict[str, Any]) -> None:
        """Append an epoch; a repeated epoch (after a resume) replaces its first telling."""
        kept = [known for known in self.metrics() if known["epoch"] < entry["epoch"]]
        self._write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in [*kept, entry]))

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise RunError(f"{self.path} is no run: it has no {name}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path / name} cannot be read: {error}") from error

    def _write(self, name: str, text: str) -> None:
        partial = self.path / f"{name}.partial"
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(self.path / name)
        except OSError as error:
            raise RunError(f"{self.path / name} cannot be written: {error.strerror or error}") from error


def _with_current_names(entry: dict[str, Any]) -> dict[str, Any]:
    """An epoch's metrics; earlier versions wrote `select_` for `val_`."""
    return {re.sub("^select_", "val_", name): value for name, value in entry.items()}


def commit() -> str:
    """The commit of the working tree, marked where it has changes; empty outside a repository."""
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
