"""Output to terminals and pipes of any encoding."""

import codecs
import io
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

_ESCAPE = "fer-escape"


def escape_unencodable() -> None:
    """Let standard output and error show what their encoding lacks as JSON's escapes.

    Otherwise a single arrow ends a command where the encoding is not UTF-8: in the C locale, in Latin-1, and in
    pipes on Windows. The escapes keep JSON valid.
    """
    codecs.register_error(_ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)


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


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
