"""Requests with text that no ordinary client sends, in every place where a client can put text."""

import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes, urlsplit

import pytest

from tests.e2e.server import StartServer

SKIPPED = 0.85  # share of the other headers that a text skips; 0 takes a minute
KEY = "a-key-of-some-length"
ALL = (
    *("/", "/docs", "/openapi.json", "/web/app.js", "/web/swagger/swagger-ui.css", "/model", "/nowhere", "/docs/"),
    *("/livez", "/readyz", "/metrics", "/predict", "/predict/batch", "/stream"),
)
FILES = ("/", "/docs", "/web/app.js", "/web/swagger/swagger-ui.css")
UPLOADS = ("/predict", "/predict/batch")
KEYED = (*UPLOADS, "/model", "/stream")
PARAMETERS = ("detect", "max_faces", "min_score", "smooth", "unknown", "")
METHODS = ("HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "PATCH", "PROPFIND")
TEXTS = (
    *("", " ", "\t", "*", "null", "NaN", "nan", "inf", "-inf", "Infinity", "-0", "1e309", "-1e309", "1_000", "٣"),
    *("9" * 19, "9" * 400, "9" * 4400, "-" + "9" * 30, "0x10", "1.5", "true", "[]", "[1,2]", '{"a":1}', "+1"),
    *("http://[", "http://[::1", "https://]", "http://a:b", "http://a:99999", "http://a@b", "//", "///", "http:"),
    *(
        "http://:80",
        "://",
        "http://[fe80::1%25eth0]",
        "http://[v1.x]",
        "http://\u2100.example",
        "[",
        "]",
        "[::1]:x",
    ),
    *(
        "a:99999",
        "a:-1",
        "a:٣",
        "::1",
        "fer.example.",
        "user@host",
        "a,b",
        "a b",
        "%",
        "%zz",
        "%00",
        "%ff",
        "%ed%a0%80",
    ),
    *(
        "\x80\xff",
        "é",
        "\u2028",
        "😀",
        "\ud800",
        "=",
        ";",
        ",",
        '"',
        "'",
        "\\",
        '"\\',
        "a;q=nan",
        "a;q=1e999",
        "a/*;q=x",
    ),
    *("image/png;q=" + "1" * 500, "text/plain;version=x", "application/openmetrics-text;version=1e5"),
    *(
        "application/openmetrics-text; version=",
        "*/*;q=0,;,;q=,=",
        "bytes=0-",
        "bytes=9-1",
        "bytes=-",
        "bytes=0-0,2-1",
    ),
    *("bytes=" + "9" * 400 + "-", "bytes=0-0," * 200, 'W/"', '"', "*", 'W/"x", "y', "Thu, 99 Foo 0000", "0"),
    *(
        "Bearer",
        "Bearer ",
        "bearer \xff",
        "Basic =",
        "Basic ====",
        "Negotiate",
        "fer.key.====",
        "fer.key.\xff",
        "fer.key.A",
    ),
    *("fer.v1,,", "fer.v1, fer.key.YWJj", "gzip;q=x", "identity;q=0", "chunked", "gzip, chunked", "100-continue"),
    *(
        "00-" + "0" * 32 + "-" + "0" * 16 + "-00",
        "00-" + "f" * 32 + "-" + "f" * 16 + "-ff",
        "ff-x-y-z",
        "00-é-é-é",
    ),
    *(
        "a=b," * 200,
        "a=%zz",
        "a=%ff;b",
        "=;=;=",
        "for=[::1;host=",
        "for=_x;proto=http://[",
        "1.2.3.4, , x",
        "x" * 8000,
    ),
    *(
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="',
        "image/",
        "/",
        "a/b/c",
    ),
    *("multipart/form-data; boundary=\xff\xfe", "multipart/form-data; boundary*=utf-8''%ff", "x/y; a*0*=b''%"),
    *(
        "text/html; charset=\x80",
        "application/json; charset=utf-99",
        "\x0b",
        "\x7f",
        "\x1b[31m",
        "${jndi:ldap://x}",
    ),
)
# Each header and the routes that read it.
HEADERS = {
    "Host": ALL,
    "Origin": ("/stream",),
    **dict.fromkeys(("Authorization", "X-API-Key", "Cookie"), KEYED),
    **dict.fromkeys(
        ("Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "TE"), ("/predict", "/metrics", "/")
    ),
    **dict.fromkeys(("traceparent", "tracestate", "baggage", "X-Request-ID", "Forwarded"), ("/model", "/nowhere")),
    **dict.fromkeys(
        ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"), ("/model", "/nowhere", "/stream")
    ),
    **dict.fromkeys(("Range", "If-Range", "If-None-Match", "If-Modified-Since", "If-Match"), FILES),
    **dict.fromkeys(("Content-Type", "Content-Encoding", "Content-Disposition"), UPLOADS),
    **dict.fromkeys(("Access-Control-Request-Method", "Access-Control-Request-Headers"), ("/predict",)),
    **dict.fromkeys(("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"), ("/stream",)),
    **dict.fromkeys(("Sec-WebSocket-Version", "Sec-WebSocket-Key", "Upgrade", "Connection"), ("/stream",)),
}
# These are parsed, so that every text is tried in them.
PARSED = ("Host", "Origin", "Accept", "Content-Type", "Range", "Sec-WebSocket-Protocol", "X-Forwarded-For")
HANDSHAKE = {
    "Connection": b"Upgrade",
    "Upgrade": b"websocket",
    "Sec-WebSocket-Version": b"13",
    "Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
}


def encoded(text: str) -> bytes:
    """UTF-8 or, as most servers read headers, Latin-1; a lone surrogate keeps its three bytes."""
    form = "latin-1" if all(ord(character) < 256 for character in text) else "utf-8"
    return text.encode(form, "surrogatepass")


def request(method: str, target: bytes, headers: dict[str, bytes]) -> bytes:
    """The bytes of a request to a target: with a body of one byte, or as a handshake."""
    if target.startswith(b"/stream"):
        method, headers = "GET", HANDSHAKE | headers
    body = b"" if method in {"GET", "HEAD"} else b"x"
    head = b"%s %s HTTP/1.1\r\n" % (method.encode(), target)
    lines = (name.encode() + b": " + value + b"\r\n" for name, value in ({"Host": b"127.0.0.1"} | headers).items())
    return head + b"".join(lines) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def requests(seed: int) -> Iterator[bytes]:
    """Texts in headers, in parameters and in paths, each on one of the routes that read it."""
    draw = random.Random(seed)
    for text in map(encoded, TEXTS):
        quoted = quote_from_bytes(text, safe="%/[]@:")
        for name, routes in [*HEADERS.items()]:
            if name not in PARSED and draw.random() < SKIPPED:
                continue
            key = {"X-API-Key": KEY.encode()} if draw.random() < 0.7 else {}
            other = {draw.choice([*HEADERS]): encoded(draw.choice(TEXTS))} if draw.random() < 0.3 else {}
            route = draw.choice(routes)
            method = draw.choice(METHODS) if draw.random() < 0.1 else "POST" if route in UPLOADS else "GET"
            yield request(method, route.encode(), other | key | {name: text})
        for name in draw.sample(PARAMETERS, 2):
            route = draw.choice((*UPLOADS, "/stream"))
            target = f"{route}?{name}={quoted}&{name}=1".encode()
            yield request("POST", target, {"X-API-Key": KEY.encode()})
        for route in draw.sample(ALL, 1):
            yield request("GET", f"{route}/{quoted}".encode(), {"Host": b"127.0.0.1"})


class Connection:
    """A connection that is made anew when the service has closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._socket = socket.create_connection(self._address, timeout=20)

    def ask(self, content: bytes) -> bytes:
        """The status line of the answer to one request."""
        self._socket.sendall(content)
        received = b""
        while b"\r\n\r\n" not in received and (chunk := self._socket.recv(65536)):
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        left = 0 if content.startswith(b"HEAD") or length is None else int(length[1]) - len(body)
        while left > 0 and (chunk := self._socket.recv(65536)):
            left -= len(chunk)
        # A stream that was accepted, or an answer to a request that cannot be read, ends the connection.
        if length is None or b"connection: close" in head.lower() or head.startswith(b"HTTP/1.1 400"):
            self.close()
            self._socket = socket.create_connection(self._address, timeout=20)
        return head.partition(b"\r\n")[0]

    def close(self) -> None:
        """Close it."""
        self._socket.close()


@pytest.mark.parametrize("settings", [{}, {"FER_ALLOWED_HOSTS": "127.0.0.1", "FER_TRUSTED_PROXIES": "127.0.0.1"}])
def test_no_text_of_a_client_is_a_defect_of_the_service(
    start_server: StartServer, tmp_path: Path, settings: dict[str, str]
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY + "\n")
    server = start_server(
        FER_API_KEYS_FILE=str(keys),
        FER_CORS_ORIGINS="https://fer.example",
        FER_ACCESS_LOG="true",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        **settings,
    )
    connection = Connection(server.url)
    odd = []
    for content in requests(len(settings)):
        status = connection.ask(content)
        if not re.match(rb"HTTP/1\.1 (101|[234]\d\d) ", status):
            odd.append((status, content[:500]))
    connection.close()
    assert odd == []
    assert server.client.get("/readyz", headers={"Host": "127.0.0.1"}).status_code == 200
    assert "Traceback" not in server.log
