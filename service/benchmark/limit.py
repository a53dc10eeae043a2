"""The line without HTTP, pictures in memory: what a server could reach at best on this machine."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier

import cv2

from service.allocator import keep_picture_memory
from service.analyzer import Analyzer, Options
from service.errors import StartError
from service.loading import load
from service.settings import Settings


def by_threads(settings: Settings, data: bytes, options: Options, count: int, seconds: float) -> float:
    """Pictures a second by so many threads of one process, which share an analyzer with one thread a session."""
    cv2.setNumThreads(1)
    keep_picture_memory()
    analyzer = load(settings)
    _answered(analyzer, data, options, min(seconds, 0.2))
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        done = sum(pool.map(lambda _: _answered(analyzer, data, options, seconds), range(count)))
    return done / (time.perf_counter() - began)


def by_processes(settings: Settings, data: bytes, options: Options, count: int, seconds: float) -> float:
    """Pictures a second by so many processes with one thread each.

    Raises:
        StartError: a process ended before it had measured.
    """
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(count)
    replicas: dict[Connection, SpawnProcess] = {}
    for _ in range(count):
        answers, sender = context.Pipe(duplex=False)
        replica = context.Process(
            target=_replica, args=(settings, data, options, seconds, ready, sender), daemon=True
        )
        replica.start()
        sender.close()  # the replica's is the only one then, so that its end is the pipe's
        replicas[answers] = replica
    try:
        return _sum_of_rates(replicas)
    finally:
        for replica in replicas.values():
            replica.terminate()
            replica.join()


def _sum_of_rates(replicas: dict[Connection, SpawnProcess]) -> float:
    total, waiting = 0.0, list(replicas)
    while waiting:
        done = wait(waiting)
        for answers in [one for one in waiting if one in done]:
            waiting.remove(answers)
            try:
                total += answers.recv()
            except EOFError:
                replicas[answers].join()
                raise StartError(
                    f"a process that measures the limit ended with exit code {replicas[answers].exitcode}; "
                    "what it wrote before this says why, and nothing where its memory ran out"
                ) from None
    return total


def _replica(
    settings: Settings, data: bytes, options: Options, seconds: float, ready: Barrier, rate: Connection
) -> None:
    cv2.setNumThreads(1)
    keep_picture_memory()
    analyzer = load(settings)
    _answered(analyzer, data, options, min(seconds, 0.2))
    ready.wait(60)
    began = time.perf_counter()
    rate.send(_answered(analyzer, data, options, seconds) / (time.perf_counter() - began))


def _answered(analyzer: Analyzer, data: bytes, options: Options, seconds: float) -> int:
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        analyzer.analyze(data, options).model_dump_json()
        count += 1
    return count
