"""The line under load: images are prepared in a pool of threads, their crops share the batcher's runs.

On a CPU a batch is no cheaper than its crops one by one, and the pool keeps all cores busy anyway: there each
image's thread runs the network itself, and nothing waits for another thread (docs/decisions/cpu-batching.md).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.analysis.analyzer import Analyzer, Options, Prepared
from fer_service.contract.errors import DeadlineExceeded, NotReady, Overloaded
from fer_service.contract.schemas import Prediction
from fer_service.detection.batched import BatchedDetector
from fer_service.detection.detector import BatchDetector
from fer_service.observability.metrics import Metrics
from fer_service.onnx.batcher import Batched, Batcher, QueueFull, Stopped

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Timed:
    """A prediction and what it took.

    Attributes:
        prediction: The answer.
        seconds: By stage, in the order in which they ran: decode, detect, crop, infer, and queue: before all where
            it was for a thread, before infer where it was for the network.
    """

    prediction: Prediction
    seconds: dict[str, float]


class Executor:
    """Serves an analyzer to many requests of one event loop at a time."""

    def __init__(
        self, analyzer: Analyzer, metrics: Metrics, *, threads: int, max_batch: int, batched: bool
    ) -> None:
        """Prepare; `start` before the first request.

        Args:
            analyzer: The line for one image.
            metrics: Told of every image and batch.
            threads: Images that are prepared at a time.
            max_batch: Most crops a run of the network.
            batched: Whether requests share the network's runs; pays where a batch is cheaper than its crops.
        """
        # One image a thread is all the parallelism there is; OpenCV's own would only compete with it.
        cv2.setNumThreads(1)
        self._detector: BatchedDetector | None = None
        if isinstance(analyzer.detector, BatchDetector) and analyzer.detector.on_gpu:
            # While one half of the threads waits for the GPU, the other half decodes.
            threads *= 2
            self._detector = BatchedDetector(
                analyzer.detector, threads=threads, on_batch=metrics.detector_batch_size.observe
            )
            analyzer = Analyzer(self._detector, analyzer.classifier, analyzer.limits)
        self.analyzer = analyzer
        self._metrics = metrics
        self._max_batch = max_batch
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
        # Requests are bounded at the door; this only stops what no bound at the door can foresee.
        queue = max(4 * max_batch, 16 * analyzer.limits.max_faces)
        self._batcher: Batcher[NDArray[np.uint8], NDArray[np.float32]] | None = None
        if batched:
            self._batcher = Batcher(
                self._classify,
                first=self._warm_network,
                max_batch=max_batch,
                max_queue=queue,
                on_depth=metrics.queue_depth.set,
            )

    def start(self) -> None:
        """Start the networks' threads and warm the line in each thread of the pool.

        Raises:
            ProviderError: the device cannot run a network.
        """
        # One after the other: a GPU records graphs for one at a time.
        if self._detector:
            self._detector.start()
        if self._batcher:
            self._batcher.start()
        together = threading.Barrier(self._threads)

        def warm(_: int) -> None:
            together.wait()  # so that no thread takes the turn of another
            if not self._batcher:
                self._warm_network()
            self.analyzer.warm()

        list(self._pool.map(warm, range(self._threads)))

    def stop(self) -> None:
        """Finish what waits and end all threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._detector:
            self._detector.stop()
        if self._batcher:
            self._batcher.drain()

    @property
    def alive(self) -> bool:
        """Whether the networks' threads run, where they have any; they never end by themselves."""
        return all(part.alive for part in (self._detector, self._batcher) if part is not None)

    async def predict(self, data: bytes, options: Options, deadline: float) -> Timed:
        """Answer one image.

        Args:
            data: An encoded image.
            options: What to look for.
            deadline: `time.monotonic()` after which the answer is not wanted any more.

        Raises:
            RequestError: the image cannot be answered; the subclass says why.
        """
        if self._batcher is None:
            return await self.in_pool(self._whole, data, options, time.monotonic(), deadline=deadline)
        prepared = await self.in_pool(self.analyzer.prepare, data, options, deadline=deadline)
        answers = await self._classified(self._batcher, prepared, deadline) if prepared.crops else []
        seconds = dict(prepared.seconds)
        if answers:
            seconds["queue"] = max(answer.queued for answer in answers)
            seconds["infer"] = max(answer.ran for answer in answers)
        return self._timed(prepared, [answer.value for answer in answers], seconds)

    def _whole(self, data: bytes, options: Options, asked: float) -> Timed:
        """One image from its bytes to its prediction, on this thread."""
        queued = time.monotonic() - asked
        prepared = self.analyzer.prepare(data, options)
        seconds = {"queue": queued, **prepared.seconds}
        rows: list[NDArray[np.float32]] = []
        if prepared.crops:
            began = time.perf_counter()
            rows = self._classify(prepared.crops)
            seconds["infer"] = time.perf_counter() - began
        return self._timed(prepared, rows, seconds)

    def _timed(
        self, prepared: Prepared, probabilities: list[NDArray[np.float32]], seconds: dict[str, float]
    ) -> Timed:
        prediction = self.analyzer.assemble(prepared, probabilities)
        self._metrics.observe(prediction, seconds)
        return Timed(prediction, seconds)

    async def in_pool(
        self, work: Callable[[*_Arguments], _Result], *arguments: *_Arguments, deadline: float
    ) -> _Result:
        """Do what works on an image's pixels, of so many images at a time as there are threads.

        Args:
            work: Run in a thread.
            arguments: Of `work`.
            deadline: `time.monotonic()` after which it is not begun any more.

        Raises:
            DeadlineExceeded: no thread was free in time.
        """

        def run() -> _Result:
            self._waits(-1)
            if time.monotonic() > deadline:
                raise DeadlineExceeded("the request's time was over before its image could be looked at")
            return work(*arguments)

        self._waits(1)
        future = self._pool.submit(run)
        future.add_done_callback(lambda done: self._waits(-1) if done.cancelled() else None)
        return await asyncio.wrap_future(future)

    def _waits(self, change: int) -> None:
        """Tell how many images wait for a thread, where it is not crops that wait for the network."""
        if self._batcher is None:
            self._metrics.queue_depth.inc(change)

    async def _classified(
        self, batcher: Batcher[NDArray[np.uint8], NDArray[np.float32]], prepared: Prepared, deadline: float
    ) -> list[Batched[NDArray[np.float32]]]:
        try:
            futures = batcher.submit(prepared.crops, deadline)
        except QueueFull as error:
            self._metrics.rejected.labels("queue").inc()
            raise Overloaded(f"the network's queue is full: {error}") from error
        except Stopped as error:
            raise NotReady("the network's thread has ended") from error
        try:
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
        except TimeoutError as error:
            raise DeadlineExceeded("the request's time was over before the network was free") from error

    def _warm_network(self) -> None:
        self.analyzer.classifier.warm(self._max_batch)

    def _classify(self, crops: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        self._metrics.batch_size.observe(len(crops))
        return list(self.analyzer.classifier.classify(crops))
