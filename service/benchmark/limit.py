"""The line without HTTP, pictures in memory: what a server could reach at best on this machine."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any

import cv2

from service.allocator import keep_picture_memory
from service.analyzer import Analyzer, Options
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
    """Pictures a second by so many processes with one thread each."""
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(count), context.Queue()
    processes = [
        context.Process(target=_replica, args=(settings, data, options, seconds, ready, rates), daemon=True)
        for _ in range(count)
    ]
    for process in processes:
        process.start()
    total = sum(rates.get(timeout=60 + seconds) for _ in processes)
    for process in processes:
        process.join()
    return float(total)


def _replica(
    settings: Settings, data: bytes, options: Options, seconds: float, ready: Barrier, rates: Any
) -> None:
    cv2.setNumThreads(1)
    keep_picture_memory()
    analyzer = load(settings)
    _answered(analyzer, data, options, min(seconds, 0.2))
    ready.wait(60)
    began = time.perf_counter()
    rates.put(_answered(analyzer, data, options, seconds) / (time.perf_counter() - began))


def _answered(analyzer: Analyzer, data: bytes, options: Options, seconds: float) -> int:
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        analyzer.analyze(data, options).model_dump_json()
        count += 1
    return count
