"""`fer-service batch`."""

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from fer_service.cli.batch_files import BatchFolder, list_files
from fer_service.cli.options import Detector, MaxFaces, MinScore, Model, check_max_faces, chosen_settings
from fer_service.cli.progress import files_bar
from fer_service.cli.video import parse_seconds
from fer_service.contract.errors import ResultsError
from fer_service.contract.text import printable
from fer_service.observability.logs import configure_logging


def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Images and videos: files, folders, patterns in quotes, prefixes such as s3://bucket/photos, and "
            ".txt files with a path per line.",
            show_default=False,
        ),
    ],
    out: Annotated[str, typer.Option(help="Folder or prefix for the parquet files of results.")],
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster. By default Ray runs on this machine.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the job in --out.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also search subfolders.")] = False,
    part_files: Annotated[int, typer.Option(min=1, help="Files per parquet file.")] = 500,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of worker processes; by default as many as the cores allow."),
    ] = None,
    min_score: MinScore = None,
    max_faces: MaxFaces = None,
    model: Model = None,
    detector: Detector = None,
    every: Annotated[
        float,
        typer.Option(
            parser=parse_seconds, metavar="SECONDS", help="Video: time between analysed frames, such as 0.2s."
        ),
    ] = 0.0,
) -> None:
    """Analyse millions of files on the machines of a Ray cluster, or on this one. It needs the extra `ray`.

    The columns are those of `fer-service predict --out results.parquet`. Each file has results exactly once.
    The order of the rows is not defined. The exit status is 1 if a file cannot be read.

    Examples:
    fer-service batch photos/ --recursive --out results/

    fer-service batch s3://bucket/photos --out s3://bucket/results --ray auto --resume
    """
    settings = chosen_settings(model, detector, min_score)
    check_max_faces(max_faces, settings)
    configure_logging("warning", settings.log_format, dated=False)
    folder = BatchFolder(out)
    chosen = {name: str(getattr(settings, name)) for name in ("model", "detector", "min_score")}
    about = {"sources": sources, **chosen, "max_faces": max_faces, "every": every}
    _prepare(folder, sources, about, part_files, resume=resume, recursive=recursive)

    from fer_service.analysis.options import Options  # takes seconds, which other commands do not need
    from fer_service.cli.batch_part import PartWorker
    from fer_service.distributed.cluster import connected
    from fer_service.distributed.jobs import run_parts
    from fer_service.video.analysis import ClipOptions

    listed = folder.open().metadata
    done = folder.done()
    todo = [part for part in range(listed.num_row_groups) if part not in done]
    arguments = {
        "folder": folder,
        "settings": settings,
        "options": ClipOptions(Options(max_faces=max_faces), every),
    }
    gpus = 1.0 if settings.device in ("cuda", "tensorrt") else 0.0
    skipped = sum(listed.row_group(part).num_rows for part in done)
    files = errors = 0
    with files_bar() as bar:
        task = bar.add_task("", total=listed.num_rows, completed=skipped)
        if todo:
            with connected(ray, settings.threads):
                for part in run_parts(PartWorker, arguments, todo, workers=workers, gpus=gpus):
                    files, errors = files + part["files"], errors + part["errors"]
                    bar.advance(task, part["files"])
    words = [f"{files} files analysed", f"{errors} with an error" * bool(errors)]
    words += [f"{skipped} had results" * bool(skipped)]
    print(f"{', '.join(filter(None, words))} → {printable(out)}", file=sys.stderr)
    raise typer.Exit(1 if errors else 0)


def _prepare(
    folder: BatchFolder,
    sources: list[str],
    about: Mapping[str, object],
    part_files: int,
    *,
    resume: bool,
    recursive: bool,
) -> None:
    """List the files, or check that the job in the folder is the same one."""
    try:
        if not folder.exists():
            folder.create(list_files(sources, recursive=recursive), part_files, about)
        elif not resume:
            raise ResultsError(
                f"{printable(folder.place)} has a job; give --resume to continue it, or another --out"
            )
        elif (before := folder.about()) != about:
            other = [name for name in about if before.get(name) != about[name]]
            raise ResultsError(
                f"{printable(folder.place)} has a job with other values of {', '.join(other)}: "
                f"{printable(str(before))}. Give these values, or another --out"
            )
    except OSError as error:
        raise ResultsError(f"cannot use {printable(folder.place)}: {error.strerror or error}") from error
