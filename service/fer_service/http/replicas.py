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
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from fer_service.contract.errors import FerError, StartError
from fer_service.contract.settings import Settings
from fer_service.http.server import announce, listen, serve
from fer_service.observability.logs import configure_logging

_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
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
        self._stopping = False

    def run(self) -> None:
        """Run until a signal has stopped every replica.

        Raises:
            StartError: a replica ended before it served.
        """
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        # A client that connects before a replica serves waits instead of being refused.
        self._listener.listen()
        for _ in range(self._settings.workers):
            self._start()
        while self._replicas:
            by_sentinel = {replica.sentinel: replica for replica in self._replicas}
            starting = [pipe for replica, pipe in self._replicas.items() if replica not in self._serving]
            for ready in wait([*by_sentinel, *starting]):
                if isinstance(ready, int):
                    self._ended(by_sentinel[ready])
                elif isinstance(ready, Connection):
                    self._reported(ready)

    def _start(self) -> None:
        reader, writer = _CONTEXT.Pipe(duplex=False)
        replica = _CONTEXT.Process(target=_replica, args=(self._settings, self._listener, writer))
        replica.start()
        writer.close()  # the replica has its own: its end closes the pipe
        self._replicas[replica] = reader
        if self._stopping:
            replica.terminate()

    def _reported(self, pipe: Connection) -> None:
        replica = next(replica for replica, own in self._replicas.items() if own is pipe)
        with contextlib.suppress(EOFError):  # it ended instead; its sentinel says so
            pipe.recv()
            if not self._serving and not self._stopping:
                announce(self._listener)
            self._serving.add(replica)

    def _ended(self, replica: SpawnProcess) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        replica.join()
        self._replicas.pop(replica).close()
        mark_process_dead(replica.pid)  # type: ignore[no-untyped-call]
        if self._stopping:
            return
        if replica not in self._serving:
            self._stop()
            for other in [*self._replicas]:
                other.join()
            raise StartError(f"a replica ended before it served (exit code {replica.exitcode}); see the log above")
        logger.error("replica %s ended with exit code %s; starting another", replica.pid, replica.exitcode)
        self._start()

    def _stop(self, *_: object) -> None:
        self._stopping = True
        self._listener.close()
        for replica in [*self._replicas]:
            replica.terminate()


def _replica(settings: Settings, listener: socket.socket, serving: Connection) -> None:
    """Run one replica; the target of its process."""
    configure_logging(settings.log_level, settings.log_format)
    _end_with_parent()
    try:
        serve(settings, listener, lambda: serving.send(True))
    except (FerError, OSError) as error:
        logger.error("%s", error)
        sys.exit(1)


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
