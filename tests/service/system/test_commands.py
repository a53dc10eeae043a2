from typing import Annotated

import pytest
import typer
from fer_service.cli.main import app as service
from fer_service.system.commands import Commands
from fer_training.cli import app as training
from typer.testing import CliRunner

app = typer.Typer(cls=Commands)


@app.command()
def first(word: str, out: Annotated[str, typer.Option()] = "x") -> None:
    """Print."""
    print(word, out)


@app.command()
def second() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["first", ""], "the argument"),
        (["first", "a", "--out", ""], "the argument after --out"),
        (["first", "a", "--out="], "--out"),
        (["first", "--out", "a", ""], "the argument"),
        (["first", "--", ""], "the argument after --"),
    ],
)
def test_an_empty_argument_is_refused(words: list[str], named: str) -> None:
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert f"{named} is empty; is a shell variable unset?" in result.output


def test_other_arguments_are_taken_as_they_are() -> None:
    result = CliRunner().invoke(app, ["first", "--out=a=", "--", "--y="])
    assert (result.exit_code, result.output) == (0, "--y= a=\n")


@pytest.mark.parametrize(
    "words",
    [["predict", "a.jpg", "--annotate", ""], ["predict", ""], ["doctor", ""], ["detector", "pull", "--from", ""]],
)
def test_the_service_s_commands_take_no_empty_argument(words: list[str]) -> None:
    assert CliRunner().invoke(service, words).exit_code == 2


@pytest.mark.parametrize("words", [["train", "compact-resnet18", "--data", "x", "--out", ""], ["data", ""]])
def test_the_training_s_commands_take_no_empty_argument(words: list[str]) -> None:
    assert CliRunner().invoke(training, words).exit_code == 2
