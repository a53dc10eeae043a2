"""Abuse of streams: floods of frames, and messages and results without end."""

import asyncio

from tests.campaign import costly_images as costly
from tests.campaign.client import BINARY, CONTINUATION, PING, TEXT, Client, Service, frame
from tests.campaign.rows.row import AT_WORK, DECODING, HOLDING, Row, flooding, waiting

_OPEN = frame(BINARY, b"a", last=False)


def one_byte_fragments() -> Client:
    """A message in fragments of one byte."""
    return flooding(_OPEN, frame(CONTINUATION, b"a", last=False) * 3000, stream=True)


def empty_fragments() -> Client:
    """A message in fragments of no byte."""
    return flooding(_OPEN, frame(CONTINUATION, last=False) * 3000, stream=True)


def pings() -> Client:
    """Pings, as fast as possible."""
    return flooding(b"", frame(PING, bytes(125)) * 1000, stream=True)


def texts() -> Client:
    """Text messages, as fast as possible."""
    return flooding(b"", frame(TEXT, b"text") * 1000, stream=True)


def garbage() -> Client:
    """Binary frames that are no image, as fast as possible."""
    return flooding(b"", frame(BINARY, b"no image") * 100, stream=True)


def frames() -> Client:
    """Images, as fast as possible."""
    return flooding(b"", frame(BINARY, costly.ordinary()), stream=True)


def steady_frames() -> Client:
    """Images at the rate of a fast camera, so that the service does not close the stream."""
    return waiting(b"", frame(BINARY, costly.ordinary()), 1 / 60, stream=True)


def costly_frames() -> Client:
    """Images that take a decoder long, as fast as the service takes them."""
    return flooding(b"", frame(BINARY, costly.scans(100)), stream=True)


def unfinished() -> Client:
    """A message of as many bytes as allowed that does not end."""
    return flooding(_OPEN, frame(CONTINUATION, bytes(64 * 2**10), last=False), stream=True)


def unread() -> Client:
    """Images whose results are not read."""
    image = frame(BINARY, costly.ordinary())

    async def send(service: Service) -> None:
        async with await service.stream(receive_buffer=4096) as stream:
            while True:
                await stream.send(image)
                await asyncio.sleep(1 / 60)

    return send


ROWS = (
    Row("stream in one-byte fragments", one_byte_fragments, clients=8),
    Row("stream in empty fragments", empty_fragments, clients=8),
    Row("floods of pings", pings, clients=8),
    Row("floods of text", texts, clients=8),
    Row("floods of garbage on 64 streams", garbage, clients=64),
    # Their frames take all places that one client may have.
    Row("floods of frames on 56 streams", frames, clients=56, shares=False, memory=AT_WORK + HOLDING),
    Row("60 frames a second on 56 streams", steady_frames, clients=56, shares=False, memory=AT_WORK + HOLDING),
    Row(
        "costly frames on 56 streams",
        costly_frames,
        clients=56,
        shares=False,
        memory=AT_WORK + DECODING + HOLDING,
    ),
    Row("unfinished messages on 56 streams", unfinished, clients=56, memory=AT_WORK + HOLDING),
    Row("unread results on 32 streams", unread, clients=32, shares=False, memory=AT_WORK + HOLDING),
)
