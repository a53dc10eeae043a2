"""The command line: serve, predict, detector."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from service import __version__
from service.detectors.weights import YUNET
from service.errors import FerError, RequestError, StartError
from service.loading import load
from service.observability.logging import configure_logging
from service.schemas import BatchPrediction, BatchResult, FaceEmotion, Prediction
from service.server import run
from service.settings import load_settings

app = typer.Typer(
    help="Find every face in a picture and say which emotion each one shows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
detector_app = typer.Typer(help="The face detector's weights.", no_args_is_help=True)
app.add_typer(detector_app, name="detector")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [FER_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [FER_PORT].")] = None,
) -> None:
    """Serve over HTTP until told to end; everything else is set by FER_ variables."""
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = load_settings(**given)
    configure_logging(settings.log_level, settings.log_format)
    raise typer.Exit(run(settings))


@app.command()
def predict(
    photos: Annotated[list[Path], typer.Argument(help="Pictures.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's JSON.")] = False,
) -> None:
    """Analyse pictures without a server; ends with 1 if one cannot be read."""
    settings = load_settings()
    configure_logging("warning", settings.log_format)
    analyzer = load(settings)
    found: list[tuple[Path, Prediction]] = []
    failed = False
    for photo in photos:
        try:
            found.append((photo, analyzer.analyze(photo.read_bytes())))
        except (RequestError, OSError) as error:
            failed = True
            reason = error.strerror if isinstance(error, OSError) else str(error)
            print(f"{photo}: {reason}", file=sys.stderr)
    if as_json:
        print(_json(found, alone=len(photos) == 1))
    elif found:
        _print_table(found)
    raise typer.Exit(1 if failed else 0)


@detector_app.command("pull")
def pull(
    source: Annotated[Path | None, typer.Option("--from", help="Take this file; nothing is fetched.")] = None,
) -> None:
    """Fetch YuNet's weights once into the user's cache, and check them."""
    print(YUNET.take(source) if source else YUNET.pull())


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Entry point: an error that was foreseen is one line, not a traceback."""
    try:
        app()
    except (StartError, FerError) as error:
        print(f"fer-service: {error}", file=sys.stderr)
        sys.exit(1)


def _json(found: list[tuple[Path, Prediction]], *, alone: bool) -> str:
    if alone:
        return "\n".join(prediction.model_dump_json(indent=2) for _, prediction in found)
    results = [BatchPrediction(name=str(photo), **dict(prediction)) for photo, prediction in found]
    return BatchResult(results=list(results)).model_dump_json(indent=2)


def _print_table(found: list[tuple[Path, Prediction]]) -> None:
    table = Table("picture", "face", "box", "emotion", "confidence", "next")
    for photo, prediction in found:
        if not prediction.faces:
            table.add_row(str(photo), "–", "no face", "", "", "")
        for number, face in enumerate(prediction.faces, 1):
            table.add_row(str(photo) if number == 1 else "", str(number), *_row(face))
    Console().print(table)


def _row(face: FaceEmotion) -> tuple[str, str, str, str]:
    ranked = sorted(face.probabilities.items(), key=lambda entry: -entry[1])
    second = f"{ranked[1][0]} {ranked[1][1]:.0%}"
    box = f"{face.box.width}×{face.box.height} at {face.box.x},{face.box.y}"
    return box, face.emotion + (" ?" if face.uncertain else ""), f"{face.confidence:.0%}", second


if __name__ == "__main__":
    main()
