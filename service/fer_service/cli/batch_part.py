"""One part of a batch job, in a worker process: from files to a parquet file of results."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from fer_service.analysis.loading import load, make_executor
from fer_service.cli.analysis import analyze_files
from fer_service.cli.batch_files import BatchFolder, is_uri, open_place
from fer_service.cli.results import Results, open_results
from fer_service.cli.sources import check_searchable, is_video
from fer_service.cli.video import analyze_video
from fer_service.contract.settings import Settings
from fer_service.system.files import read_file
from fer_service.system.process import set_up_process
from fer_service.video.analysis import ClipOptions

_MAX_BYTES: Final = 2**29  # of an image file, so that the memory of a worker is bounded


class PartWorker:
    """Holds the pipeline and its threads, and analyses one part after the other."""

    def __init__(self, folder: BatchFolder, settings: Settings, options: ClipOptions, threads: int) -> None:
        """Load the models and start the threads.

        Args:
            folder: The folder of the job.
            settings: Settings; `threads` replaces theirs.
            options: Choices for every video, and in `frame` for every image.
            threads: Number of cores to use.
        """
        self._folder, self._options, self._threads = folder, options, threads
        self._files = folder.open()
        set_up_process()
        self._analyzer = load(settings)
        settings = settings.model_copy(update={"threads": threads})
        self._executor = make_executor(self._analyzer, settings)
        self._executor.start()

    def __call__(self, row: Mapping[str, Any]) -> dict[str, int]:
        """Write the results of a part, unless an earlier attempt has; return its numbers of files and errors."""
        number = int(row["part"])
        listed = self._files.read_row_group(number).to_pydict()
        files = list(zip(listed["name"], map(os.fsdecode, listed["place"]), strict=True))
        if (errors := self._folder.errors(number)) is not None:
            return {"files": len(files), "errors": errors}
        labels = self._analyzer.classifier.bundle.metadata.labels
        with tempfile.TemporaryDirectory() as temporary:
            local = Path(temporary, "part.parquet")
            with open_results(local, labels, resume=False) as results:
                errors = asyncio.run(self._analyze(files, results))
            self._folder.store(local, number)
        return {"files": len(files), "errors": errors}

    async def _analyze(self, files: list[tuple[str, str]], results: Results) -> int:
        """Add the results of files, given by name and place; return the number of those with an error."""
        errors = 0
        videos = {place for _, place in files if is_video(path_of(place))}
        images = [place for _, place in files if place not in videos]
        analyses = analyze_files(self._executor, images, lambda _: self._options.frame, self._threads, _read)
        async with aclosing(analyses):
            for name, place in files:
                if place in videos:
                    errors += await asyncio.to_thread(self._add_video, name, place, results)
                    continue
                analysis = await anext(analyses)
                errors += isinstance(analysis, str)
                results.add(name, analysis if isinstance(analysis, str) else analysis.prediction)
        return errors

    def _add_video(self, name: str, place: str, results: Results) -> bool:
        """Add the frames of a video; return True if it could not be read to its end."""
        try:
            with _local_copy(place) as path:
                problem = analyze_video(
                    self._executor.analyzer, path, self._options, None, partial(results.add, name)
                )
        except OSError as error:
            problem = str(error)
        if problem:
            results.add(name, problem)
        return bool(problem)


def path_of(place: str) -> Path:
    """Return a path with the name of a place; a URI may have options behind it."""
    return Path(unquote(urlsplit(place).path)) if is_uri(place) else Path(place)


def _read(place: str) -> bytes:
    if not is_uri(place):
        check_searchable(Path(place))
        return read_file(Path(place), _MAX_BYTES)
    system, path = open_place(place)
    with system.open_input_stream(path) as stream:
        data: bytes = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(f"More than {_MAX_BYTES:,} bytes")
    return data


@contextmanager
def _local_copy(place: str) -> Iterator[Path]:
    """Give a local file with the content of a place while the block runs."""
    if not is_uri(place):
        yield Path(place)
        return
    system, path = open_place(place)
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as copy:
        with system.open_input_stream(path) as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name)
