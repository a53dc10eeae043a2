"""The command line: serve, predict, benchmark, detector."""

import json
import mimetypes
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fer_service import __version__
from fer_service.analysis.loading import load
from fer_service.cli.video import parse_seconds, predict_clip
from fer_service.contract.errors import FerError, RequestError, StartError
from fer_service.contract.schemas import BatchPrediction, BatchResult, FaceEmotion, Prediction
from fer_service.contract.settings import load_settings
from fer_service.detection.weights import YUNET
from fer_service.http.replicas import run
from fer_service.observability.logs import configure_logging
from fer_service.tracking.tracked_stream import HALF_LIFE

app = typer.Typer(
    help="Find every face in an image and say which emotion each one shows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
detector_app = typer.Typer(help="The face detector's weights.", no_args_is_help=True)
app.add_typer(detector_app, name="detector")


def _seconds(text: str) -> Any:
    return typer.Option(parser=parse_seconds, metavar="SECONDS", help=text)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [FER_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [FER_PORT].")] = None,
) -> None:
    """Serve over HTTP until told to end; everything else is set by FER_ variables."""
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = load_settings(**given)
    configure_logging(settings.log_level, settings.log_format)
    run(settings)


@app.command()
def predict(
    photos: Annotated[list[Path], typer.Argument(help="Images, or one video.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's JSON.")] = False,
    out: Annotated[Path | None, typer.Option(help="Of a video: its timeline, .csv, .json or .parquet.")] = None,
    annotate: Annotated[Path | None, typer.Option(help="Of a video: a copy with boxes and labels.")] = None,
    every: Annotated[float, _seconds("Of a video: look so often, such as 0.2s; 0 is each frame.")] = 0.0,
    smooth: Annotated[float, _seconds("Of a video: half-life of the smoothing; 0 turns it off.")] = HALF_LIFE,
) -> None:
    """Analyse images, or a video into a timeline, without a server; ends with 1 if one cannot be read."""
    settings = load_settings()
    configure_logging("warning", settings.log_format)
    analyzer = load(settings)
    if out or annotate:
        if len(photos) > 1:
            raise typer.BadParameter("--out and --annotate take one video at a time")
        whole = predict_clip(analyzer, photos[0], out=out, annotate=annotate, every=every, half_life=smooth)
        raise typer.Exit(0 if whole else 1)
    found: list[tuple[Path, Prediction]] = []
    failed = False
    for photo in photos:
        try:
            found.append((photo, analyzer.analyze(photo.read_bytes())))
        except (RequestError, OSError) as error:
            failed = True
            reason = error.strerror if isinstance(error, OSError) else str(error)
            print(f"{photo}: {reason}{_hint(photo)}", file=sys.stderr)
    if as_json:
        print(_json(found, alone=len(photos) == 1))
    elif found:
        _print_table(found)
    raise typer.Exit(1 if failed else 0)


@app.command()
def benchmark(
    photos: Annotated[
        list[Path],
        typer.Argument(help="Images to send.", show_default=False, exists=True, dir_okay=False),
    ],
    detect: Annotated[bool, typer.Option(help="Detect faces, or treat each whole image as one face.")] = True,
    seconds: Annotated[float, typer.Option(min=0.05, help="Seconds per measurement; 13 per image.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
) -> None:
    """Measure the kernels, the pipeline without HTTP, and a real server under load."""
    from dataclasses import asdict

    from fer_benchmarks.benchmark import benchmark as measure
    from fer_benchmarks.tables import print_report

    from fer_service.analysis.analyzer import Options

    settings, reports = load_settings(), []
    configure_logging("error", settings.log_format)
    for photo in photos:
        reports.append(measure(photo.name, photo.read_bytes(), settings, Options(detect=detect), seconds))
        print_report(reports[-1], Console(width=120))
    if out:
        out.write_text(json.dumps([asdict(report) for report in reports], indent=2) + "\n", encoding="utf-8")


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


def _hint(path: Path) -> str:
    kind, _ = mimetypes.guess_type(path)
    return "; of a video --out names the timeline to write" if (kind or "").startswith("video/") else ""


def _json(found: list[tuple[Path, Prediction]], *, alone: bool) -> str:
    if alone:
        return "\n".join(prediction.model_dump_json(indent=2) for _, prediction in found)
    results = [BatchPrediction(name=str(photo), **dict(prediction)) for photo, prediction in found]
    return BatchResult(results=list(results)).model_dump_json(indent=2)


def _print_table(found: list[tuple[Path, Prediction]]) -> None:
    table = Table("image", "face", "box", "emotion", "confidence", "next")
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
