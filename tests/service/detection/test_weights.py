import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fer_service.contract.errors import DetectorError
from fer_service.detection.weights import YUNET, Weights

CONTENT = b"weights" * 1000


class Files(ThreadingHTTPServer):
    """Answers /good, /short (less than it promises) and nothing else; counts the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = 0

    def weights(self, path: str, content: bytes = CONTENT) -> Weights:
        url = f"http://127.0.0.1:{self.server_port}/{path}"
        return Weights("weights.onnx", url, hashlib.sha256(content).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Files

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.path not in ("/good", "/short"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) + (self.path == "/short")))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def files(empty_cache: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setenv("no_proxy", "*")
    with Files() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def kept(weights: Weights) -> list[Path]:
    return list(weights.path.parent.glob("*"))


def test_a_download_is_cached_in_the_users_cache_folder(files: Files) -> None:
    weights = files.weights("good")
    assert weights.pull() == weights.path
    assert weights.path.read_bytes() == CONTENT
    assert kept(weights) == [weights.path]


def test_a_second_pull_downloads_nothing(files: Files) -> None:
    weights = files.weights("good")
    weights.pull()
    weights.pull()
    assert files.requests == 1


def test_a_damaged_file_is_downloaded_again(files: Files) -> None:
    weights = files.weights("good")
    weights.pull()
    weights.path.write_bytes(CONTENT[:-1])
    weights.pull()
    assert weights.path.read_bytes() == CONTENT


def test_a_download_with_a_wrong_checksum_is_not_cached(files: Files) -> None:
    weights = files.weights("good", content=b"something else")
    with pytest.raises(DetectorError, match=r"/good: wrong checksum: SHA-256 is [0-9a-f]{16}….*was not cached"):
        weights.pull()
    assert kept(weights) == []


@pytest.mark.parametrize("path", ["missing", "short"])
def test_a_failed_download_is_an_error_that_names_the_url(files: Files, path: str) -> None:
    weights = files.weights(path)
    with pytest.raises(DetectorError, match=f"cannot download http://127.0.0.1:.*/{path}: "):
        weights.pull()
    assert kept(weights) == []


def test_a_refused_connection_is_an_error(files: Files) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        weights = replace(files.weights("good"), url=f"http://127.0.0.1:{deaf.getsockname()[1]}/good")
        with pytest.raises(DetectorError, match=r"cannot download .*refused"):
            weights.pull()


def test_a_cache_without_write_access_is_an_error(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DetectorError, match=r"cannot write .*weights\.onnx: "):
        files.weights("good").pull()


def test_a_local_file_is_checked_and_cached(files: Files, tmp_path: Path) -> None:
    weights = files.weights("good")
    (tmp_path / "from-a-stick.onnx").write_bytes(CONTENT)
    assert weights.store(tmp_path / "from-a-stick.onnx") == weights.path
    assert weights.path.read_bytes() == CONTENT
    assert files.requests == 0


def test_a_local_file_with_a_wrong_checksum_is_not_cached(files: Files, tmp_path: Path) -> None:
    weights = files.weights("good")
    (tmp_path / "other.onnx").write_bytes(CONTENT[:-1])
    with pytest.raises(DetectorError, match=r"other\.onnx: wrong checksum: .*was not cached"):
        weights.store(tmp_path / "other.onnx")
    with pytest.raises(DetectorError, match=r"cannot read .*missing\.onnx: No such file"):
        weights.store(tmp_path / "missing.onnx")
    assert kept(weights) == []


def test_yunets_url_is_pinned() -> None:
    assert YUNET.url.startswith("https://raw.githubusercontent.com/ShiqiYu/")
    assert len(YUNET.sha256) == 64
