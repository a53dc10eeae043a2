"""The run folder: all files of a training run.

recipe.yaml        resolved recipe
environment.json   versions, device, commit, path and SHA-256 of the data
metrics.jsonl      one line per epoch
last.ckpt          checkpoint for --resume
best.ckpt          weights with the best validation metric, if the task keeps them
tensorboard/       the same metrics for TensorBoard
"""

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import yaml
from fer_service.contract.bundle import WeightsFile
from fer_service.system.files import file_sha256, write_atomically

from fer_training.engine.recipe import Recipe, validate_recipe
from fer_training.errors import RecipeError, RunError

_Recipe = TypeVar("_Recipe", bound=Recipe)
_PACKAGES = ("torch", "timm", "lightning", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu")


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

    def check_new(self, resume: bool) -> None:
        """Refuse to replace a run.

        Args:
            resume: Accept an existing run.

        Raises:
            RunError: A run exists and `resume` is False.
        """
        if self.last.exists() and not resume:
            raise RunError(f"{self.path} already has a run: continue it with --resume, or give another --out")

    def start(self, recipe: Recipe, about: Mapping[str, Any], resume: bool) -> None:
        """Create the folder, or check that an existing run matches.

        Args:
            recipe: Resolved recipe.
            about: Entries of environment.json. In an existing run, `sha256` and `limit` of `data` must match, and
                the `sha256` of `teachers` and, if it is given, of `pretrained`.
            resume: Accept an existing run.

        Raises:
            RunError: A run exists and `resume` is False, the run differs from the arguments, or the folder has a
                recipe of its own.
        """
        self.check_new(resume)
        self._check_checkpoint(resume)
        if self.last.exists():
            self._check_same(recipe, about)
            return
        if (self.path / "recipe.yaml").exists() and not (self.path / "environment.json").exists():
            raise RunError(f"{self.path} has a recipe.yaml, which the run would replace: give another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot create {self.path}: {error.strerror or error}") from error
        content = recipe.model_dump(mode="json", by_alias=True)
        self._write("recipe.yaml", yaml.safe_dump(content, sort_keys=False))
        self._write("environment.json", json.dumps(_environment() | dict(about), indent=2) + "\n")
        self._write("metrics.jsonl", "")

    def _check_checkpoint(self, resume: bool) -> None:
        """Refuse to begin anew where epochs would be lost; one may be logged before its checkpoint is written."""
        if not resume or self.last.exists() or not (self.path / "metrics.jsonl").exists():
            return
        if (epochs := len(self.metrics())) > 1:
            raise RunError(
                f"{self.path} has {epochs} epochs, but no last.ckpt to continue from: export it, or give "
                "another --out"
            )

    def _check_same(self, recipe: Recipe, about: Mapping[str, Any]) -> None:
        recorded = self.environment()
        before = type(recipe).model_validate(self.recipe_content())
        if before != recipe:
            changed = _changed(before.model_dump(by_alias=True), recipe.model_dump(by_alias=True))
            difference = f"another recipe ({changed})"
        elif recorded["data"]["sha256"] != about["data"]["sha256"]:
            difference = "other data"
        elif _hashes(recorded) != _hashes(about):
            raise RunError(f"{self.path} has a run with other teachers: give the same --teacher, or another --out")
        elif (start := about.get("pretrained")) and start["sha256"] != (recorded.get("pretrained") or {}).get(
            "sha256"
        ):
            raise RunError(
                f"{self.path} has a run that did not start from {start['path']}: remove the option that names "
                "this file, or give another --out"
            )
        elif (limit := recorded["data"].get("limit")) != about["data"]["limit"]:
            raise RunError(f"{self.path} has a run with --limit {limit}: give the same --limit, or another --out")
        else:
            return
        raise RunError(f"{self.path} has a run with {difference}: give another --out")

    def starting_weights(self) -> WeightsFile | None:
        """Read from which file the weights of the run started.

        Raises:
            RunError: The folder is not a run folder, or the file is damaged.
        """
        record = self.environment().get("pretrained")
        if not record:
            return None
        return _weights_file(record)

    def teachers(self) -> tuple[WeightsFile, ...]:
        """Read which networks taught the run.

        Raises:
            RunError: The folder is not a run folder, or the file is damaged.
        """
        return tuple(_weights_file(record) for record in self.environment().get("teachers", ()))

    def recipe(self, kind: type[_Recipe]) -> _Recipe:
        """Read the run's recipe.

        Args:
            kind: Class of the task's recipes.

        Raises:
            RunError: The folder is not a run folder, or recipe.yaml is damaged.
            RecipeError: The recipe is invalid, or is of another task.
        """
        return validate_recipe(kind, self.recipe_content(), str(self.path / "recipe.yaml"))

    def recipe_content(self) -> object:
        """Read the content of recipe.yaml, of any task.

        Raises:
            RunError: The folder is not a run folder, or recipe.yaml is damaged.
        """
        text = self._read("recipe.yaml")
        try:
            content: object = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RunError(f"{self.path / 'recipe.yaml'} is damaged: {' '.join(str(error).split())}") from error
        return content

    def environment(self) -> dict[str, Any]:
        """Read versions, device, commit and data of the run.

        Raises:
            RunError: The folder is not a run folder, or the file is damaged.
        """
        text = self._read("environment.json")
        try:
            content = json.loads(text)
            if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
                raise ValueError("it does not describe the data")
        except ValueError as error:
            raise RunError(f"{self.path / 'environment.json'} is damaged: {error}") from error
        return content

    def metrics(self) -> list[dict[str, Any]]:
        """Read the logged metrics, one entry per epoch.

        Raises:
            RunError: The folder is not a run folder, or the file is damaged.
        """
        # A last line without its end was torn by a full disk; its epoch is repeated, or was the last.
        *lines, _ = self._read("metrics.jsonl").split("\n")
        try:
            entries = [json.loads(line) for line in lines]
            if not all(isinstance(entry, dict) and "epoch" in entry for entry in entries):
                raise ValueError("a line is not the entry of an epoch")
        except ValueError as error:
            raise RunError(
                f"{self.path / 'metrics.jsonl'} is damaged: {error}; remove its damaged lines to go on"
            ) from error
        return entries

    def log(self, entry: dict[str, Any]) -> None:
        """Append the metrics of an epoch. An epoch that is repeated after a resume replaces its old entry."""
        kept = [logged for logged in self.metrics() if logged["epoch"] < entry["epoch"]]
        self._write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in [*kept, entry]))

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path} is not a run folder: {name} is missing. Give the folder of `fer-train train --out`"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot read {self.path / name}: {error}") from error

    def _write(self, name: str, text: str) -> None:
        try:
            write_atomically(self.path / name, text)
        except OSError as error:
            raise RunError(f"cannot write {self.path / name}: {error.strerror or error}") from error


