import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.e2e.server import Server

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CAMERA = ("--use-fake-device-for-media-stream", "--auto-accept-camera-and-microphone-capture")
PATIENCE = 30_000  # milliseconds: a build machine is busy, and the page waits up to 15 s before it connects again
VIEWPORT: ViewportSize = {"width": 1280, "height": 900}
expect.set_options(timeout=PATIENCE)


class Visit:
    """An open page and the errors on it.

    Attributes:
        page: The page.
        errors: The errors and warnings of the console, and the page's uncaught exceptions.
        elsewhere: The addresses of requests to another origin than the service's.
        url: The service's address.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.url = url
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, self.url.replace("http", "ws"), "blob:", "data:", "about:")):
            self.elsewhere.append(request.url)

    def check(self) -> None:
        """Fail if the page sent requests to another origin or reported an error."""
        assert self.elsewhere == []
        assert self.errors == []

    def clear(self) -> None:
        """Forget what was checked."""
        self.elsewhere.clear()
        self.errors.clear()


@pytest.fixture(scope="session")
def executable() -> str:
    """The browser's path."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed ({', '.join(BROWSERS)}); `apt-get install chromium` gives one")
    return found


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright, for one file of tests: while it runs, other tests of this thread can run no event loop."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def camera_file(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """The video of the browser's camera, as Y4M: a smiling astronaut who moves left and right."""
    path = tmp_path_factory.mktemp("camera") / "camera.y4m"
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F20:1 Ip A1:1 C420jpeg\n")
        for step in range(20):
            frame = np.full((480, 640, 3), 96, np.uint8)
            left = 64 + round(24 * np.sin(step / 20 * 2 * np.pi))
            frame[:, left : left + 512] = astronaut[:480]
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@pytest.fixture(scope="module")
def browser(playwright: Playwright, executable: str, camera_file: Path) -> Iterator[Browser]:
    """A browser with a camera."""
    arguments = [*CAMERA, f"--use-file-for-fake-video-capture={camera_file}"]
    running = playwright.chromium.launch(executable_path=executable, args=arguments)
    yield running
    running.close()


@contextmanager
def visiting(browser: Browser, url: str, path: str = "/", **options: Any) -> Iterator[Visit]:
    """Open the page in a new window; fail if it sends requests to another origin or reports an error."""
    with opening(browser, url, **options) as visit:
        visit.page.goto(url + path)
        yield visit


@contextmanager
def opening(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Open an empty window."""
    options.setdefault("viewport", VIEWPORT)
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    visit = Visit(context.new_page(), url)
    yield visit
    # Before the window closes: the browser reports every connection that closing breaks off.
    visit.check()
    context.close()


@contextmanager
def revisiting(window: Visit, path: str = "/") -> Iterator[Visit]:
    """Open the page in a window that stays open, which takes half the time; leave nothing behind in it."""
    page = window.page
    window.clear()
    page.goto(window.url + path)
    yield window
    page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
    page.unroute_all()
    page.set_viewport_size(VIEWPORT)
    try:
        window.check()
    finally:
        page.goto("about:blank")


@pytest.fixture(scope="module")
def window(browser: Browser, server: Server) -> Iterator[Visit]:
    """A window with the camera allowed, for the tests of a file."""
    with opening(browser, server.url, permissions=["camera"]) as opened:
        yield opened
        opened.clear()


@pytest.fixture
def visit(window: Visit) -> Iterator[Visit]:
    """The page, just opened, in the window of the file."""
    with revisiting(window) as opened:
        yield opened


@pytest.fixture
def image_file(tmp_path: Path, astronaut_jpeg: bytes) -> Path:
    """The astronaut."""
    path = tmp_path / "astronaut.jpg"
    path.write_bytes(astronaut_jpeg)
    return path
