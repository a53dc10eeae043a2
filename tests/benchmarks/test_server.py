import sys
import time

import pytest
from fer_benchmarks.server import Server, multipart
from fer_service.contract.errors import StartError
from starlette.formparsers import MultiPartParser

SERVING = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.BaseHTTPRequestHandler); "
ANNOUNCING = "print('serving on http://127.0.0.1:%d' % s.server_port, flush=True); "


def server(code: str) -> Server:
    return Server([sys.executable, "-c", code], {})


def test_a_server_is_known_by_what_it_prints() -> None:
    with server(SERVING + ANNOUNCING + "s.serve_forever()") as running:
        assert running.host == "127.0.0.1"
        assert running.port > 0


def test_a_server_that_writes_much_goes_on_serving() -> None:
    answering = (
        "H = h.BaseHTTPRequestHandler; H.protocol_version = 'HTTP/1.1'; "
        "H.do_POST = lambda self: (self.rfile.read(int(self.headers['Content-Length'])), print('x' * 100_000), "
        "self.send_response(200), self.send_header('Content-Length', '0'), self.end_headers()); "
    )
    with server(SERVING + ANNOUNCING + answering + "s.serve_forever()") as running:
        assert running.load(b"body", seconds=0.2, concurrency=1).statuses.get(200, 0) > 2


def test_a_server_that_ends_instead_of_serving_says_why() -> None:
    with pytest.raises(StartError, match="no such model"), server("print('no such model')"):
        pass


def test_its_children_count_as_it() -> None:
    child = "import time; x = bytearray(60 << 20); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); "
    with server(code + SERVING + ANNOUNCING + "s.serve_forever()") as running:
        end = time.monotonic() + 20
        while (usage := running.usage()) and usage.memory < 60 and time.monotonic() < end:
            time.sleep(0.02)
        assert usage is not None
        assert 60 <= usage.memory <= usage.peak
        assert usage.cpu > 0
    assert running.usage() is None or running.usage().cpu == 0  # type: ignore[union-attr]


def test_work_of_the_server_is_seen_as_its_cpu_time() -> None:
    with server(SERVING + ANNOUNCING + "exec('while True: pass')") as running:
        used = running.idle_cpu(0.5)
    assert used is not None
    assert used > 0.02  # of a core that others may want too


def test_an_idle_server_takes_none() -> None:
    with server(SERVING + ANNOUNCING + "import time; time.sleep(60)") as running:
        assert running.idle_cpu(0.3) == 0


def test_the_multipart_body_holds_the_image_as_file() -> None:
    import asyncio
    from collections.abc import AsyncGenerator

    from starlette.datastructures import Headers, UploadFile

    body, content_type = multipart(b"\x00image\r\n--")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    async def parsed() -> bytes:
        form = await MultiPartParser(Headers({"content-type": content_type}), stream()).parse()
        upload = form["file"]
        assert isinstance(upload, UploadFile)
        content = await upload.read()
        await form.close()
        return content

    assert asyncio.run(parsed()) == b"\x00image\r\n--"
