"""How the user started this program."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def as_typed(program: str, module: str) -> str:
    """Return a program as the user started it, such as .venv/bin/fer-service; else its name.

    Args:
        program: Name of the program.
        module: Name for `python -m`.
    """
    started = Path(sys.argv[0])
    if started.parts[-2:] == (module, "__main__.py"):
        return f"{shlex.quote(_from_here(sys.executable))} -m {module}"
    found = shutil.which(program)
    if started.stem != program or (found and os.path.realpath(found) == os.path.realpath(started)):
        return program
    return shlex.quote(_from_here(sys.argv[0]))


def _from_here(path: str) -> str:
    """Return a path below the current folder without this folder, other paths as they are."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return path
    # Not resolved: the Python of an environment is a link.
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
