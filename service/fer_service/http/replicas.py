"""Several server processes behind one listening socket (`FER_WORKERS`)."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from fer_service.contract.errors import FerError, StartError
from fer_service.contract.settings import Settings
from fer_service.http.server import announce, listen, serve
from fer_service.observability.logs import configure_logging

_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_MAX_PAUSE_SECONDS = 60.0  # between attempts to replace a replica
_STOP_SIGNALS = {getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)}
_CONTEXT = multiprocessing.get_context("spawn")
logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, in this process or in as many replicas as the settings say.

    Raises:
        StartError: a setting, the model, the detector or the device is invalid, or a replica cannot start.
    """
    with listen(settings) as listener:
        if settings.workers == 1:
            serve(settings, listener, lambda: announce(listener))
        else:
            with _metrics_folder():
                _Supervisor(settings, listener).run()


class _Supervisor:
    """Starts the replicas, replaces those that die, and stops them all on a signal.

    The listening socket is shared: the kernel gives each connection to one replica. Every replica drains by
    itself, exactly as a single process does.
    """

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._replicas: dict[SpawnProcess, Connection] = {}  # each with the pipe that reports that it serves
        self._serving: set[SpawnProcess] = set()
        self._announced = False
        self._stopping = False
        self._pause = 0.0  # seconds before the next replacement
        self._due: list[float] = []  # when to start replacements, by time.monotonic()

    def run(self) -> None:
        """Run until a signal has stopped every replica.

        Raises:
            StartError: the first replicas cannot start.
        """
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)
        for _ in range(self._settings.workers):
            self._start()
        while self._replicas or (self._due and not self._stopping):
            replicas = {replica.sentinel: replica for replica in self._replicas}
            pipes = [pipe for replica, pipe in self._replicas.items() if replica not in self._serving]
            ready = wait([*replicas, *pipes], self._seconds_until_due())
            # A pipe also becomes readable when its replica ends, so reports come first.
            for replica, pipe in [*self._replicas.items()]:
                if pipe in ready:
                    self._reported(replica, pipe)
            for sentinel, replica in replicas.items():
                if sentinel in ready:
                    self._ended(replica)
            while self._due and self._due[0] <= time.monotonic():
                self._due.pop(0)
                self._start()

    def _start(self) -> None:
        # A signal while the process starts would find it half registered.
        _block_stop_signals(True)
        try:
            if not self._stopping:
                reader, writer = _CONTEXT.Pipe(duplex=False)
                replica = _CONTEXT.Process(target=_replica, args=(self._settings, self._listener, writer))
                replica.start()
                writer.close()  # the replica has its own: its end closes the pipe
                self._replicas[replica] = reader
        finally:
            _block_stop_signals(False)

    def _reported(self, replica: SpawnProcess, pipe: Connection) -> None:
        with contextlib.suppress(EOFError):  # it ended instead; its sentinel says so
            pipe.recv()
            self._serving.add(replica)
            if not self._announced and not self._stopping:
                announce(self._listener)
                self._announced = True

    def _ended(self, replica: SpawnProcess) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        replica.join()
        self._replicas.pop(replica).close()
        served = replica in self._serving
        self._serving.discard(replica)
        pid, status = replica.pid, replica.exitcode
        replica.close()
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
        if self._stopping:
            return
        if not self._announced:
            self._stop()
            for other in [*self._replicas]:
                other.join()
            raise StartError(f"a replica ended before it served (exit code {status}); see the log above")
        # A replacement that cannot start must not stop the replicas that serve.
        self._pause = 0.0 if served else min(2 * self._pause + 1, _MAX_PAUSE_SECONDS)
        logger.error("replica %s ended with exit code %s; starting another in %.0f s", pid, status, self._pause)
        self._due.append(time.monotonic() + self._pause)

    def _seconds_until_due(self) -> float | None:
        return max(self._due[0] - time.monotonic(), 0.0) if self._due else None

    def _stop(self, *_: object) -> None:
        self._stopping = True
        self._due.clear()
        self._listener.close()
        for replica in [*self._replicas]:
            replica.terminate()


def _replica(settings: Settings, listener: socket.socket, serving: Connection) -> None:
    """Run one replica; the target of its process."""
    _block_stop_signals(False)  # its parent started it with them blocked
    configure_logging(settings.log_level, settings.log_format)
    _end_with_parent()
    try:
        serve(settings, listener, lambda: serving.send(True))
    except (FerError, OSError) as error:
        logger.error("%s", error)
        sys.exit(1)


def _block_stop_signals(block: bool) -> None:
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK if block else signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _end_with_parent() -> None:
    """End this process when its parent dies, also by SIGKILL, so that no replica keeps the port."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 (a replica is a child)

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextlib.contextmanager
def _metrics_folder() -> Iterator[None]:
    """Provide the folder through which the replicas share their metrics.

    prometheus_client reads its variable when a replica imports it.
    """
    if os.environ.get(_METRICS_FOLDER):
        yield
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="fer-metrics-")
    except OSError as error:
        raise StartError(
            "FER_WORKERS: replicas share their metrics in a temporary folder, which cannot be made: "
            f"{error.strerror}; mount a writable /tmp"
        ) from error
    with folder:
        os.environ[_METRICS_FOLDER] = folder.name
        try:
            yield
        finally:
            del os.environ[_METRICS_FOLDER]
