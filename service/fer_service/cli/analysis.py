"""Many images on all cores, in order: the pipeline of `fer-service predict`."""

import asyncio
import contextlib
import errno
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from fer_service.analysis.analyzer import Analysis, Analyzer
from fer_service.analysis.executor import Executor
from fer_service.analysis.loading import make_executor
from fer_service.analysis.options import Options
from fer_service.cli.sources import STDIN, check_searchable, is_pipe
from fer_service.contract.errors import ImageTooLarge, RequestError
from fer_service.contract.job import Job
from fer_service.contract.settings import Settings
from fer_service.imaging.encoded import check_format

_HEAD_BYTES: Final = 4096
_PIXEL_BYTES: Final = 8  # 16 bits of red, green, blue and opacity
_OTHER_BYTES: Final = 2**26  # of metadata
_File = TypeVar("_File")
_AHEAD: Final = 4  # images per thread that are read before their turn


@asynccontextmanager
async def running(analyzer: Analyzer, settings: Settings) -> AsyncIterator[Executor]:
    """Start an executor with the threads and the batches of the settings, and stop it."""
    executor = make_executor(analyzer, settings)
    await asyncio.to_thread(executor.start)
    try:
        yield executor
    finally:
        await asyncio.to_thread(executor.stop)


async def analyze_files(
    executor: Executor,
    files: Sequence[_File],
    options: Callable[[_File], Options],
    threads: int,
    read: Callable[[_File], bytes],
) -> AsyncGenerator[Analysis | str]:
    """Analyse images, several at the same time. Close the generator before the executor stops.

    Args:
        executor: A started executor.
        files: What to read.
        options: Returns the choices for a file.
        threads: Threads of the executor.
        read: Returns the content of a file; may raise OSError.

    Yields:
        For each file in order its analysis, or why there is none.
    """

    async def analyzed(file: _File) -> Analysis | str:
        try:
            data = await asyncio.to_thread(read, file)
            return await executor.run(data, options(file), Job())
        except OSError as error:
            return error.strerror or str(error)
        except RequestError as error:
            return str(error)
        except MemoryError:
            return "not enough memory to analyse the file"

    waiting: deque[asyncio.Task[Analysis | str]] = deque()
    try:
        for file in files:
            waiting.append(asyncio.create_task(analyzed(file)))
            if len(waiting) >= _AHEAD * threads:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:  # after an error or Ctrl-C
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


class SourceReader:
    """Reads image files. Standard input and named pipes, which may wait for their writers, are read at once.

    Ctrl-C interrupts this thread, and no other. Pipes are read at the same time: one writer may serve several.
    """

    def __init__(self, paths: Sequence[Path], max_pixels: int) -> None:
        """Read standard input and named pipes to their ends.

        Args:
            paths: Image files that will be read.
            max_pixels: See `read_source`.
        """
        self._max_pixels = max_pixels
        self._read: dict[Path, bytes | Exception] = {}
        pipes = [path for path in paths if is_pipe(path)]
        # Daemons: a pipe whose writer never comes must not keep the process.
        threads = [threading.Thread(target=self._keep, args=(path,), daemon=True) for path in pipes]
        for thread in threads:
            thread.start()
        if STDIN in paths:
            self._keep(STDIN)
        for thread in threads:
            thread.join()

    def _keep(self, path: Path) -> None:
        try:
            self._read[path] = read_source(path, self._max_pixels)
        except Exception as error:  # raised when it is the file's turn
            self._read[path] = error

    def __call__(self, path: Path) -> bytes:
        """Return the content of a file (see `read_source`)."""
        content = self._read.pop(path, None)
        if content is None:
            return read_source(path, self._max_pixels)
        if isinstance(content, Exception):
            raise content
        return content


def read_source(path: Path, max_pixels: int) -> bytes:
    """Return the content of an image file, or of standard input for -.

    Raises:
        UndecodableImage: it does not begin like an image.
        ImageTooLarge: it has more bytes than an image of `max_pixels` needs.
        OSError: it cannot be read.
    """
    if path == STDIN and sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    check_searchable(path)
    most = max_pixels * _PIXEL_BYTES + _OTHER_BYTES
    with contextlib.nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        check_format(head)
        data = head + file.read(most)
    if len(data) > most:
        raise ImageTooLarge(f"the file has more than {most:,} bytes, which {max_pixels:,} pixels do not need")
    return data
