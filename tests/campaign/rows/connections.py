"""Abuse of connections: idle, slow, endless, refused, or unread."""

import asyncio
import itertools

import cv2
import numpy as np
from fer_benchmarks.images import encode_jpeg

from tests.campaign import costly_images as costly
from tests.campaign.client import Client, Service, form, image_request, request
from tests.campaign.rows.row import AT_WORK, HOLDING, Row, asking, flooding, waiting

_FORM = {"Content-Type": "multipart/form-data; boundary=b"}
_DECLARED = 320 * 2**20
_PART = form([b""])[0].removesuffix(b"\r\n--b--\r\n")


def _noise() -> bytes:
    """A JPEG of six megapixels whose PNG has many megabytes."""
    pixels = np.random.default_rng(0).integers(0, 256, (500, 750, 3), np.uint8)
    return encode_jpeg(cv2.resize(pixels, (3000, 2000)), 50)


def idle_heads() -> Client:
    """Heads that never end."""
    return waiting(b"POST /predict HTTP/1.1\r\nHost: x\r\n")


def idle_uploads() -> Client:
    """Uploads of 320 MiB of which nothing comes."""
    return waiting(request("POST", "/predict/batch", b"", _FORM, _DECLARED))


def dribbling_uploads() -> Client:
    """The same, with 4 MB at first and then just enough bytes to be waited for."""
    start = request("POST", "/predict/batch", _PART + bytes(4_000_000), _FORM, _DECLARED)
    return waiting(start, bytes(1100), 1.0)


def chunked_batches() -> Client:
    """Bodies in chunks, whose length nobody declares, as fast as possible."""
    piece = b"10000\r\n" + bytes(65536) + b"\r\n"
    start = request("POST", "/predict/batch", None, _FORM | {"Transfer-Encoding": "chunked"})
    return flooding(start + b"%x\r\n" % len(_PART) + _PART + b"\r\n", piece)


def unread_answers() -> Client:
    """Large annotated images that are not read."""
    content = image_request(_noise(), "image/png")

    async def ask(service: Service) -> None:
        async with await service.connect(receive_buffer=2304) as connection:
            await connection.send(content)
            await asyncio.sleep(30)

    return ask


def slow_readers() -> Client:
    """The same, read at two kilobytes a second."""
    content = image_request(_noise(), "image/png")

    async def ask(service: Service) -> None:
        async with await service.connect(receive_buffer=2304) as connection:
            await connection.send(content)
            while await connection.reader.read(200):
                await asyncio.sleep(0.1)

    return ask


def header_floods() -> Client:
    """Headers without end."""
    return flooding(b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Header-Name: " + b"v" * 900 + b"\r\n")


def long_urls() -> Client:
    """URLs without end."""
    return flooding(b"GET /predict?a=", b"a" * 65536)


def early_refusals() -> Client:
    """Uploads of 5 MB that are refused by their head, on connections that close."""
    content = request("POST", "/predict", bytes(5_000_000), {"Content-Type": "text/plain", "Connection": "close"})
    return asking([content])


def refused_requests() -> Client:
    """Requests that are refused at once, as fast as possible."""
    requests = [
        request("GET", "/nowhere", None),
        request("DELETE", "/predict"),
        request("POST", "/predict", b"no image", {"Content-Type": "image/png"}),
        request("POST", "/predict?max_faces=x", b"no image"),
        request("POST", "/predict", b"{}", {"Content-Type": "application/json"}),
        request("POST", "/predict/batch", b"no form", _FORM),
    ]
    return asking(requests)


def long_headers() -> Client:
    """Heads of nearly 64 KiB whose values would take a parser long."""
    values = {"Accept": "a/b;q=0.5," * 6000, "Content-Type": "multipart/form-data;" + " a=b;" * 12_000}
    return asking([request("POST", "/predict", b"x", {name: value}) for name, value in values.items()])


def odd_paths() -> Client:
    """Uploads to paths that look like a route."""
    paths = itertools.product(("/predict", "/predict/batch"), ("%0a", "%0d%0a", "%00", "%2f", "/"))
    return asking([request("POST", path + end, bytes(900_000), _FORM) for path, end in paths])


def tls_hellos() -> Client:
    """The first half of a TLS handshake (RFC 8446, section 4.1.2) on the plain port."""
    hello = b"\x01\0\0\xfc\x03\x03" + bytes(range(32)) + b"\x20" + bytes(range(32)) + b"\0\x02\x13\x01\x01\0"
    return waiting(b"\x16\x03\x01\x02\0" + hello)


def closed_at_once() -> Client:
    """Complete requests whose client is gone before the answer."""
    content = image_request(costly.ordinary())

    async def send(service: Service) -> None:
        async with await service.connect() as connection:
            await connection.send(content)

    return send


ROWS = (
    Row("600 idle heads", idle_heads, clients=600),
    Row("64 idle uploads", idle_uploads, clients=64),
    Row("64 dribbling uploads", dribbling_uploads, clients=64, memory=AT_WORK + HOLDING),
    Row("chunked batches", chunked_batches, clients=16, memory=AT_WORK + HOLDING),
    Row("unread answers", unread_answers, clients=16, memory=AT_WORK + HOLDING),
    Row("slow readers", slow_readers, clients=16, memory=AT_WORK + HOLDING),
    Row("header floods", header_floods, clients=8),
    Row("long URLs", long_urls, clients=8),
    Row("early refusals", early_refusals, clients=8),
    Row("floods of refused requests", refused_requests, clients=32),
    Row("long headers", long_headers, clients=32),
    Row("uploads to odd paths", odd_paths, clients=8),
    Row("200 TLS hellos", tls_hellos, clients=200),
    # Two, because they do not wait for the service: each sends twenty requests per second.
    Row("clients that are gone", closed_at_once, clients=2, shares=False),
)
