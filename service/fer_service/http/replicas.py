"""Several server processes behind one listening socket (`FER_WORKERS`)."""

import contextlib
import faulthandler
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from fer_service.contract.errors import FerError, StartError
from fer_service.contract.settings import Settings
from fer_service.http.server import announce, listen, serve
from fer_service.observability.logs import configure_logging
from fer_service.observability.replica_metrics import forget_gauges, keep_metrics, replica_metrics, share_metrics

_MAX_PAUSE_SECONDS = 60.0  # between attempts to replace a replica
_PROVEN_SECONDS = 10.0  # a replica that has served for so long works
_MAX_FAILURES = 5  # in a row, before any replica has worked
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
            keep_metrics()
            serve(settings, listener, lambda: announce(listener))
        else:
            with replica_metrics(settings.workers) as folder:
                _Supervisor(settings, listener, folder).run()


@dataclass
class _Replica:
    """A running replica.

    Attributes:
        number: Number among the replicas; a replacement takes its predecessor's.
        process: Its process.
        report: The pipe in which it reports that it serves.
        since: When it reported, by time.monotonic(); None before.
    """

    number: int
    process: SpawnProcess
    report: Connection
    since: float | None = None

    @property
    def proven(self) -> bool:
        """True if it has served long enough to say that it works."""
        return self.since is not None and time.monotonic() - self.since >= _PROVEN_SECONDS


class _Supervisor:
    """Starts the replicas, replaces those that die, and stops them all on a signal.

    The listening socket is shared: the kernel gives each connection to one replica. Every replica drains by
    itself, exactly as a single process does.
    """

    def __init__(self, settings: Settings, listener: socket.socket, metrics: Path) -> None:
        self._settings = settings
        self._listener = listener
        self._metrics = metrics
        self._replicas: list[_Replica] = []
        self._announced = False
        self._signalled = False
        self._stopping = False
        self._proven = False  # whether any replica has ever worked
        self._failures = 0  # replicas that ended without, in a row
        self._due: list[
            tuple[float, int]
        ] = []  # when to start replacements, by time.monotonic(), and their numbers

    def run(self) -> None:
        """Run until a signal has stopped every replica.

        Raises:
            StartError: the first replicas cannot start, or replicas end again and again before any has worked.
        """
        with _wakened_by_signals(self._take_signal) as wakened:
            try:
                self._run(wakened)
            except BaseException:
                self._stop()
                for replica in self._replicas:
                    replica.process.join()
                raise

    def _run(self, wakened: socket.socket) -> None:
        for number in range(self._settings.workers):
            self._start(number)
        while self._replicas or (self._due and not self._stopping):
            replicas = [*self._replicas]
            reports = [replica.report for replica in replicas if replica.since is None]
            sentinels = [replica.process.sentinel for replica in replicas]
            waking = [] if self._stopping else [wakened]
            ready = wait([*waking, *sentinels, *reports], self._seconds_until_due())
            if self._signalled and not self._stopping:
                self._stop()
            # A pipe also becomes readable when its replica ends, so reports come first.
            for replica in replicas:
                if replica.since is None and replica.report in ready:
                    self._reported(replica)
            for replica in replicas:
                if replica.process.sentinel in ready:
                    self._ended(replica)
            while self._due and self._due[0][0] <= time.monotonic():
                _, number = self._due.pop(0)
                self._start(number)

    def _start(self, number: int) -> None:
        if self._signalled:
            return
        try:
            forget_gauges(self._metrics, number)
            self._replicas.append(_started(self._settings, self._listener, number))
        except OSError as error:  # no memory, process ID or descriptor is free
            self._failed(number, f"a replica cannot be started ({error.strerror or error})")

    def _reported(self, replica: _Replica) -> None:
        with contextlib.suppress(EOFError):  # it ended instead; its sentinel says so
            replica.report.recv()
            replica.since = time.monotonic()
            if not self._announced and not self._stopping:
                announce(self._listener)
                self._announced = True

    def _ended(self, replica: _Replica) -> None:
        replica.process.join()
        self._replicas.remove(replica)
        pid, how = replica.process.pid, _how_it_ended(replica.process.exitcode)
        replica.report.close()
        replica.process.close()
        with contextlib.suppress(OSError):  # the start of the next one tries again
            forget_gauges(self._metrics, replica.number)
        if not self._stopping:
            self._failed(replica.number, f"replica {pid} ended ({how})", proven=replica.proven)

    def _failed(self, number: int, what: str, *, proven: bool = False) -> None:
        """Start another replica later. One that cannot start must not stop the replicas that serve.

        Args:
            number: Number of the replica.
            what: What happened to it.
            proven: True if it had served long enough to say that it works.

        Raises:
            StartError: no replica has served yet, or several failed in a row before any has worked.
        """
        if not self._announced:
            raise StartError(f"{what} before any replica served; see the log above")
        self._proven = self._proven or proven or any(each.proven for each in self._replicas)
        self._failures = 1 if proven else self._failures + 1
        if self._failures >= _MAX_FAILURES and not self._proven:
            raise StartError(f"{self._failures} replicas failed in a row, the last: {what}; see the log above")
        pause = min(2.0 ** (self._failures - 1) - 1, _MAX_PAUSE_SECONDS)
        logger.error("%s; starting another in %.0f s", what, pause)
        self._due.append((time.monotonic() + pause, number))
        self._due.sort()

    def _seconds_until_due(self) -> float | None:
        return max(self._due[0][0] - time.monotonic(), 0.0) if self._due else None

    def _take_signal(self, number: int, frame: object) -> None:
        """Remember a signal: it may come while a replica is half started, so the loop stops them later."""
        self._signalled = True

    def _stop(self) -> None:
        self._stopping = True
        self._due.clear()
        self._listener.close()
        for replica in [*self._replicas]:
            replica.process.terminate()


