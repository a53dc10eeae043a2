"""Reading of an uploaded video for an event loop, within its limits of time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from fer_service.contract.errors import (
    ClipError,
    ClipMemoryError,
    DeadlineExceeded,
    Draining,
    InsufficientMemory,
    RequestError,
    UndecodableVideo,
)
from fer_service.contract.job import Job
from fer_service.video.clip import Clip, ClipFrame
from fer_service.video.isolated import IsolatedClip, open_clip

_Result = TypeVar("_Result")
_SETTING: Final = "FER_MAX_VIDEO_PIXELS"


class VideoReader:
    """Reads one video in a thread of its own. As a context manager, it gives the video up at the end.

    Attributes:
        clip: The video; None until it is open.
    """

    def __init__(self, job: Job, draining: Callable[[], bool], ending_seconds: float) -> None:
        """Prepare.

        Args:
            job: At its deadline the video is cancelled.
            draining: Returns True when the process shuts down.
            ending_seconds: Seconds that the video may take from then on.
        """
        self.clip: Clip | IsolatedClip | None = None
        self._job = job
        self._draining = draining
        self._ending_seconds = ending_seconds
        self._last: float | None = None  # deadline since the process shuts down
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="video")

    async def __aenter__(self) -> "VideoReader":
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._job.cancel()
        closed = asyncio.wrap_future(self._pool.submit(self._close))
        self._pool.shutdown(wait=False)
        await asyncio.shield(closed)

    async def open(self, data: bytes, max_pixels: int) -> Clip | IsolatedClip:
        """Open the video, and return it.

        Args:
            data: Content of the file.
            max_pixels: Maximum width × height of a frame.

        Raises:
            UndecodableVideo: it cannot be read as a video, or its frames are too large.
            DeadlineExceeded: the deadline passed.
            Draining: the process shuts down.
        """

        def work() -> Clip | IsolatedClip:
            # Kept here, so that it is closed also if the caller was cancelled.
            self.clip = open_clip(data, max_pixels, _SETTING, self._wanted)
            return self.clip

        return await self._run(work)

    async def frames(self) -> AsyncIterator[ClipFrame]:
        """Yield the frames.

        Raises:
            UndecodableVideo: the file made the decoder fail.
            DeadlineExceeded: the deadline passed.
            Draining: the process shuts down.
        """
        frames = self.clip.frames() if self.clip else iter(())
        while frame := await self._run(lambda: next(frames, None)):
            yield frame

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Run work in the thread. If the task is cancelled, wait for the end of the work, which soon comes."""
        future = asyncio.wrap_future(self._pool.submit(work))
        try:
            result = await asyncio.shield(future)
        except asyncio.CancelledError:
            self._job.cancel()
            await asyncio.gather(future, return_exceptions=True)  # nobody is told how it ended
            raise
        except ClipMemoryError as error:
            raise InsufficientMemory(f"{error}; try again later") from error
        except ClipError as error:
            raise self._given_up() or UndecodableVideo(str(error)) from error
        if not self._wanted() and (given_up := self._given_up()):
            raise given_up
        return result

    def _close(self) -> None:
        if self.clip:
            self.clip.__exit__(None, None, None)

    def _wanted(self) -> bool:
        if self._last is None and self._draining():
            self._last = time.monotonic() + self._ending_seconds
        return not self._job.expired() and (self._last is None or time.monotonic() < self._last)

    def _given_up(self) -> RequestError | None:
        if self._wanted():
            return None
        if self._last is not None and not self._job.expired():
            return Draining("the process is shutting down; send the video again")
        return DeadlineExceeded("the video took too long (FER_VIDEO_TIMEOUT); send a shorter part of it")
