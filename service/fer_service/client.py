"""Clients of the HTTP API, with and without an event loop. They need the extra `client` (httpx and websockets).

    with Client("http://127.0.0.1:8000") as client:
        for face in client.predict("photo.jpg").faces:
            print(face.emotion, face.confidence)

An image is the bytes of a file, or its path. Keyword arguments are the parameters of the route (docs/api.md). A
request is repeated if the service is busy or the connection breaks: it gives the same answer again.
"""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from fer_service.contract.extras import install_command

try:
    import httpx
    from websockets.asyncio.client import connect as connect_async
    from websockets.exceptions import InvalidStatus, WebSocketException
    from websockets.sync.client import connect
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is not installed; in the clone of fer-service: {install_command('client')}", name=error.name
    ) from error

from fer_service.contract import schemas

Image: TypeAlias = bytes | str | PathLike[str]
Results: TypeAlias = list[schemas.BatchPrediction | schemas.BatchError]
Frame: TypeAlias = schemas.FramePrediction | schemas.FrameError
T = TypeVar("T")
_FRAME: Final[TypeAdapter[Frame]] = TypeAdapter(Frame)
_LINE: Final[TypeAdapter[schemas.VideoLine]] = TypeAdapter(schemas.VideoLine)
_BUSY: Final = (429, 503)
_BROKEN: Final = (httpx.NetworkError, httpx.RemoteProtocolError)
_MAX_PAUSE: Final = 30.0  # seconds
_MAX_CLOSE: Final = 10.0  # seconds until a stream is closed without the service's consent


class ServiceError(Exception):
    """The service refused a request; `problem` has the reason, with a stable `code`."""

    def __init__(self, problem: schemas.Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem


class _Base(ABC):
    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = 60,
        retries: int = 3,
    ) -> None:
        """Make no connection yet.

        Args:
            url: Address of the service.
            api_key: Key, if the service asks for one.
            timeout: Seconds for an answer.
            retries: Maximum repetitions after status 429 or 503, or a broken connection.
        """
        # websockets follows redirects, and leaves out this header, but not others, for another host.
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._url, self._timeout, self._retries = url.rstrip("/"), timeout, retries
        self._options: dict[str, Any] = {"base_url": url, "headers": self._headers, "timeout": timeout}
        self._open(**self._options)

    def __getstate__(self) -> dict[str, Any]:
        """Return what other processes need; each has connections of its own."""
        return {name: value for name, value in vars(self).items() if name != "_http"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start without a connection."""
        vars(self).update(state)
        self._open(**self._options)

    @abstractmethod
    def _open(self, **options: Any) -> None:
        """Make the HTTP client of httpx, which connects later."""

    def _pause(self, outcome: httpx.Response | httpx.TransportError, attempt: int) -> float | None:
        """Return the seconds until the next attempt, or None if there should be none."""
        if isinstance(outcome, httpx.Response):
            again, asked = outcome.status_code in _BUSY, outcome.headers.get("Retry-After", "")
        else:
            again, asked = isinstance(outcome, _BROKEN), ""
        if not again or attempt == self._retries:
            return None
        return min(float(asked) if asked.isdecimal() else 0.1 * 2**attempt, _MAX_PAUSE)

    def _stream(self, query: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the address of a stream, and the arguments of a WebSocket."""
        address = httpx.URL(f"{self._url}/stream", params=query)
        options: dict[str, Any] = {"open_timeout": self._timeout, "compression": None, "max_size": None}
        options["close_timeout"] = min(self._timeout, _MAX_CLOSE)
        scheme = "wss" if address.scheme == "https" else "ws"
        return str(address.copy_with(scheme=scheme)), options | {"additional_headers": self._headers}


class Client(_Base):
    """A client for programs without an event loop; threads may share it. `with` or `close` ends its connections.

    All methods raise ServiceError if the service refuses, and httpx.TransportError if there is no connection or no
    answer in time.
    """

    def _open(self, **options: Any) -> None:
        self._http = httpx.Client(**options)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, image: Image, **query: Any) -> schemas.Prediction:
        """Return the faces of an image and their emotions."""
        return self._ask(_predict(image, query))

    def track(self, image: Image, session: str = "new", **query: Any) -> schemas.SessionPrediction:
        """Return the faces of an image with their ids, and the `session` to call this with for the next image."""
        return self._ask(_track(image, query | {"session": session}))

    def draw(self, image: Image, media_type: str = "image/jpeg", **query: Any) -> bytes:
        """Return the image with boxes and labels, as JPEG or PNG."""
        return self._ask(_draw(image, media_type, query))

    def predict_batch(self, images: Iterable[Image], **query: Any) -> Results:
        """Return a prediction or an error per image, in their order."""
        return self._ask(_predict_batch(images, query))

    def model(self) -> schemas.ModelCard:
        """Return the model and the detector in use."""
        return self._ask(_MODEL)

    def video(self, video: Image, **query: Any) -> Iterator[schemas.VideoLine]:
        """Yield the lines of the answer to a video (docs/api.md) as they come; stop to cancel. It is not repeated.

        Raises:
            ServiceError: the service refused the video, or gave it up.
            httpx.TransportError: there is no connection, no line in time, or the answer was cut.
        """
        with self._http.stream(**_post(video, query, "/predict/video")) as response:
            if not response.is_success:
                raise ServiceError(_problem(response.status_code, response.read()))
            line = None
            for text in response.iter_lines():
                line = _line(text)
                yield line
            _check_last(line)

    def stream(self, frames: Iterable[Image], **query: Any) -> Iterator[Frame]:
        """Send each frame of a video after the answer to the last one, and yield the answers.

        Raises:
            ServiceError: the service refused the stream.
            httpx.TransportError: there is no connection, or no answer in time.
            websockets.ConnectionClosed: the service ended the stream; the code says why (docs/api.md).
        """
        address, options = self._stream(query)
        with _connecting():
            socket = connect(address, **options)
        with socket:
            for frame in frames:
                socket.send(_content(frame))
                with _reading():
                    answer = _FRAME.validate_json(socket.recv(self._timeout))
                yield answer

    def _ask(self, request: "_Request[T]", attempt: int = 0) -> T:
        outcome: httpx.Response | httpx.TransportError
        try:
            outcome = self._http.request(**request.options)
        except httpx.TransportError as error:
            outcome = error
        if (seconds := self._pause(outcome, attempt)) is None:
            return request.result(outcome)
        time.sleep(seconds)
        return self._ask(request, attempt + 1)


