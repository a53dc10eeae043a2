"""Many images at a time: pools of threads, each thread running the whole pipeline for one image."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

from fer_service.analysis.analyzer import Analysis, Analyzer
from fer_service.analysis.lane import Lane
from fer_service.analysis.options import Options
from fer_service.analysis.preparation import decode_here
from fer_service.classification.batched import BatchedClassifier
from fer_service.contract.job import Job
from fer_service.contract.schemas import Prediction
from fer_service.detection.batched import BatchedDetector
from fer_service.detection.detector import BatchDetector, Search
from fer_service.imaging.encoded import EncodedImage
from fer_service.imaging.isolated import IsolatedDecoder
from fer_service.observability.metrics import Metrics
from fer_service.onnx.shared_runs import SharedRuns
from fer_service.system.child import SUPPORTED

# On a GPU a thread mostly waits for it; twice as many threads decode meanwhile.
_THREADS_PER_CORE_WITH_GPU: Final = 2
_THREAD_BYTES: Final = 100_000_000  # that a thread may take to decode an image
_Result = TypeVar("_Result")
logger = logging.getLogger(__name__)


class Executor:
    """Runs an analyzer for the requests of one event loop.

    Ordinary images are decoded and analysed in the threads of one lane. Images whose cost is not known beforehand
    have a lane of their own, so ordinary images never wait for them: those that are decoded in child processes,
    and those whose faces are covered, which takes several searches for faces.

    A network on a GPU is put behind a batcher, so that images share its runs. On a CPU a batch costs as much as
    its images one by one, and each thread runs the networks itself (docs/decisions/cpu-batching.md).

    Attributes:
        analyzer: The pipeline that each thread runs.
    """

    def __init__(
        self, analyzer: Analyzer, metrics: Metrics, *, threads: int, max_batch: int, decode_memory: int
    ) -> None:
        """Prepare; call `start` before the first image.

        Args:
            analyzer: The pipeline for one image.
            metrics: Counts images, stages and batches.
            threads: Number of cores to use.
            max_batch: Maximum crops per run of the classifier.
            decode_memory: Maximum bytes for the images that are decoded in child processes at the same time.
        """
        detector, classifier = analyzer.detector, analyzer.classifier
        on_gpu = classifier.on_gpu
        threads *= _THREADS_PER_CORE_WITH_GPU if on_gpu else 1
        self._shared: list[SharedRuns[Any, Any]] = []
        network = detector.network if isinstance(detector, Search) else detector
        if isinstance(network, BatchDetector) and network.on_gpu:
            batched = BatchedDetector(
                network,
                max_batch=threads,
                max_queue=2 * threads,
                on_batch=self._counted(metrics.detector_batch_size),
            )
            self._shared.append(batched.runs)
            detector = detector.around(batched) if isinstance(detector, Search) else batched
        if on_gpu:
            # Every thread of both lanes may queue all faces of an image: the queue is never full.
            classifier = BatchedClassifier(
                classifier,
                max_batch=max_batch,
                max_queue=2 * threads * analyzer.limits.max_faces,
                on_batch=self._counted(metrics.batch_size),
            )
            self._shared.append(classifier.runs)
        self.analyzer = Analyzer(detector, classifier, analyzer.limits, analyzer.landmarks)
        self._metrics = metrics
        self._max_batch = max_batch
        self._shares_runs = on_gpu
        self._warm = False
        self._lane = Lane("analyze", threads)
        # These images may take their whole deadline: one client leaves a thread to others.
        self._long_lane = Lane("long", max(threads, 2), max(threads, 2) - 1)
        self._isolated = IsolatedDecoder(decode_memory)
        self._reported_stall = False

    def start(self) -> None:
        """Start and warm the networks, then run a small image in each thread.

        Raises:
            ProviderError: the device cannot run a network.
        """
        # One after the other: a GPU records graphs for one network at a time.
        for runs in self._shared:
            runs.start()

        def warm() -> None:
            self.analyzer.classifier.warm(self._max_batch)
            self.analyzer.warm()

        self._lane.run_in_each(warm)
        self._warm = True

    def stop(self) -> None:
        """Finish the images that have begun, drop the others, and end all threads and child processes."""
        self._lane.stop()
        self._long_lane.stop()
        self._isolated.close()
        for runs in self._shared:
            runs.stop()

    @property
    def alive(self) -> bool:
        """True while the networks' threads run; they end only by a defect or `stop`."""
        return all(runs.alive for runs in self._shared)

    def stalled(self) -> bool:
        """Return True while every thread for ordinary images works on one whose deadline has passed.

        What they work on is logged once.
        """
        overdue = self._lane.overdue()
        stalled = len(overdue) >= self._lane.threads
        if stalled and not self._reported_stall:
            kinds = "; ".join(sorted({job.kind for job in overdue}))
            logger.error("all %d threads work on images whose deadline has passed: %s", len(overdue), kinds)
        self._reported_stall = stalled
        return stalled

    async def run(self, data: bytes, options: Options, job: Job) -> Analysis:
        """Analyze one image.

        Args:
            data: An encoded image.
            options: The request's choices.
            job: Takes the time of each stage. An image that is still queued at its deadline is refused.

        Raises:
            RequestError: the image or an option is refused; the subclass says why.
        """
        try:
            result = await self._run_in(self._lane, lambda: self._analysed(data, options, job), job)
            if isinstance(result, EncodedImage):
                image = result
                result = await self._run_in(self._long_lane, lambda: self._process(image, options, job), job)
        except asyncio.CancelledError:
            job.cancel()
            raise
        self._observe(result.prediction, job)
        return result

    async def run_pixels(self, pixels: NDArray[np.uint8], options: Options, job: Job) -> Prediction:
        """Analyze one frame of a video.

        Args:
            pixels: uint8 [H, W, 3], RGB, upright.
            options: The request's choices.
            job: Takes the time of each stage. A frame that is still queued at its deadline is refused.

        Raises:
            RequestError: an option is refused, or the deadline has passed.
        """
        work = partial(self.analyzer.process_pixels, pixels, options, job)
        try:
            prediction = await self._run_in(self._lane, work, job)
        except asyncio.CancelledError:
            job.cancel()
            raise
        self._observe(prediction, job)
        return prediction

    async def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job) -> list[Prediction]:
        """Classify crops of faces that were found elsewhere, in batches that take turns with the work of others.

        Args:
            crops: N ≥ 1 arrays, uint8 [S, S, 3], RGB; S is the `input_size` of the model.
            job: Takes the time of each stage. A batch that is still queued at its deadline is refused.

        Returns:
            One prediction per crop (see `Analyzer.process_crops`).

        Raises:
            RequestError: the crops are refused; the subclass says why.
        """
        # What one image may put into the queue of a GPU.
        size = min(self._max_batch, self.analyzer.limits.max_faces)
        predictions: list[Prediction] = []
        try:
            for start in range(0, len(crops), size):
                work = partial(self.analyzer.process_crops, crops[start : start + size], job)
                predictions += await self._run_in(self._lane, work, job)
                if not self._shares_runs:
                    self._metrics.batch_size.observe(len(crops[start : start + size]))
        except asyncio.CancelledError:
            job.cancel()
            raise
        await asyncio.to_thread(self._observe_crops, predictions, job)  # there may be thousands
        return predictions

    def _observe_crops(self, predictions: Sequence[Prediction], job: Job) -> None:
        for number, prediction in enumerate(predictions):
            self._metrics.observe(prediction, {} if number else job.seconds)

    def _observe(self, prediction: Prediction, job: Job) -> None:
        self._metrics.observe(prediction, job.seconds)
        if not self._shares_runs and prediction.faces:
            self._metrics.batch_size.observe(len(prediction.faces))

    def _analysed(self, data: bytes, options: Options, job: Job) -> Analysis | EncodedImage:
        """Return the analysis, or the image if the other lane must analyse it."""
        image = self.analyzer.open(data, options, job)
        if _is_costly(image, self.analyzer.preparer.reduction(image.header, options)):
            self._isolated.check(image)
            return image
        if options.covers:
            return image
        try:
            return self.analyzer.process(image, options, job, _decode_unless_costly)
        except _Costly:  # small faces ask for a much larger image
            self._isolated.check(image)
            return image

    def _process(self, image: EncodedImage, options: Options, job: Job) -> Analysis:
        with self._isolated.decoding(job) as isolated:

            def decode(image: EncodedImage, reduction: int) -> NDArray[np.uint8]:
                return (isolated if _is_costly(image, reduction) else decode_here)(image, reduction)

            return self.analyzer.process(image, options, job, decode)

    def _counted(self, histogram: Histogram) -> Callable[[int], None]:
        """Return a callback that observes the size of each batch, but not of those that warm the networks."""

        def observe(size: int) -> None:
            if self._warm:
                histogram.observe(size)

        return observe

    async def _run_in(self, lane: Lane, work: Callable[[], _Result], job: Job) -> _Result:
        queued = time.monotonic()
        depth = self._metrics.queue_depth

        def begin() -> _Result:
            depth.dec()
            job.queued(time.monotonic() - queued)
            job.check_deadline("a free thread")
            return work()

        depth.inc()
        future: Future[_Result] = lane.submit(begin, job)
        future.add_done_callback(lambda done: depth.dec() if done.cancelled() else None)
        return await asyncio.wrap_future(future)


class _Costly(Exception):
    """An image of the ordinary lane must be decoded in a child process."""


def _decode_unless_costly(image: EncodedImage, reduction: int) -> NDArray[np.uint8]:
    if _is_costly(image, reduction):
        raise _Costly
    return decode_here(image, reduction)


def _is_costly(image: EncodedImage, reduction: int) -> bool:
    """Return True for images that a child process decodes."""
    return SUPPORTED and (image.header.isolated or image.header.memory_at(reduction) > _THREAD_BYTES)
