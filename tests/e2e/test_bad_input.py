import asyncio
import socket
import struct
import zlib
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.server import Server, StartServer
from tests.scenes import blank, encode_image

BOMB_SIDE = 12_000


def png_bomb(side: int) -> bytes:
    """A PNG of a few kB whose header says side × side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 + 3 * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_every_bad_input_has_its_own_error_and_the_service_continues(
    server: Server, astronaut_jpeg: bytes
) -> None:
    dot = encode_image(blank(1, 1), ".png")
    post = server.client.post
    post("/predict", content=astronaut_jpeg)
    memory = server.peak_memory

    answers = {
        "empty body": (post("/predict", content=b""), 400, "missing_image"),
        "no file field": (post("/predict", files={"avatar": astronaut_jpeg}), 400, "missing_image"),
        "text": (post("/predict", content=b"hello"), 422, "undecodable_image"),
        "truncated": (post("/predict", content=astronaut_jpeg[:9000]), 422, "undecodable_image"),
        "bomb": (post("/predict", content=png_bomb(BOMB_SIDE)), 413, "too_many_pixels"),
        "30 MB": (post("/predict", content=bytes(30_000_000)), 413, "image_too_large"),
        "30 MB form": (post("/predict", files={"file": bytes(30_000_000)}), 413, "image_too_large"),
        "JSON": (post("/predict", json={"url": "x"}), 422, "invalid_parameter"),
        "NaN": (post("/predict?min_score=nan", content=dot), 422, "invalid_parameter"),
        "negative": (post("/predict?max_faces=-1", content=dot), 422, "invalid_parameter"),
        "too many": (post("/predict?max_faces=100000", content=dot), 422, "invalid_parameter"),
        "unknown": (post("/predict?maxfaces=1", content=dot), 422, "invalid_parameter"),
        "two files": (
            post("/predict", files=[("file", astronaut_jpeg), ("file", astronaut_jpeg)]),
            422,
            "invalid_parameter",
        ),
        "no such route": (server.client.get("/nowhere"), 404, "not_found"),
        "wrong method": (server.client.get("/predict"), 405, "method_not_allowed"),
    }
    for name, (answer, status, code) in answers.items():
        assert (answer.status_code, answer.json()["code"]) == (status, code), name
        assert answer.headers["content-type"] == "application/problem+json", name
        assert "Traceback" not in answer.text, name

    assert post("/predict", content=dot).json()["faces"] == []
    assert post("/predict", content=astronaut_jpeg).status_code == 200
    assert server.peak_memory - memory < 3 * BOMB_SIDE**2 / 2, "the bomb was decoded"
    assert "Traceback" not in server.log


def test_a_chunked_body_is_refused_at_the_byte_limit(start_server: StartServer) -> None:
    server = start_server(FER_MAX_IMAGE_BYTES="100000")
    answer = server.client.post("/predict", content=iter([bytes(60_000)] * 3))
    assert (answer.status_code, answer.json()["code"]) == (413, "image_too_large")


@pytest.mark.parametrize("sent", [0, 5_000])
def test_a_client_that_disconnects_leaves_no_request_in_flight(
    server: Server, astronaut_jpeg: bytes, sent: int
) -> None:
    address = urlsplit(server.url)
    assert address.hostname
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port or 0)) as connection:
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(astronaut_jpeg)}\r\n\r\n"
            connection.sendall(head.encode() + astronaut_jpeg[:sent])
    assert server.client.post("/predict", content=astronaut_jpeg).status_code == 200
    scraped = server.client.get("/metrics").text
    assert "fer_requests_in_flight 0.0" in scraped
    assert "Traceback" not in server.log


def test_requests_beyond_the_limit_are_refused_at_once(start_server: StartServer, astronaut_jpeg: bytes) -> None:
    server = start_server(FER_MAX_IN_FLIGHT="8")

    async def flood() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(client.post("/predict", content=astronaut_jpeg) for _ in range(200)))

    answers = asyncio.run(flood())
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(answer.json()["code"] == "overloaded" for answer in refused)
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert server.client.post("/predict", content=astronaut_jpeg).status_code == 200


def test_a_request_past_its_deadline_is_answered_504(start_server: StartServer, astronaut_jpeg: bytes) -> None:
    server = start_server(FER_REQUEST_TIMEOUT="0.001")
    answer = server.client.post("/predict", content=astronaut_jpeg)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
