"""The server process: one, or a parent that keeps several replicas running."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from typing import Any

import uvicorn
from fastapi import FastAPI
from PIL import Image
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings
from fer_service.http.app import create_app
from fer_service.observability.logs import log_config
from fer_service.system.allocator import keep_image_memory

_MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# How long a connection that is new when the listener closes has to send the request that it was made for.
_GRACE_SECONDS = 2.0
logger = logging.getLogger(__name__)


class _Connection(HttpToolsProtocol):
    """A connection that is not closed while its first request may be under way.

    uvicorn closes what is idle when it ends, and with it connections of which it has read nothing yet; their
    clients have sent a request already and would get no answer.
    """

    def shutdown(self) -> None:
        """End after the request that is being answered, or that may be about to come."""
        cycle: object = self.cycle  # None until the first request's head is here
        if cycle is None:
            self.loop.call_later(_GRACE_SECONDS, super().shutdown)
        else:
            super().shutdown()


class _Server(uvicorn.Server):
    """Says where it serves as soon as it does, and takes every connection that was made when it ends."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _announce(sockets or [])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Nothing is awaited in between: whoever connects then is refused, not reset.
        waiting = [connection for listener in sockets or [] for connection in _accept_waiting(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await super().shutdown(sockets)

    def _protocol(self) -> _Connection:
        return _Connection(self.config, self.server_state, self.lifespan.state)


class _Supervisor(Multiprocess):
    """Keeps the replicas running; when they are told to end, nobody listens behind their backs."""

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def run(settings: Settings) -> int:
    """Serve until told to end, then finish what was accepted.

    Returns:
        The process's exit status.

    Raises:
        StartError: a setting, the model, the detector or the device is not right.
    """
    # The header's pixels are checked against the service's own limit; Pillow's is a warning more.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    keep_image_memory()
    return _run_one(settings) if settings.workers == 1 else _run_replicas(settings)


def replica() -> FastAPI:
    """A replica's application, built in its own process from the environment."""
    _end_with_parent()
    keep_image_memory()
    try:
        return _lasting(create_app())
    except StartError as error:
        logger.error("%s", error)
        # The parent takes this status as a reason to give up instead of trying for ever.
        sys.exit(STARTUP_FAILURE)


def _lasting(app: FastAPI) -> FastAPI:
    """Take what there is out of the garbage collector's sight: it lives as long as the process.

    A full collection stopped every thread for 50 to 70 ms to go through it, once in some 2,400 images.
    """
    gc.collect()
    gc.freeze()
    return app


def _end_with_parent() -> None:
    """Have this process end when its parent is gone, killed or not, so that no replica holds the port alone."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    # Waits for a pipe that the parent has held since before this process was: nothing can come in between.
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _run_one(settings: Settings) -> int:
    config = _config(settings, _lasting(create_app(settings)))
    server = _Server(config)
    # uvicorn raises the signal again when it has shut down in good order; that is no reason to die of it.
    signal.signal(signal.SIGTERM, _ignore)
    signal.signal(signal.SIGINT, _ignore)
    server.run(sockets=[_listen(settings)])
    return 0 if server.started else 1


def _run_replicas(settings: Settings) -> int:
    # Has to be set before a replica imports prometheus_client; the parent serves no metrics.
    with _metrics_folder() as folder:
        os.environ.setdefault(_MULTIPROCESS_VARIABLE, folder)
        listener = _listen(settings)
        # Who connects before a replica is ready waits for it instead of being refused.
        listener.listen()
        _announce([listener])
        config = _config(settings, "fer_service.http.server:replica", factory=True, workers=settings.workers)
        supervisor = _Supervisor(config, sockets=[listener])
        supervisor.run()
        failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return 1 if failed else 0


def _metrics_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="fer-metrics-")
    except OSError as error:
        raise StartError(
            f"FER_WORKERS: replicas share their metrics in a temporary folder, and there is no place for one: "
            f"{error.strerror}; mount a writable /tmp"
        ) from error


def _config(settings: Settings, app: FastAPI | str, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Connection,
        host=settings.host,
        port=settings.port,
        access_log=False,
        # A frame that is a little too large gets a result that says so; a larger one ends its stream (1009).
        ws_max_size=settings.max_image_bytes + 2**20,
        ws_per_message_deflate=False,
        log_config=log_config(settings.log_level, settings.log_format),
        server_header=False,
        **more,
    )


def _listen(settings: Settings) -> socket.socket:
    """The listening socket, made here so that an address that is taken is one clear sentence."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as error:
        listener.close()
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port}: {getattr(error, 'strerror', error)} "
            "(FER_HOST, FER_PORT)"
        ) from error
    listener.set_inheritable(True)
    return listener


def _accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the kernel has made and the event loop has not seen."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # none is left
            return
        connection.setblocking(False)
        yield connection


def _announce(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        host, port = listener.getsockname()[:2]
        logger.info("serving on http://%s:%s", host, port)


def _ignore(number: int, frame: object) -> None:
    """Take a signal that has been dealt with."""
