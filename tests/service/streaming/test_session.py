import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fer_service.contract.errors import Overloaded, UndecodableImage
from fer_service.contract.schemas import Prediction
from fer_service.observability.metrics import Metrics
from fer_service.streaming.limits import BAD_FRAMES, BURST, StreamClosed
from fer_service.streaming.session import Session
from prometheus_client import CollectorRegistry

FRAME = b"\xff\xd8\xff and so on"


class Places:
    """Admits frames while there is room, and counts them; `free` says when there is a place."""

    def __init__(self, room: int = 2) -> None:
        self.left = room
        self.free = asyncio.Event()

    def hold(self, size: int) -> None:
        if not self.left:
            raise Overloaded("full")
        self.left -= 1

    def release(self, size: int) -> None:
        self.left += 1

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        await self.free.wait()
        yield


async def predict(data: bytes) -> Prediction:
    raise AssertionError("nobody asks for a result")


def session(places: Places) -> Session:
    return Session(predict, places, Metrics(CollectorRegistry()), max_bytes=100)


def test_a_flood_of_frames_ends_the_stream_and_holds_nothing() -> None:
    places = Places()
    flooded = session(places)

    def flood() -> None:
        while True:
            flooded.receive(FRAME)

    with pytest.raises(StreamClosed, match="frames per second"):
        flood()
    flooded.close()
    assert places.left == 2


@pytest.mark.parametrize("bad", [None, bytes(101), b"no image"])
def test_bad_frames_without_end_end_the_stream(bad: bytes | None) -> None:
    flooded = session(Places())
    for _ in range(BAD_FRAMES - 1):
        flooded.receive(bad)
    with pytest.raises(StreamClosed, match="not images"):
        flooded.receive(bad)


def test_frames_that_the_service_has_no_room_for_are_not_bad() -> None:
    crowded = session(Places(0))
    for _ in range(BURST):
        crowded.receive(FRAME)


def test_bad_frames_between_frames_that_there_is_no_room_for_are_not_in_a_row() -> None:
    crowded = session(Places(0))
    for frame in [*[b"no image"] * (BAD_FRAMES - 1), FRAME, b"no image"]:
        crowded.receive(frame)


def test_the_newest_frame_is_analyzed_when_a_place_is_free() -> None:
    analyzed: list[bytes] = []

    async def note(data: bytes) -> Prediction:
        analyzed.append(data)
        raise UndecodableImage("damaged")

    async def scenario() -> None:
        places = Places(3)
        stream = Session(note, places, Metrics(CollectorRegistry()), max_bytes=100)
        stream.receive(FRAME + b"1")
        answer = asyncio.create_task(stream.next())
        await asyncio.sleep(0)
        stream.receive(FRAME + b"2")
        stream.receive(FRAME + b"3")
        assert (places.left, analyzed) == (1, [])
        places.free.set()
        outcome = await answer
        assert (outcome.frame.number, analyzed, places.left) == (3, [FRAME + b"3"], 3)

    asyncio.run(scenario())


def test_a_frame_that_waits_for_a_place_is_released_when_the_stream_ends() -> None:
    async def scenario() -> None:
        places = Places()
        stream = session(places)
        stream.receive(FRAME)
        answer = asyncio.create_task(stream.next())
        await asyncio.sleep(0)
        stream.receive(FRAME)
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)
        stream.close()
        assert places.left == 2

    asyncio.run(scenario())
