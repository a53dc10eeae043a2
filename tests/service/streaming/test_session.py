import pytest
from fer_service.contract.errors import Overloaded
from fer_service.contract.schemas import Prediction
from fer_service.observability.metrics import Metrics
from fer_service.streaming.limits import BAD_FRAMES, BURST, StreamClosed
from fer_service.streaming.session import Session
from prometheus_client import CollectorRegistry


class Places:
    """Admits frames while there are places, and counts them."""

    def __init__(self, places: int = 2) -> None:
        self.left = places

    def enter(self, size: int) -> None:
        if not self.left:
            raise Overloaded("full")
        self.left -= 1

    def leave(self, size: int) -> None:
        self.left += 1


async def predict(data: bytes) -> Prediction:
    raise AssertionError("nobody asks for a result")


def session(places: Places) -> Session:
    return Session(predict, places, Metrics(CollectorRegistry()), max_bytes=100)


def test_a_flood_of_frames_ends_the_stream_and_holds_nothing() -> None:
    places = Places()
    flooded = session(places)

    def flood() -> None:
        while True:
            flooded.receive(b"frame")

    with pytest.raises(StreamClosed, match="frames per second"):
        flood()
    flooded.close()
    assert places.left == 2


@pytest.mark.parametrize("bad", [None, bytes(101)])
def test_bad_frames_without_end_end_the_stream(bad: bytes | None) -> None:
    flooded = session(Places())
    for _ in range(BAD_FRAMES - 1):
        flooded.receive(bad)
    with pytest.raises(StreamClosed, match="no images"):
        flooded.receive(bad)


def test_frames_that_the_service_has_no_room_for_are_not_bad() -> None:
    crowded = session(Places(0))
    for _ in range(BURST):
        crowded.receive(b"frame")
