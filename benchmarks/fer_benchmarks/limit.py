"""Images per second of the pipeline without HTTP: the most that a server can reach on this machine."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from fer_service.analysis.loading import load
from fer_service.analysis.options import Options
from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings
from fer_service.system.process import set_up_process

Analyze = Callable[[], object]
Clock = Callable[[], float]
_WARM_SECONDS = 0.1


class PipelineLimit(Protocol):
    """Runs the pipeline on one image, without HTTP."""

    def rate(self, seconds: float) -> float:
        """Return images per second, measured for so many seconds."""
        ...


class ThreadLimit:
    """Threads that share one pipeline."""

    def __init__(self, analyze: Analyze, count: int, clock: Clock = time.perf_counter) -> None:
        """Start and warm up the threads.

        Args:
            analyze: Runs the pipeline once (see `open_pipeline`).
            count: Number of threads.
            clock: Seconds.
        """
        self._analyze, self._count, self._clock = analyze, count, clock
        # The pool is kept, because each thread opens its own sessions when it first runs.
        self._pool = ThreadPoolExecutor(count)
        self.rate(_WARM_SECONDS)

    def rate(self, seconds: float) -> float:
        """Return images per second of all threads together."""
        began = self._clock()
        counts = self._pool.map(lambda _: _repeat(self._analyze, seconds, self._clock), range(self._count))
        return sum(counts) / (self._clock() - began)


class ProcessLimit:
    """Processes with one analyzer and one thread each; used in a `with` block."""

    def __init__(self, settings: Settings, data: bytes, options: Options, count: int) -> None:
        """Start and warm up the processes.

        Raises:
            StartError: A process ended.
        """
        context = multiprocessing.get_context("spawn")
        self._processes: dict[Connection, SpawnProcess] = {}
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_analyze_on_request, args=(settings, data, options, theirs), daemon=True
            )
            process.start()
            theirs.close()  # only the child holds this end now, so the pipe closes when the child ends
            self._processes[ours] = process
        try:
            self._sum_of_rates()  # each sends 0 when it is warm
        except StartError:
            self.__exit__()
            raise

    def __enter__(self) -> "ProcessLimit":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the processes."""
        for process in self._processes.values():
            process.terminate()
            process.join()

    def rate(self, seconds: float) -> float:
        """Return images per second of all processes together.

        Raises:
            StartError: A process ended.
        """
        for pipe in self._processes:
            pipe.send(seconds)
        return self._sum_of_rates()

    def _sum_of_rates(self) -> float:
        total, waiting = 0.0, list(self._processes)
        while waiting:
            readable = wait(waiting)
            for pipe in [one for one in waiting if one in readable]:
                waiting.remove(pipe)
                try:
                    total += pipe.recv()
                except EOFError:
                    process = self._processes[pipe]
                    process.join()
                    raise StartError(
                        f"a process that measures the limit ended with exit code {process.exitcode}; "
                        "its output above has the reason, or the machine ran out of memory"
                    ) from None
        return total


def open_pipeline(settings: Settings, data: bytes, options: Options) -> Analyze:
    """Load the pipeline, warm it up with an image, and return a call that analyzes this image.

    Raises:
        StartError: A setting, the model or the detector is invalid.
        RequestError: The image is refused.
    """
    set_up_process()
    analyzer = load(settings)

    def analyze() -> str:
        return analyzer.analyze(data, options).model_dump_json()

    _repeat(analyze, _WARM_SECONDS)
    return analyze


def _analyze_on_request(settings: Settings, data: bytes, options: Options, pipe: Connection) -> None:
    analyze = open_pipeline(settings, data, options)
    pipe.send(0.0)
    while True:
        try:
            seconds: float = pipe.recv()
        except EOFError:
            return
        began = time.perf_counter()
        pipe.send(_repeat(analyze, seconds) / (time.perf_counter() - began))


def _repeat(analyze: Analyze, seconds: float, clock: Clock = time.perf_counter) -> int:
    """Analyze the image again and again for so many seconds, and at least once; return the count."""
    count, end = 0, clock() + seconds
    while not count or clock() < end:
        analyze()
        count += 1
    return count
