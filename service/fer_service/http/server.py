"""One server process, from its listening socket to its orderly end."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import cv2
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings
from fer_service.http.app import create_app
from fer_service.observability.logs import log_config
from fer_service.system.allocator import keep_image_memory

# A connection that is new when the listener closes has this long to send its request.
_GRACE_SECONDS = 2.0
logger = logging.getLogger(__name__)


class _Connection(HttpToolsProtocol):
    """A connection that stays open while its first request may be on its way.

    uvicorn closes idle connections when it stops, also those from which it has not read yet. Their clients have
    sent a request and would get a reset instead of an answer.
    """

    def shutdown(self) -> None:
        """Close after the request in progress, or after the grace period if none has arrived."""
        cycle: object = self.cycle  # None until the first request's head has arrived
        if cycle is None:
            self.loop.call_later(_GRACE_SECONDS, super().shutdown)
        else:
            super().shutdown()


class _Server(uvicorn.Server):
    """A server that reports when it serves, and answers every connection made before it stopped."""

    def __init__(self, config: uvicorn.Config, on_serving: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_serving = on_serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # No await before the listeners are closed: a later client is refused, not reset.
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


def serve(settings: Settings, listener: socket.socket, on_serving: Callable[[], None]) -> None:
    """Serve in this process until SIGTERM or SIGINT, then finish the accepted requests.

    This sets up the whole process: memory allocator, OpenCV's threads and signal handlers.

    Args:
        settings: Settings.
        listener: Bound socket.
        on_serving: Called once when requests are answered.

    Raises:
        StartError: a setting, the model, the detector or the device is invalid, or the model cannot run.
    """
    keep_image_memory()
    cv2.setNumThreads(1)  # each image has a thread of its own already
    config = uvicorn.Config(
        create_app(settings),
        http=_Connection,
        access_log=False,
        # A frame that is slightly too large gets an error; a larger one ends its stream with code 1009.
        ws_max_size=settings.max_image_bytes + 2**20,
        ws_per_message_deflate=False,
        log_config=log_config(settings.log_level, settings.log_format),
        server_header=False,
    )
    # What exists now lives as long as the process. Without this, a full garbage collection stopped every thread
    # for 50 to 70 ms, once in some 2,400 images.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal again after an orderly shutdown; the process must not die of it.
    signal.signal(signal.SIGTERM, _ignore)
    signal.signal(signal.SIGINT, _ignore)
    server = _Server(config, on_serving)
    server.run(sockets=[listener])
    if not server.started:
        raise StartError("the service did not start; see the log above")


def listen(settings: Settings) -> socket.socket:
    """Return a socket that is bound to the address of the settings and accepts connections.

    Raises:
        StartError: the address is in use or invalid.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        # Clients that connect before the model is loaded wait instead of being refused.
        listener.listen()
    except (OSError, UnicodeError) as error:
        listener.close()
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port}: {getattr(error, 'strerror', error)} "
            "(FER_HOST, FER_PORT)"
        ) from error
    return listener


def announce(listener: socket.socket) -> None:
    """Log the address at which the service serves."""
    host, port = listener.getsockname()[:2]
    logger.info("serving on http://%s:%s", host, port)


def _accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept the connections that the kernel has made and the event loop has not seen."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # none left
            return
        connection.setblocking(False)
        yield connection


def _ignore(number: int, frame: object) -> None:
    """Ignore a signal that has been handled."""
