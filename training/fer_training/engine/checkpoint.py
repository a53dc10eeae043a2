"""Atomic writing of checkpoints, and safe reading."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from fer_service.system.files import open_atomically

from fer_training.errors import RunError

_State = TypeVar("_State")


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically. Objects with a `state_dict` are stored by it.

    Raises:
        RunError: The file cannot be written. The previous checkpoint is unchanged.
    """
    states = {
        name: value.state_dict() if hasattr(value, "state_dict") else value for name, value in content.items()
    }
    try:
        with open_atomically(path) as file:
            torch.save(states, file)
    except (OSError, RuntimeError) as error:
        # torch hides the reason of the system.
        full = "; is the disk full?" if isinstance(error, RuntimeError) else ""
        raise RunError(f"cannot write {path} ({error}{full}); the previous checkpoint is unchanged") from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint. Only tensors and plain values are accepted.

    Raises:
        RunError: The checkpoint is missing or damaged.
    """
    if not path.exists():
        raise RunError(f"{path.parent} has no {path.name}: no epoch is complete")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        return dict(content)
    except (OSError, RuntimeError, EOFError, UnpicklingError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or "it ends too early"
        raise RunError(f"cannot read {path}: {reason}. If it is damaged, train into another folder") from error


def restore(path: Path, content: dict[str, Any], parts: dict[str, Any]) -> None:
    """Restore the state of objects from a checkpoint.

    Args:
        path: Path of the checkpoint, for error messages.
        content: Content of the checkpoint.
        parts: Objects with `load_state_dict`, by name.

    Raises:
        RunError: A state is missing or does not fit its object.
    """
    try:
        for name, part in parts.items():
            part.load_state_dict(content[name])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path} does not match the run: {' '.join(str(error).split())[:200]}") from error


def saved_state(path: Path, content: dict[str, Any], state: type[_State]) -> _State:
    """Return the progress that a checkpoint stores as `state`.

    Args:
        path: Path of the checkpoint, for error messages.
        content: Content of the checkpoint.
        state: Dataclass of the progress.

    Raises:
        RunError: The checkpoint belongs to something else.
    """
    try:
        return state(**content["state"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} does not match the run: {error}") from error
