"""`fer-service predict`."""

import mimetypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_service.cli.video import parse_seconds, predict_video
from fer_service.contract.errors import RequestError
from fer_service.contract.schemas import BatchPrediction, BatchResult, FaceEmotion, Prediction
from fer_service.contract.settings import load_settings
from fer_service.contract.text import printable, printable_json
from fer_service.observability.logs import configure_logging
from fer_service.tracking.tracked_stream import HALF_LIFE

if TYPE_CHECKING:
    from fer_service.analysis.analyzer import Analyzer


def _seconds(text: str) -> Any:
    return typer.Option(parser=parse_seconds, metavar="SECONDS", help=text)


def predict(
    photos: Annotated[list[Path], typer.Argument(help="Images, or one video.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as the HTTP API returns it.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Video: write the timeline to this .csv, .json or .parquet file.")
    ] = None,
    annotate: Annotated[
        Path | None, typer.Option(help="Video: write a copy with boxes and labels to this file.")
    ] = None,
    every: Annotated[
        float, _seconds("Video: time between analysed frames, such as 0.2s; 0 analyses every frame.")
    ] = 0.0,
    smooth: Annotated[float, _seconds("Video: half-life of the smoothing; 0 turns it off.")] = HALF_LIFE,
) -> None:
    """Analyse images, or one video, without a server. The exit status is 1 if a file cannot be read."""
    from fer_service.analysis.loading import load  # takes seconds, which other commands do not need

    settings = load_settings()
    configure_logging("warning", settings.log_format)
    analyzer = load(settings)
    if out or annotate:
        if len(photos) > 1:
            raise typer.BadParameter("--out and --annotate accept one video at a time")
        complete = predict_video(analyzer, photos[0], out=out, annotate=annotate, every=every, half_life=smooth)
        raise typer.Exit(0 if complete else 1)
    predictions = _predict_images(analyzer, photos)
    if as_json:
        print(printable_json(_to_json(predictions, single=len(photos) == 1)))
    elif predictions:
        Console().print(_table(predictions))
    raise typer.Exit(0 if len(predictions) == len(photos) else 1)


def _predict_images(analyzer: "Analyzer", paths: list[Path]) -> list[tuple[Path, Prediction]]:
    """Analyse images; print one line for each that fails."""
    predictions: list[tuple[Path, Prediction]] = []
    for path in paths:
        try:
            predictions.append((path, analyzer.analyze(path.read_bytes())))
        except (RequestError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            print(f"{printable(path)}: {reason}{_video_hint(path)}", file=sys.stderr)
    return predictions


def _video_hint(path: Path) -> str:
    kind, _ = mimetypes.guess_type(path)
    return "; for a video, pass --out or --annotate" if (kind or "").startswith("video/") else ""


def _to_json(predictions: list[tuple[Path, Prediction]], *, single: bool) -> str:
    """Return a prediction as /predict does, or several as /predict/batch does."""
    if single:
        return "\n".join(prediction.model_dump_json(indent=2) for _, prediction in predictions)
    results = [BatchPrediction(name=_json_name(path), **dict(prediction)) for path, prediction in predictions]
    return BatchResult(results=list(results)).model_dump_json(indent=2)


def _json_name(path: Path) -> str:
    """Return a path as JSON can hold it: bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _table(predictions: list[tuple[Path, Prediction]]) -> Table:
    table = Table("image", "face", "box", "emotion", "confidence", "next")
    for path, prediction in predictions:
        if not prediction.faces:
            table.add_row(Text(printable(path)), "–", "no face", "", "", "")
        for number, face in enumerate(prediction.faces, 1):
            cells = (printable(path) if number == 1 else "", str(number), *_face_cells(face))
            table.add_row(*map(Text, cells))  # a plain string would be read as markup
    return table


def _face_cells(face: FaceEmotion) -> tuple[str, str, str, str]:
    """Return box, emotion, confidence and the second most likely label."""
    ranked = sorted(face.probabilities.items(), key=lambda entry: -entry[1])
    second = f"{ranked[1][0]} {ranked[1][1]:.0%}"
    box = f"{face.box.width}×{face.box.height} at {face.box.x},{face.box.y}"
    return box, face.emotion + (" ?" if face.uncertain else ""), f"{face.confidence:.0%}", second