class AsyncClient(_Base):
    """A client for programs with an event loop: the methods and errors of `Client`; each call is awaited."""

    def _open(self, **options: Any) -> None:
        self._http = httpx.AsyncClient(**options)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(self, image: Image, **query: Any) -> schemas.Prediction:
        """Return the faces of an image and their emotions."""
        return await self._ask(_predict(image, query))

    async def track(self, image: Image, session: str = "new", **query: Any) -> schemas.SessionPrediction:
        """Return the faces of an image with their ids, and the `session` to call this with for the next image."""
        return await self._ask(_track(image, query | {"session": session}))

    async def draw(self, image: Image, media_type: str = "image/jpeg", **query: Any) -> bytes:
        """Return the image with boxes and labels, as JPEG or PNG."""
        return await self._ask(_draw(image, media_type, query))

    async def predict_batch(self, images: Iterable[Image], **query: Any) -> Results:
        """Return a prediction or an error per image, in their order."""
        return await self._ask(_predict_batch(images, query))

    async def model(self) -> schemas.ModelCard:
        """Return the model and the detector in use."""
        return await self._ask(_MODEL)

    async def video(self, video: Image, **query: Any) -> AsyncIterator[schemas.VideoLine]:
        """Yield the lines of the answer to a video as they come; stop to cancel. It is not repeated."""
        async with self._http.stream(**_post(video, query, "/predict/video")) as response:
            if not response.is_success:
                raise ServiceError(_problem(response.status_code, await response.aread()))
            line = None
            async for text in response.aiter_lines():
                line = _line(text)
                yield line
            _check_last(line)

    async def stream(self, frames: AsyncIterable[Image] | Iterable[Image], **query: Any) -> AsyncIterator[Frame]:
        """Send each frame of a video after the answer to the last one, and yield the answers."""
        address, options = self._stream(query)
        with _connecting():
            socket = await connect_async(address, **options)
        async with socket:
            async for frame in _each(frames):
                await socket.send(_content(frame))
                with _reading():
                    answer = _FRAME.validate_json(await asyncio.wait_for(socket.recv(), self._timeout))
                yield answer

    async def _ask(self, request: "_Request[T]", attempt: int = 0) -> T:
        outcome: httpx.Response | httpx.TransportError
        try:
            outcome = await self._http.request(**request.options)
        except httpx.TransportError as error:
            outcome = error
        if (seconds := self._pause(outcome, attempt)) is None:
            return request.result(outcome)
        await asyncio.sleep(seconds)
        return await self._ask(request, attempt + 1)


