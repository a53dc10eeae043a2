"""Check a documented command without running it: program, subcommand, options and files."""

import contextlib
import functools
import io
import re
import runpy
import shlex
import sys
import warnings
from collections.abc import Iterator

import pytest
from fer_service.contract.settings import PREFIX, Settings

from tests.docs.markdown import ROOT

# Programs that are not part of this project. Only the files in their arguments are checked.
_OTHER_PROGRAMS = {
    "printf",
    "pip",
    "docker",
    "kubectl",
    "curl",
    "uv",
    "export",
    ".venv/bin/pip",
    ".venv/bin/uv",
    ".venv-training/bin/uv",
    ".venv/bin/ray",
    ".venv/bin/serve",
    ".venv-training/bin/torchrun",
}
_MODULES = {
    ".venv/bin/fer-service": "fer_service",
    ".venv-training/bin/fer-train": "fer_training",
    ".venv-training/bin/fer-service": "fer_service",
}
_PYTHONS = {
    ".venv/bin/python",
    ".venv-training/bin/python",
    ".venv-gpu/bin/python",
    ".venv-ray/bin/python",
    "python3",
}
# Files that a reader creates.
_CREATED = {"docker/api-keys.txt"}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a shell block."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words:
                yield words


def check(words: list[str]) -> None:
    """Check a command.

    Raises:
        AssertionError: The program, the subcommand, an option, a setting or a file does not exist.
    """
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name = words.pop(0).partition("=")[0]
        if name.startswith(PREFIX):
            assert name.removeprefix(PREFIX).lower() in Settings.model_fields, f"unknown setting {name}"
    program, *arguments = words
    for argument in arguments:
        if argument.startswith("docker/") and argument not in _CREATED:
            assert (ROOT / argument).exists(), f"missing file {argument}"
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets), f"unknown target in make {arguments}"
    elif program in _MODULES:
        _check_options([_MODULES[program]], arguments)
    elif program in _PYTHONS and arguments[0] == "-m":
        _check_options([arguments[1]], arguments[2:])
    elif program in _PYTHONS and arguments[0] == "-c":
        compile(arguments[1], "<documentation>", "exec")
    else:
        assert program in _OTHER_PROGRAMS, f"unknown program {program}; use the path of its environment"


def _check_options(command: list[str], arguments: list[str]) -> None:
    text = _help(tuple(command))
    while (
        arguments
        and arguments[0][0] != "-"
        and re.search(rf"^[│\s]+{re.escape(arguments[0])}\s{{2,}}\S", text, re.MULTILINE)
    ):
        # The help lists positional arguments by name, not by value, so only subcommands match.
        command = [*command, arguments[0]]
        arguments = arguments[1:]
        text = _help(tuple(command))
    usage = re.search(r"[Uu]sage:.*", text)
    assert usage, text
    unknown = f"unknown subcommand: {' '.join([*command, *arguments[:1]])}"
    assert "COMMAND" not in usage[0] or arguments == ["--help"], unknown
    for argument in arguments:
        if argument.startswith("--"):
            option = argument.partition("=")[0]
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), (
                f"unknown option {option} of {' '.join(command)}"
            )


@functools.cache
def _help(command: tuple[str, ...]) -> str:
    # In this process: each program would load PyTorch or OpenCV anew.
    module, *arguments = command
    output = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),  # the module may be loaded already
        contextlib.redirect_stdout(output),
    ):
        patch.setattr(sys, "argv", [module, *arguments, "--help"])
        for name, value in {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__")
    assert ended.value.code in {0, None}, f"{' '.join(command)} --help failed: {output.getvalue()}"
    return output.getvalue()
