"""What hostile and good clients have in common: bare connections, requests and frames as bytes."""

import asyncio
import base64
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

HOST = "127.0.0.1"
BINARY, TEXT, CONTINUATION, PING = 2, 1, 0, 9
_KEY = base64.b64encode(bytes(16)).decode()
_HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": _KEY,
}


class Connection:
    """An open connection; it closes at the end of its block."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Counter[int]) -> None:
        self.reader = reader
        self._writer = writer
        self._answers = answers

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Send bytes; wait while the service does not read."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> int:
        """Read an answer and return its status.

        Raises:
            EOFError: the connection ended before.
        """
        status, length, closes = await self.head()
        await self.reader.readexactly(length)
        self._answers[status] += 1
        if closes:
            raise EOFError
        return status

    async def head(self) -> tuple[int, int, bool]:
        """Read the head of an answer: status, length of the body, and whether the connection closes after it."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        _, _, length = head.partition(b"content-length:")
        return int(head[9:12]), int(length.partition(b"\r\n")[0] or 0), b"connection: close" in head

    async def silence(self) -> None:
        """Read until the service closes the connection."""
        while await self.reader.read(65536):
            pass


@dataclass
class Service:
    """The service as clients see it.

    Attributes:
        port: Its port on this machine.
        answers: Number of answers by status.
    """

    port: int
    answers: Counter[int] = field(default_factory=Counter)

    async def connect(self, source: str = HOST, receive_buffer: int | None = None) -> Connection:
        """Open a connection from an address of this machine; with a small buffer the service soon has to wait."""
        one = socket.socket()
        one.setblocking(False)
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            one.bind((source, 0))
            await asyncio.get_running_loop().sock_connect(one, (HOST, self.port))
            reader, writer = await asyncio.open_connection(sock=one, limit=receive_buffer or 65536)
        except BaseException:
            one.close()
            raise
        return Connection(reader, writer, self.answers)

    async def stream(self, receive_buffer: int | None = None) -> Connection:
        """Open a stream.

        Raises:
            EOFError: it is refused.
        """
        connection = await self.connect(receive_buffer=receive_buffer)
        await connection.send(request("GET", "/stream", None, _HANDSHAKE))
        status, _, _ = await connection.head()
        self.answers[status] += 1
        if status != 101:
            await connection.__aexit__()
            raise EOFError
        return connection


# The life of one hostile connection, or of a few of them. It may end by itself, or by an OSError or EOFError.
Client = Callable[[Service], Awaitable[None]]


def request(
    method: str, target: str, body: bytes | None = b"", headers: dict[str, str] | None = None, length: int = -1
) -> bytes:
    """Return the bytes of a request.

    Args:
        method: Method.
        target: Path and query.
        body: Body; None for none.
        headers: Further headers.
        length: Length to declare, if it is not that of the body.
    """
    lines = {"Host": "x", **(headers or {})}
    if body is not None:
        lines["Content-Length"] = str(len(body) if length < 0 else length)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def image_request(image: bytes, accept: str = "application/json", close: bool = False) -> bytes:
    """Return a request for the faces of an image."""
    headers = {"Content-Type": "application/octet-stream", "Accept": accept}
    return request("POST", "/predict", image, headers | ({"Connection": "close"} if close else {}))


def form(images: list[bytes]) -> tuple[bytes, str]:
    """Return a multipart body with these images, and its content type."""
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + image + b"\r\n"
        for image in images
    )
    return parts + b"--b--\r\n", "multipart/form-data; boundary=b"


def batch_request(images: list[bytes]) -> bytes:
    """Return a request for the faces of several images."""
    body, kind = form(images)
    return request("POST", "/predict/batch", body, {"Content-Type": kind})


def frame(kind: int, data: bytes = b"", *, last: bool = True) -> bytes:
    """A client's frame (RFC 6455, section 5.2); its mask is four zeros."""
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFF]) + size.to_bytes(8, "big")
    return bytes([(0x80 if last else 0) | kind]) + length + bytes(4) + data