def _started(settings: Settings, listener: socket.socket, number: int) -> _Replica:
    """Start a replica.

    Raises:
        OSError: it cannot be started.
    """
    reader, writer = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_replica, args=(settings, listener, writer, number))
    try:
        with _stop_signals_blocked():  # a replica inherits this: Ctrl-C must not end it with a traceback
            process.start()
    except OSError:
        reader.close()
        raise
    finally:
        writer.close()  # the replica has its own: its end closes the pipe
    return _Replica(number, process, reader)


def _how_it_ended(status: int | None) -> str:
    """Return the exit code of a process, or the name of the signal that killed it."""
    with contextlib.suppress(ValueError):
        if status is not None and status < 0:
            return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}"


def _replica(settings: Settings, listener: socket.socket, serving: Connection, number: int) -> None:
    """Run one replica; the target of its process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _set_stop_signals(blocked=False)  # its parent started it with them blocked
    faulthandler.enable(file=2)
    share_metrics(number)
    configure_logging(settings.log_level, settings.log_format)
    _end_with_parent()
    try:
        serve(settings, listener, lambda: serving.send(True))
    except (FerError, OSError) as error:
        logger.error("%s", error)
        sys.exit(1)


@contextlib.contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    _set_stop_signals(blocked=True)
    try:
        yield
    finally:
        _set_stop_signals(blocked=False)


def _set_stop_signals(*, blocked: bool) -> None:
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK, _STOP_SIGNALS)


@contextlib.contextmanager
def _wakened_by_signals(handler: Callable[[int, object], None]) -> Iterator[socket.socket]:
    """Handle the stop signals, and yield a socket that becomes readable with the first one.

    A signal may reach any thread, so neither blocking it in one nor an interrupted wait would be enough.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in _STOP_SIGNALS:
            signal.signal(number, handler)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(-1)
            # Another signal must not end this process while Python finalizes: it would hide the exit status.
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)


def _end_with_parent() -> None:
    """End this process when its parent dies, also by SIGKILL, so that no replica keeps the port."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 (a replica is a child)

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
