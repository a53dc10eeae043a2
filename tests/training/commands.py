"""Running `fer-train`."""

from fer_training.cli import app
from typer.testing import CliRunner


def run_command(*words: object) -> str:
    """Run `fer-train` with these words; return what it prints."""
    result = CliRunner().invoke(app, list(map(str, words)))
    if result.exception:
        raise result.exception
    return result.output