@dataclass(frozen=True)
class _Request(Generic[T]):
    """The arguments of a request, and how to read its answer."""

    options: dict[str, Any]
    read: Callable[[bytes], T]

    def result(self, outcome: httpx.Response | httpx.TransportError) -> T:
        if isinstance(outcome, httpx.TransportError):
            raise outcome
        if not outcome.is_success:
            raise ServiceError(_problem(outcome.status_code, outcome.content))
        return self.read(outcome.content)


_MODEL: Final = _Request({"method": "GET", "url": "/model"}, schemas.ModelCard.model_validate_json)


def _predict(image: Image, query: dict[str, Any]) -> _Request[schemas.Prediction]:
    return _Request(_post(image, query), schemas.Prediction.model_validate_json)


def _track(image: Image, query: dict[str, Any]) -> _Request[schemas.SessionPrediction]:
    return _Request(_post(image, query), schemas.SessionPrediction.model_validate_json)


def _draw(image: Image, media_type: str, query: dict[str, Any]) -> _Request[bytes]:
    return _Request(_post(image, query, Accept=media_type), bytes)


def _predict_batch(images: Iterable[Image], query: dict[str, Any]) -> _Request[Results]:
    files = [("file", ("" if isinstance(image, bytes) else Path(image).name, _content(image))) for image in images]
    options = {"method": "POST", "url": "/predict/batch", "files": files, "params": query}
    return _Request(options, lambda content: schemas.BatchResult.model_validate_json(content).results)


def _line(text: str) -> schemas.VideoLine:
    try:
        line = _LINE.validate_json(text)
    except ValidationError as error:
        raise httpx.RemoteProtocolError(
            "the answer to the video is cut off, or is not from this service"
        ) from error
    if isinstance(line, schemas.VideoError):
        raise ServiceError(line.error)
    return line


def _check_last(line: schemas.VideoLine | None) -> None:
    if not isinstance(line, schemas.VideoEnd):  # a proxy may end an answer that was cut as if it were complete
        raise httpx.RemoteProtocolError("the answer to the video is incomplete: its last line is missing")


def _post(image: Image, query: dict[str, Any], url: str = "/predict", **headers: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/octet-stream", **headers}
    if isinstance(query.get("boxes"), list):
        query = query | {"boxes": json.dumps(query["boxes"])}
    return {"method": "POST", "url": url, "content": _content(image), "params": query, "headers": headers}


def _content(image: Image) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | PathLike):
        return Path(image).read_bytes()
    raise TypeError(f"an image or video is bytes or a path, not {type(image).__name__}")


async def _each(frames: AsyncIterable[Image] | Iterable[Image]) -> AsyncIterator[Image]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame


@contextmanager
def _connecting() -> Iterator[None]:
    """Raise what the other methods raise if there is no connection or the service refuses."""
    try:
        yield
    except InvalidStatus as refused:
        raise ServiceError(_problem(refused.response.status_code, refused.response.body or b"")) from refused
    except (OSError, WebSocketException) as error:
        raise httpx.ConnectError(str(error)) from error


@contextmanager
def _reading() -> Iterator[None]:
    """Raise what the other methods raise if there is no answer in time, or an answer of something else."""
    try:
        yield
    except TimeoutError as error:
        raise httpx.ReadTimeout("no answer to a frame in time") from error
    except ValidationError as error:
        raise httpx.RemoteProtocolError("the answer to a frame is not one of this service") from error


def _problem(status: int, content: bytes | bytearray) -> schemas.Problem:
    try:
        return schemas.Problem.model_validate_json(content)
    except ValidationError:  # a proxy, or another service
        detail = content.decode("utf-8", "replace")[:500]
        return schemas.Problem(
            title="HTTP error", status=status, detail=detail or "no details", code=f"http_{status}"
        )