def _weights_file(record: Mapping[str, str]) -> WeightsFile:
    name = os.fsencode(Path(record["path"]).name).decode("utf-8", "backslashreplace")
    return WeightsFile(file=name, sha256=record["sha256"])


def _changed(before: Any, after: Any, name: str = "") -> str:
    """Return the first value that differs between two recipes, such as `phases.0.epochs: 2, now 3`."""
    if type(before) is type(after) and isinstance(before, dict) and before.keys() == after.keys():
        pairs = [(key, before[key], after[key]) for key in before]
    elif type(before) is type(after) and isinstance(before, tuple | list) and len(before) == len(after):
        pairs = [(str(place), old, new) for place, (old, new) in enumerate(zip(before, after, strict=True))]
    else:
        return f"{name}: {before}, now {after}"
    key, old, new = next(pair for pair in pairs if pair[1] != pair[2])
    return _changed(old, new, f"{name}.{key}" if name else key)


def _hashes(about: Mapping[str, Any]) -> list[str]:
    return [teacher["sha256"] for teacher in about.get("teachers", [])]


def file_record(path: Path | None, file: Path | None = None) -> dict[str, str] | None:
    """Describe a file, or a folder by the file that holds its weights, for environment.json.

    Raises:
        RecipeError: The file cannot be read.
    """
    try:
        return {"path": str(path.absolute()), "sha256": file_sha256(file or path)} if path else None
    except OSError as error:
        raise RecipeError(f"{file or path}: {error.strerror or error}") from error


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
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    """Return the versions of the packages that are installed; a GPU host has another wheel of onnxruntime."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
