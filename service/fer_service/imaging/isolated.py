"""Decoding in child processes, for images whose cost in time or memory is not known beforehand.

A decoder cannot be stopped. A process can: at the deadline, at its limit of memory, or when the client has left.
"""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import (
    DeadlineExceeded,
    InsufficientMemory,
    InternalError,
    RequestError,
    TooManyPixels,
    UndecodableImage,
)
from fer_service.contract.job import Job
from fer_service.imaging.encoded import Decode, EncodedImage
from fer_service.system.child import Answer, Child, ChildEnded, ChildKilled

_MODULE: Final = "fer_service.imaging.decode_process"
# Decoders reserve more than they use; 24 MiB are enough for usual images of all formats. The limit ends what is
# far from its estimate, such as a lossless WebP image of 10⁶ pixels with 65,536 groups of prefix codes (720 MB).
_LIMIT_FACTOR: Final = 2
_LIMIT_SPARE: Final = 64 * 2**20
_MAX_SECONDS: Final = 600.0  # of CPU time, where a job has no deadline
logger = logging.getLogger(__name__)


class IsolatedDecoder:
    """Decodes images in child processes. Threads may share it.

    Each call has a child to itself. Children are started when they are needed and kept.
    """

    def __init__(self, max_memory: int) -> None:
        """Start without children.

        Args:
            max_memory: Maximum bytes that these images take at the same time, by the estimates of their headers.
        """
        self._max_memory = max_memory
        self._free = max_memory
        self._changed = threading.Condition()
        self._idle: list[Child] = []

    @contextmanager
    def decoding(self, job: Job) -> Iterator[Decode]:
        """Yield a function that decodes images of a job. What it returns may be used until the block ends.

        The first call waits until there is memory for the image. Decoding the same image again needs no more.

        Args:
            job: Its deadline ends the child; so does its cancellation.

        The function raises:
            UndecodableImage: the data after the header are truncated or damaged.
            TooManyPixels: the image takes more memory than all images together may take.
            InsufficientMemory: the child ran out of memory.
            DeadlineExceeded: the deadline passed.
            InternalError: the child failed; the log says why.
        """
        with ExitStack() as reserved:
            held = 0

            def decode(image: EncodedImage, reduction: int) -> NDArray[np.uint8]:
                nonlocal held
                if not held:
                    self.check(image)
                    held = image.header.memory
                    reserved.enter_context(self._reserved(held, job))
                return self._decoded(image, reduction, job)

            yield decode

    def check(self, image: EncodedImage) -> None:
        """Refuse an image that takes more memory than there ever is.

        Raises:
            TooManyPixels: it does.
        """
        needed = image.header.memory
        if needed > self._max_memory:
            raise TooManyPixels(
                f"decoding this image ({image.header.kind}) takes about {needed / 2**20:,.0f} MiB, the maximum is "
                f"{self._max_memory / 2**20:,.0f} MiB (FER_DECODE_MEMORY); send a smaller image, or a JPEG"
            )

    def close(self) -> None:
        """End the idle children."""
        with self._changed:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    @contextmanager
    def _reserved(self, size: int, job: Job) -> Iterator[None]:
        with self._changed:
            while self._free < size:
                job.check_deadline("memory to decode it")
                self._changed.wait(0.1)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()

    def _decoded(self, image: EncodedImage, reduction: int, job: Job) -> NDArray[np.uint8]:
        child = self._take()
        try:
            answer = self._ask(child, image, reduction, job)
        except ChildKilled as error:
            if job.overdue():
                logger.warning("decoding was stopped at its deadline: %s", image.header.kind)
            raise DeadlineExceeded(
                f"request timed out while decoding the image ({image.header.kind}, FER_REQUEST_TIMEOUT)"
            ) from error
        except ChildEnded as error:
            raise _refusal(error.status, image) from error
        with self._changed:
            self._idle.append(child)
        if "undecodable" in answer.content:
            raise UndecodableImage(answer.content["undecodable"])
        if answer.array is None:
            raise InsufficientMemory(
                f"not enough memory to decode the image ({image.header.kind}); try again later"
            )
        return answer.array

    def _take(self) -> Child:
        with self._changed:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
        try:
            return Child(_MODULE)
        except OSError as error:
            raise InsufficientMemory(f"cannot start a process to decode the image: {error.strerror}") from error

    def _ask(self, child: Child, image: EncodedImage, reduction: int, job: Job) -> Answer:
        seconds = min(max(job.deadline - time.monotonic(), 0.0), _MAX_SECONDS)

        def wanted() -> bool:
            return not job.expired()

        child.send(
            {
                "header": asdict(image.header),
                "reduction": reduction,
                "memory": _LIMIT_FACTOR * image.header.memory + _LIMIT_SPARE,
                "seconds": seconds,
            },
            image.data,
            wanted,
        )
        return child.receive(wanted)


def _refusal(status: int, image: EncodedImage) -> RequestError:
    """Return the error for an image whose child has ended by itself."""
    kind = image.header.kind
    logger.warning("the decoding process ended with status %d: %s", status, kind)
    if status == -signal.SIGKILL:  # by the kernel, when memory runs out
        return InsufficientMemory(f"not enough memory to decode the image ({kind}); try again later")
    if status == -signal.SIGXCPU:
        return DeadlineExceeded(f"request timed out while decoding the image ({kind}, FER_REQUEST_TIMEOUT)")
    if status < 0:
        return UndecodableImage(f"the decoder failed on this image ({kind}); it is damaged or uses a rare feature")
    return InternalError("the decoding process failed; see the server log")
