"""The line without HTTP, images in memory: what a server could reach at best on this machine."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import cv2
from fer_service.analysis.analyzer import Analyzer, Options
from fer_service.analysis.loading import load
from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings
from fer_service.system.allocator import keep_image_memory


class Threads:
    """Threads of this process, which share an analyzer with one thread a session."""

    def __init__(self, settings: Settings, data: bytes, options: Options, count: int) -> None:
        """Load the line and answer the image once, so that a measurement finds it warm.

        Raises:
            StartError: a setting, the model or the detector is not right.
            RequestError: the image cannot be answered.
        """
        self._analyzer = _warm(settings, data, options)
        self._data, self._options, self._count = data, options, count
        # Kept: a thread opens sessions of its own when it first runs.
        self._pool = ThreadPoolExecutor(count)
        self.rate(0.1)

    def rate(self, seconds: float) -> float:
        """Images a second over so many seconds."""
        began = time.perf_counter()
        done = self._pool.map(
            lambda _: _answered(self._analyzer, self._data, self._options, seconds), range(self._count)
        )
        return sum(done) / (time.perf_counter() - began)


class Processes:
    """Processes with one thread each, started once and asked again and again; use it in a `with` block."""

    def __init__(self, settings: Settings, data: bytes, options: Options, count: int) -> None:
        """Start them.

        Raises:
            StartError: one of them ended instead of waiting to be asked.
        """
        context = multiprocessing.get_context("spawn")
        self._replicas: dict[Connection, SpawnProcess] = {}
        for _ in range(count):
            ours, theirs = context.Pipe()
            replica = context.Process(target=_replica, args=(settings, data, options, theirs), daemon=True)
            replica.start()
            theirs.close()  # the replica's is the only one then, so that its end is the pipe's
            self._replicas[ours] = replica
        try:
            self._answers()  # that each is warm
        except StartError:
            self.__exit__()
            raise

    def __enter__(self) -> "Processes":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        for replica in self._replicas.values():
            replica.terminate()
            replica.join()

    def rate(self, seconds: float) -> float:
        """Images a second over so many seconds, all processes together.

        Raises:
            StartError: one of them ended before it had measured.
        """
        for pipe in self._replicas:
            pipe.send(seconds)
        return self._answers()

    def _answers(self) -> float:
        total, waiting = 0.0, list(self._replicas)
        while waiting:
            done = wait(waiting)
            for pipe in [one for one in waiting if one in done]:
                waiting.remove(pipe)
                try:
                    total += pipe.recv()
                except EOFError:
                    replica = self._replicas[pipe]
                    replica.join()
                    raise StartError(
                        f"a process that measures the limit ended with exit code {replica.exitcode}; "
                        "what it wrote before this says why, and nothing where its memory ran out"
                    ) from None
        return total


def _replica(settings: Settings, data: bytes, options: Options, asked: Connection) -> None:
    analyzer = _warm(settings, data, options)
    asked.send(0.0)
    while True:
        try:
            seconds: float = asked.recv()
        except EOFError:
            return
        began = time.perf_counter()
        asked.send(_answered(analyzer, data, options, seconds) / (time.perf_counter() - began))


def _warm(settings: Settings, data: bytes, options: Options) -> Analyzer:
    cv2.setNumThreads(1)
    keep_image_memory()
    analyzer = load(settings)
    _answered(analyzer, data, options, 0.1)
    return analyzer


def _answered(analyzer: Analyzer, data: bytes, options: Options, seconds: float) -> int:
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        analyzer.analyze(data, options).model_dump_json()
        count += 1
    return count
