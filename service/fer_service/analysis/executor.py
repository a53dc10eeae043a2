"""Many images at a time: a pool of threads, each running the whole pipeline for one image."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from prometheus_client import Histogram

from fer_service.analysis.analyzer import Analysis, Analyzer, Options
from fer_service.classification.batched import BatchedClassifier
from fer_service.contract.job import Job
from fer_service.detection.batched import BatchedDetector
from fer_service.detection.detector import BatchDetector
from fer_service.observability.metrics import Metrics
from fer_service.onnx.shared_runs import SharedRuns

# On a GPU a thread mostly waits for it; twice as many threads decode meanwhile.
_THREADS_PER_CORE_WITH_GPU: Final = 2
_START_SECONDS: Final = 60  # for all threads to start


class Executor:
    """Runs an analyzer for the requests of one event loop.

    A network on a GPU is put behind a batcher, so that images share its runs. On a CPU a batch costs as much as
    its images one by one, and each thread runs the networks itself (docs/decisions/cpu-batching.md).

    Attributes:
        analyzer: The pipeline that each thread runs.
    """

    def __init__(self, analyzer: Analyzer, metrics: Metrics, *, threads: int, max_batch: int) -> None:
        """Prepare; call `start` before the first image.

        Args:
            analyzer: The pipeline for one image.
            metrics: Counts images, stages and batches.
            threads: Number of cores to use.
            max_batch: Maximum crops per run of the classifier.
        """
        detector, classifier = analyzer.detector, analyzer.classifier
        on_gpu = classifier.on_gpu
        threads *= _THREADS_PER_CORE_WITH_GPU if on_gpu else 1
        self._shared: list[SharedRuns[Any, Any]] = []
        if isinstance(detector, BatchDetector) and detector.on_gpu:
            detector = BatchedDetector(
                detector, threads=threads, on_batch=self._counted(metrics.detector_batch_size)
            )
            self._shared.append(detector.runs)
        if on_gpu:
            # Every thread may queue all faces of an image: the queue is never full.
            classifier = BatchedClassifier(
                classifier,
                max_batch=max_batch,
                max_queue=threads * analyzer.limits.max_faces,
                on_batch=self._counted(metrics.batch_size),
            )
            self._shared.append(classifier.runs)
        self.analyzer = Analyzer(detector, classifier, analyzer.limits)
        self._metrics = metrics
        self._max_batch = max_batch
        self._shares_runs = on_gpu
        self._warm = False
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="analyze")

    def start(self) -> None:
        """Start and warm the networks, then run a small image in each thread.

        Raises:
            ProviderError: the device cannot run a network.
        """
        # One after the other: a GPU records graphs for one network at a time.
        for runs in self._shared:
            runs.start()
        all_threads = threading.Barrier(self._threads)

        def warm(_: int) -> None:
            all_threads.wait(_START_SECONDS)  # so that each thread warms up once
            self.analyzer.classifier.warm(self._max_batch)
            self.analyzer.warm()

        list(self._pool.map(warm, range(self._threads)))
        self._warm = True

    def stop(self) -> None:
        """Finish the images that have begun, drop the others, and end all threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for runs in self._shared:
            runs.stop()

    @property
    def alive(self) -> bool:
        """True while the networks' threads run; they end only by a defect or `stop`."""
        return all(runs.alive for runs in self._shared)

    async def run(self, data: bytes, options: Options, job: Job) -> Analysis:
        """Analyze one image in the pool.

        Args:
            data: An encoded image.
            options: The request's choices.
            job: Takes the time of each stage. An image that is still queued at its deadline is refused.

        Raises:
            RequestError: the image or an option is refused; the subclass says why.
        """
        future = self._submit(data, options, job)
        try:
            analysis = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            job.cancel()
            raise
        self._metrics.observe(analysis.prediction, job.seconds)
        if not self._shares_runs and analysis.prediction.faces:
            self._metrics.batch_size.observe(len(analysis.prediction.faces))
        return analysis

    def _counted(self, histogram: Histogram) -> Callable[[int], None]:
        """Return a callback that observes the size of each batch, but not of those that warm the networks."""

        def observe(size: int) -> None:
            if self._warm:
                histogram.observe(size)

        return observe

    def _submit(self, data: bytes, options: Options, job: Job) -> "Future[Analysis]":
        queued = time.monotonic()
        depth = self._metrics.queue_depth

        def work() -> Analysis:
            depth.dec()
            job.queued(time.monotonic() - queued)
            job.check_deadline("a free thread")
            return self.analyzer.process(data, options, job)

        depth.inc()
        future = self._pool.submit(work)
        future.add_done_callback(lambda done: depth.dec() if done.cancelled() else None)
        return future
