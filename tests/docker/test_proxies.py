"""The configurations of reverse proxies, with real proxies and a real service behind them."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.docker.conftest import DOCKER, ROOT
from tests.e2e.server import Server
from tests.scenes import astronaut
from tests.service.video.conftest import write_clip

PROXIES = DOCKER / "proxies"
BACKEND = "127.0.0.1:8000"
SECONDS = 20
HOST = "fer.example"
Start = Callable[[Path, Server, int], "list[str]"]


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin") or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def nginx(folder: Path, server: Server, port: int) -> list[str]:
    """Write a whole configuration around the file, with a certificate of its own."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate]
    subprocess.run([program("openssl"), *request, *subject], check=True, capture_output=True)
    text = (PROXIES / "nginx.conf").read_text()
    for old, new in {
        BACKEND: server.url.removeprefix("http://"),
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl/fer.example.pem": str(certificate),
        "/etc/ssl/fer.example.key": str(key),
    }.items():
        assert old in text
        text = text.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers are nobody if it is root, and the folder is this user's.
    user = "user root;\n" if os.geteuid() == 0 else ""
    main = f"{user}pid {folder}/nginx.pid;\nerror_log stderr;\ndaemon off;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{\naccess_log off;\n{temporary}{text}}}\n")
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def caddy(folder: Path, server: Server, port: int) -> list[str]:
    """Use an authority of Caddy's own, and nothing outside the folder."""
    text = (PROXIES / "Caddyfile").read_text()
    text = text.replace(BACKEND, server.url.removeprefix("http://"))
    text = text.replace("fer.example {", f"https://{HOST}:{port} {{\n\tbind 127.0.0.1\n\ttls internal", 1)
    options = "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + text)
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(params=[nginx, caddy], ids=lambda start: start.__name__)
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Proxy"]:
    start: Start = request.param
    program(start.__name__)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server({"FER_ROOT_PATH": "/fer", "FER_TRUSTED_PROXIES": "127.0.0.1"})
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    log = (tmp_path / "log").open("w")
    with subprocess.Popen(start(tmp_path, server, port), env=environment, stdout=log, stderr=log) as process:
        proxy = Proxy(port, server)
        try:
            proxy.wait(process, tmp_path / "log")
            yield proxy
        finally:
            proxy.client.close()
            process.terminate()
            server.close()
            log.close()


class Proxy:
    """A client of a proxy whose name is fer.example."""

    def __init__(self, port: int, server: Server) -> None:
        self.port, self.server = port, server
        self.trust = ssl.create_default_context()
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE
        headers = {"Host": f"{HOST}:{port}"}
        # The name is sent for TLS, and nothing resolves it.
        self.extensions = {"sni_hostname": HOST}
        self.client = httpx.Client(
            base_url=f"https://127.0.0.1:{port}", verify=self.trust, headers=headers, timeout=SECONDS
        )

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path, extensions=self.extensions)

    def post(self, path: str, content: bytes) -> httpx.Response:
        return self.client.post(path, content=content, extensions=self.extensions)

    def stream(self, path: str, origin: str, image: bytes) -> dict[str, object]:
        async def ask(plain: socket.socket) -> dict[str, object]:
            address, options = f"wss://{HOST}:{self.port}{path}", {"sock": plain, "server_hostname": HOST}
            async with (
                asyncio.timeout(SECONDS),
                connect(address, ssl=self.trust, origin=origin, **options) as stream,
            ):
                await stream.send(image)
                answer: dict[str, object] = json.loads(await stream.recv())
                return answer

        # The client with threads reads and writes TLS at the same time, and then sometimes never ends.
        with socket.create_connection(("127.0.0.1", self.port)) as plain:
            plain.setblocking(False)
            return asyncio.run(ask(plain))

    def wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        until = time.monotonic() + SECONDS
        while True:
            try:
                if self.get("/livez").is_success:
                    return
            except httpx.TransportError:
                pass
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)


def test_images_pages_and_streams_pass_a_proxy_at_its_root_and_below_a_path(
    proxy: Proxy, astronaut_jpeg: bytes
) -> None:
    for prefix in ("", "/fer"):
        assert proxy.get(f"{prefix}/").text.startswith("<!doctype html>")
        assert proxy.get(f"{prefix}/docs").is_success
        assert proxy.post(f"{prefix}/predict", astronaut_jpeg).json()["faces"][0]["emotion"] == "happy"
        answer = proxy.stream(f"{prefix}/stream", f"https://{HOST}:{proxy.port}", astronaut_jpeg)
        assert answer["frame"] == 1
    assert proxy.get("/fer").headers["location"].endswith("/fer/")
    assert proxy.get("/fer/openapi.json").json()["servers"] == [{"url": "/fer"}]


def test_a_page_of_another_origin_opens_no_stream(proxy: Proxy, astronaut_jpeg: bytes) -> None:
    for origin in ("https://evil.example", f"http://{HOST}:{proxy.port}", f"https://{HOST}"):
        with pytest.raises(InvalidStatus) as refused:
            proxy.stream("/stream", origin, astronaut_jpeg)
        assert refused.value.response.status_code == 403


def test_large_images_pass_and_larger_ones_are_413(proxy: Proxy, astronaut_jpeg: bytes) -> None:
    padded = astronaut_jpeg + bytes(19 * 2**20)
    assert proxy.post("/predict", padded).json()["faces"]
    too_large = proxy.post("/predict", bytes(22 * 2**20))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "image_too_large")
    assert proxy.post("/predict", bytes(107 * 2**20)).status_code == 413


def test_the_lines_of_a_video_come_one_by_one(proxy: Proxy, tmp_path: Path) -> None:
    frames = [astronaut()] * 60
    clip = write_clip(tmp_path / "clip.mp4", frames, [number / 30 for number in range(60)]).read_bytes()
    padded = clip + bytes(40 * 2**20)  # no box: players pass over it
    began = time.monotonic()
    with proxy.client.stream("POST", "/predict/video", content=padded, extensions=proxy.extensions) as answer:
        assert answer.status_code == 200, answer.read()
        came = [time.monotonic() - began for _ in answer.iter_lines()]
    assert len(came) == 62
    assert came[-1] - came[0] > 0.2  # not all at the end: the frames take longer than that


def test_videos_of_the_largest_size_pass(proxy: Proxy) -> None:
    answer = proxy.post("/predict/video", bytes(100 * 2**20))
    assert (answer.status_code, answer.json()["code"]) == (422, "undecodable_video")


def test_traefik_s_file_names_what_it_defines() -> None:
    http = yaml.safe_load((PROXIES / "traefik.yml").read_text())["http"]
    for router in http["routers"].values():
        assert router["service"] in http["services"]
    assert "buffering" not in str(http)  # it keeps the whole answer, so no line of a video would arrive at once


def test_the_documentation_names_every_file() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for file in PROXIES.iterdir():
        assert f"docker/proxies/{file.name}" in page
