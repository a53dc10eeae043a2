"""One server process, from its listening socket to its orderly end."""

import asyncio
import dataclasses
import gc
import logging
import math
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from fer_service.contract.errors import StartError
from fer_service.contract.settings import Settings
from fer_service.http.app import byte_budget, create_app
from fer_service.http.connections.cap import connections_of
from fer_service.http.connections.config import ConnectionConfig
from fer_service.http.connections.limits import ConnectionLimits
from fer_service.http.connections.request_connection import RequestConnection
from fer_service.http.connections.sending import shed
from fer_service.http.connections.stream_connection import StreamConnection
from fer_service.http.state import AppState
from fer_service.system.descriptors import raise_descriptor_limit
from fer_service.system.exit import end_after
from fer_service.system.memory import memory_limit
from fer_service.system.process import set_up_process

# Files other than connections: the listener, logs, the event loop, and what a library may open for a moment.
_OTHER_FILES = 128
_KEEP_ALIVE = 620  # seconds between two requests; load balancers wait up to 600, and would use a closed connection
_BACKLOG = 2048  # uvicorn's; the kernel holds no more connections
_GUARD_SECONDS = 4.0  # from the end of all connections to the end of the process
logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server that watches its connections and always ends in bounded time.

    After the signal it answers every connection made before, for as long as a request may take. Then it closes
    what is left, and if threads still work after that, it ends the process.
    """

    config: ConnectionConfig

    def __init__(self, config: ConnectionConfig, patience: float, on_serving: Callable[[], None]) -> None:
        """Create a server.

        Args:
            config: Configuration.
            patience: Seconds after the listener has closed until unfinished connections are closed.
            on_serving: Called once when requests are answered.
        """
        super().__init__(config)
        self._patience = patience
        self._on_serving = on_serving
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve and to watch (called by uvicorn)."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._watching = asyncio.create_task(self._watch())
            self._on_serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish (called by uvicorn)."""
        # No await before the listeners are closed: a later client is refused, not reset.
        waiting = [connection for listener in sockets or [] for connection in _accept_waiting(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        cutting = loop.call_later(self._patience, self._cut)
        await super().shutdown(sockets)
        cutting.cancel()
        self._watching.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal, and see to it that the process ends (called by uvicorn).

        A second Ctrl-C does not wait for unfinished requests.
        """
        if not self.should_exit:
            end_after(self._patience + _GUARD_SECONDS)
            super().handle_exit(sig, frame)
        elif sig == signal.SIGINT and self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._cut)

    async def _watch(self) -> None:
        """Check every connection once per tick."""
        loop, tick = asyncio.get_running_loop(), self.config.limits.tick
        last = loop.time()
        while True:
            await asyncio.sleep(tick)
            now = loop.time()
            # What clients sent while this process was stopped has not been read yet: they are not to blame.
            seconds, last = min(now - last, 2 * tick), now
            connections = connections_of(self.server_state)
            for connection in connections:
                try:
                    connection.check(seconds)
                except Exception:  # the others must be checked nevertheless
                    logger.exception("cannot check a connection")
                    connection.abort()
            shed((connection.sending for connection in connections), self.config.limits.unsent_bytes)

    def _cut(self) -> None:
        """Close the connections that have not finished in time."""
        left = connections_of(self.server_state)
        if left:
            logger.warning("closing %d connections that have not finished", len(left))
        for connection in left:
            connection.abort()

    def _protocol(self) -> RequestConnection:
        return RequestConnection(self.config, self.server_state, self.lifespan.state)


def serve(settings: Settings, listener: socket.socket, on_serving: Callable[[], None]) -> None:
    """Serve in this process until SIGTERM or SIGINT, then finish the accepted requests.

    This sets up the whole process, also its signal handlers and open files.

    Args:
        settings: Settings.
        listener: Bound socket.
        on_serving: Called once when requests are answered.

    Raises:
        StartError: a setting, the model, the detector or the device is invalid, or the model cannot run.
    """
    set_up_process()
    config = connection_config(create_app(settings), settings, ConnectionLimits())
    # What exists now lives as long as the process. Without this, a full garbage collection stopped every thread
    # for 50 to 70 ms, once in some 2,400 images.
    gc.collect()
    gc.freeze()
    server = Server(config, settings.request_timeout, on_serving)
    # uvicorn sets the same handlers a little later, and raises the signal again after an orderly shutdown.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _terminate)
    server.run(sockets=[listener])
    # Python keeps this while it finalizes, unlike a handler of its own.
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if not server.started:
        raise StartError("the service did not start; see the log above")


def connection_config(app: FastAPI, settings: Settings, limits: ConnectionLimits) -> ConnectionConfig:
    """Return the server's configuration.

    Args:
        app: An application made by `create_app`.
        settings: Settings.
        limits: Limits of connections; the settings and the limit of open files replace some of them.
    """
    descriptors = raise_descriptor_limit(limits.connections + _OTHER_FILES)
    message = settings.max_image_bytes + 2**20
    state: AppState = app.state.service
    limits = dataclasses.replace(
        limits,
        connections=max(descriptors // 2, descriptors - _OTHER_FILES),
        linger_bytes=max(limits.linger_bytes, settings.max_batch_images * settings.max_image_bytes),
        message_seconds=settings.request_timeout,
        unsent_bytes=byte_budget(settings, memory_limit()),
    )
    return ConnectionConfig(
        app,
        limits,
        state.admission.ledger,
        state.metrics,
        settings.trusted_proxies,
        http=RequestConnection,
        ws=StreamConnection,
        access_log=False,
        # A frame that is slightly too large gets an error; a larger one ends its stream with code 1009.
        ws_max_size=message,
        ws_per_message_deflate=False,
        log_config=None,  # the process has set up its logs
        server_header=False,
        proxy_headers=False,  # TrustedProxiesMiddleware reads them
        # A net below `Server._cut`: a request whose connection is closed ends by itself.
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.request_timeout) + 2,
    )


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
    logger.info("serving on http://%s:%s", f"[{host}]" if ":" in host else host, port)


def _accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept the connections that the kernel has made and the event loop has not seen."""
    for _ in range(_BACKLOG):  # more than wait; a flood must not keep the process
        try:
            connection, _ = listener.accept()
        except OSError:  # none left
            return
        connection.setblocking(False)
        yield connection


def _terminate(number: int, frame: object) -> None:
    """Treat a hang-up as SIGTERM, which uvicorn handles."""
    signal.raise_signal(signal.SIGTERM)
