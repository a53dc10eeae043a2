"""Checkpoints: written whole or not at all, and read with one clear sentence where they are damaged."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch

from fer_training.errors import RunError

_Standing = TypeVar("_Standing")


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write beside, then rename; what has a state is stored by it.

    Raises:
        RunError: the disk is full or the folder cannot be written; the checkpoint before is still there.
    """
    states = {
        name: value.state_dict() if hasattr(value, "state_dict") else value for name, value in content.items()
    }
    partial = path.with_suffix(".partial")
    try:
        torch.save(states, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise RunError(f"{path} cannot be written ({error}); the checkpoint before it is still there") from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are accepted in it.

    Raises:
        RunError: it is not there or damaged.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        return dict(content)
    except (OSError, RuntimeError, EOFError, UnpicklingError, TypeError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def restore(path: Path, content: dict[str, Any], parts: dict[str, Any]) -> None:
    """Fill the parts that have a state from a checkpoint's content.

    Raises:
        RunError: the checkpoint lacks one, or has another's.
    """
    try:
        for name, part in parts.items():
            part.load_state_dict(content[name])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path} does not fit the run: {' '.join(str(error).split())[:200]}") from error


def resume(
    path: Path, device: torch.device, parts: dict[str, Any], state: type[_Standing]
) -> tuple[_Standing, dict[str, Any]]:
    """Take up a run where its last checkpoint stands.

    Args:
        path: The checkpoint.
        device: Where its tensors go.
        parts: Filled from it, by name.
        state: The dataclass whose fields the checkpoint keeps as `state`.

    Returns:
        Where the run stands, and the checkpoint's whole content.

    Raises:
        RunError: the checkpoint is damaged or another run's.
    """
    content = load_checkpoint(path, device)
    restore(path, content, parts)
    try:
        # Called `standing` in runs of earlier versions.
        saved = content["state"] if "state" in content else content["standing"]
        return state(**saved), content
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} does not fit the run: {error}") from error
