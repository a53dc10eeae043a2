"""`fer-service predict`."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fer_service.cli.copies import copy_of_video, copy_paths
from fer_service.cli.options import Detector, MaxFaces, MinScore, Model, check_max_faces, chosen_settings
from fer_service.cli.printed import PrintedResults
from fer_service.cli.progress import files_bar
from fer_service.cli.results import CONTINUED, Outcome, Results, json_name, open_results
from fer_service.cli.sources import Sources, find_sources, is_video
from fer_service.cli.video import analyze_video, parse_seconds, predict_video
from fer_service.contract.errors import ClipError, ResultsError
from fer_service.contract.schemas import FramePrediction
from fer_service.contract.settings import Settings
from fer_service.contract.text import printable
from fer_service.observability.logs import configure_logging
from fer_service.system.files import FileIds, write_atomically
from fer_service.tracking.tracked_stream import HALF_LIFE

if TYPE_CHECKING:
    from fer_service.analysis.analyzer import Analyzer
    from fer_service.analysis.options import Options
    from fer_service.video.analysis import ClipOptions

_Drawing = Literal["box", "blur", "pixelate", "none"]  # of `analysis.drawing`, which takes seconds to import


def _seconds(text: str) -> Any:
    return typer.Option(parser=parse_seconds, metavar="SECONDS", help=text)


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Images and videos: files, folders, patterns in quotes, or - for standard input.",
            show_default=False,
        ),
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also search subfolders.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as the HTTP API returns it.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the results to this .csv, .ndjson, .json or .parquet file. For one video: its timeline."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue --out (.csv or .ndjson): skip files that have results.")
    ] = False,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Write copies with boxes and labels into this folder: PNG files as .png, other images as .jpg, "
            "videos as .mp4. For a single file: the file to write (.png, .jpg or .mp4)."
        ),
    ] = None,
    draw: Annotated[
        _Drawing | None,
        typer.Option(
            help="What the copies show: boxes and labels, anonymised faces, or no marks.", show_default="box"
        ),
    ] = None,
    min_score: MinScore = None,
    max_faces: MaxFaces = None,
    model: Model = None,
    detector: Detector = None,
    every: Annotated[
        float, _seconds("Video: time between analysed frames, such as 0.2s; 0 analyses every frame.")
    ] = 0.0,
    smooth: Annotated[float, _seconds("Video: half-life of the smoothing; 0 turns it off.")] = HALF_LIFE,
) -> None:
    """Analyse images and videos without a server. The exit status is 1 if a file cannot be read.

    Examples:
    fer-service predict photo.jpg

    fer-service predict photos/ --recursive --out results.csv --annotate marked/

    fer-service predict clip.mp4 --out timeline.csv --every 0.2s --annotate marked.mp4

    fer-service predict photos/ clip.mp4 --annotate covered/ --draw blur --out results.csv
    """
    found = find_sources(sources, recursive=recursive)
    settings = chosen_settings(model, detector, min_score)
    check_max_faces(max_faces, settings)
    configure_logging("warning", settings.log_format, dated=False)
    if draw and not annotate:
        raise typer.BadParameter("--draw needs --annotate")
    _check_out(out, resume=resume, as_json=as_json)

    from fer_service.analysis.loading import load
    from fer_service.analysis.options import Options  # takes seconds, which other commands do not need
    from fer_service.system.process import set_up_process
    from fer_service.video.analysis import ClipOptions

    set_up_process()
    analyzer = load(settings)
    options = Options(max_faces=max_faces, draw="jpeg" if annotate else None, drawing=draw or "box")
    # A file that is continued has the results of other files too.
    continued = resume and out is not None and out.exists()
    if len(found.files) == 1 and is_video(found.files[0]) and (out or annotate) and not continued:
        try:
            marked = annotate and copy_of_video(annotate, found)
            complete = predict_video(
                analyzer, found.files[0], ClipOptions(options, every, smooth), out=out, annotate=marked
            )
        except OSError as error:
            place = error.filename or out or annotate
            raise ResultsError(f"cannot write {place}: {error.strerror or error}") from error
        raise typer.Exit(0 if complete else 1)
    if out and (out in FileIds(found.files) or out in found.files):
        raise typer.BadParameter(f"--out {printable(out)} is one of the files to analyse")
    videos = frozenset(file for file in found.files if is_video(file))
    copies = copy_paths(annotate, found, videos) if annotate else {}
    run = _Run(analyzer, settings, ClipOptions(options, every, smooth), videos, copies, prints=out is None)
    try:
        if out:
            labels, names = analyzer.classifier.bundle.metadata.labels, [json_name(file) for file in found.files]
            with open_results(out, labels, resume=resume, files=names) as results:
                run.write(found, results)
        else:
            printed = PrintedResults()
            run.write(found, printed)
            printed.show(as_json=as_json, single=len(found.files) == 1)
        if out or annotate or found.passed_over:
            places = [f" → {printable(out)}"] * bool(out) + [f", copies → {printable(annotate)}"] * bool(annotate)
            print(f"{run.summary(found)}{''.join(places)}", file=sys.stderr)
    except BrokenPipeError:
        raise  # `| head` needs no more: click ends without a message
    except KeyboardInterrupt:
        if out:
            way_on = "; --resume continues" if out.suffix.lower() in CONTINUED else ""
            print(f"stopped; the results so far are in {printable(out)}{way_on}", file=sys.stderr)
        raise
    except OSError as error:
        place = error.filename or out or "the output"
        raise ResultsError(f"cannot write {place}: {error.strerror or error}") from error
    raise typer.Exit(1 if run.failed else 0)


def _check_out(out: Path | None, *, resume: bool, as_json: bool) -> None:
    if resume and not out:
        raise typer.BadParameter("--resume needs --out")
    if as_json and out:
        raise typer.BadParameter("--json prints the results, --out writes them: give one of the two")


@dataclass
class _Run:
    """One call of the command."""

    analyzer: "Analyzer"
    settings: Settings
    options: "ClipOptions"
    videos: frozenset[Path]
    copies: dict[Path, Path]
    prints: bool
    failed: int = 0
    skipped: int = 0

    def write(self, sources: Sources, results: Results) -> None:
        """Analyse all files, with a progress bar on a terminal."""
        from fer_service.cli.analysis import SourceReader

        with files_bar() as bar:
            task = bar.add_task("", total=len(sources.files))
            todo = [path for path in sources.files if not results.has(json_name(path))]
            self.skipped = len(sources.files) - len(todo)
            bar.advance(task, self.skipped)
            images = [path for path in todo if path not in self.videos]
            read = SourceReader(images, self.settings.max_image_pixels)
            asyncio.run(self._write(todo, images, read, results, lambda: bar.advance(task)))

    def summary(self, sources: Sources) -> str:
        """Return what was done, in a line."""
        parts = [_count(len(sources.files) - self.skipped, "file analysed", "files analysed")]
        parts += [f"{self.failed} with an error"] if self.failed else []
        parts += [f"{self.skipped} had results"] if self.skipped else []
        others = _count(sources.passed_over, "other file passed over", "other files passed over")
        parts += [others] if sources.passed_over else []
        return ", ".join(parts)

    async def _write(
        self,
        todo: list[Path],
        images: list[Path],
        read: Callable[[Path], bytes],
        results: Results,
        advance: Callable[[], None],
    ) -> None:
        from fer_service.cli.analysis import analyze_files, running

        async with (
            running(self.analyzer, self.settings) as executor,
            aclosing(analyze_files(executor, images, self._options, self.settings.threads, read)) as analyses,
        ):
            for path in todo:
                if path in self.videos:
                    await self._video(executor.analyzer, path, results)
                else:
                    analysis = await anext(analyses)
                    if not isinstance(analysis, str) and analysis.drawn:
                        await asyncio.to_thread(write_atomically, self._copy(path), analysis.drawn)
                    self._add(path, analysis if isinstance(analysis, str) else analysis.prediction, results)
                advance()

    async def _video(self, analyzer: "Analyzer", path: Path, results: Results) -> None:
        if self.prints:
            otherwise = "" if self.copies else ", or as the only file --annotate marked.mp4"
            self._add(path, f"a video needs --out results.csv{otherwise}", results)
            return
        wanted = True

        def add(result: FramePrediction) -> None:
            if not wanted:
                raise ClipError("interrupted")
            results.add(json_name(path), result)

        copy = self._copy(path) if path in self.copies else None
        try:
            problem = await asyncio.to_thread(analyze_video, analyzer, path, self.options, copy, add)
        finally:
            wanted = False  # after Ctrl-C the thread still runs
        if problem:
            self._add(path, problem, results)

    def _add(self, path: Path, outcome: Outcome, results: Results) -> None:
        results.add(json_name(path), outcome)
        if isinstance(outcome, str):
            self.failed += 1
            print(f"{printable(path)}: {outcome}", file=sys.stderr)

    def _options(self, path: Path) -> "Options":
        """Return the choices for an image: its copy has the format of its suffix."""
        is_png = path in self.copies and self.copies[path].suffix.lower() == ".png"
        return replace(self.options.frame, draw="png") if is_png else self.options.frame

    def _copy(self, path: Path) -> Path:
        """Return the path of a file's copy, whose folder exists."""
        copy = self.copies[path]
        copy.parent.mkdir(parents=True, exist_ok=True)
        return copy


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
