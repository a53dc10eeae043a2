"""One row of abuse, and clients that many rows use."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.campaign.client import Client, Service

# MiB of the service with its child processes: at rest, and what docs/operations.md allows on top of it.
AT_WORK, DECODING, HOLDING = 450, 1280, 640


@dataclass(frozen=True)
class Row:
    """A kind of abuse.

    Attributes:
        name: A few words.
        prepare: Makes the client; may take seconds.
        clients: Number of clients at the same time, all from one address.
        shares: False if other clients of the same address may be refused.
        memory: MiB that the service may take.
    """

    name: str
    prepare: Callable[[], Client]
    clients: int = 4
    shares: bool = True
    memory: float = AT_WORK


def asking(requests: Sequence[bytes]) -> Client:
    """A client that sends these requests in turn and reads the answers, as fast as the service answers."""

    async def ask(service: Service) -> None:
        async with await service.connect() as connection:
            for content in itertools.cycle(requests):
                await connection.send(content)
                await connection.answer()

    return ask


def flooding(start: bytes, piece: bytes, *, reads: bool = True, stream: bool = False) -> Client:
    """A client that sends a start and then a piece again and again, as fast as the service takes it."""

    async def flood(service: Service) -> None:
        buffer = None if reads else 4096
        async with await (service.stream(buffer) if stream else service.connect(receive_buffer=buffer)) as connection:
            reading = asyncio.ensure_future(connection.silence() if reads else asyncio.sleep(60))
            try:
                await connection.send(start)
                while not reading.done():
                    await connection.send(piece)
                    await asyncio.sleep(0)
            finally:
                reading.cancel()

    return flood


def waiting(start: bytes, drop: bytes = b"", pause: float = 1.0, *, stream: bool = False) -> Client:
    """A client that sends a start, then a drop after each pause, until the service closes the connection."""

    async def wait(service: Service) -> None:
        async with await (service.stream() if stream else service.connect()) as connection:
            await connection.send(start)
            closed = asyncio.ensure_future(connection.silence())
            try:
                while not closed.done():
                    await asyncio.wait([closed], timeout=pause)
                    if drop:
                        await connection.send(drop)
            finally:
                closed.cancel()

    return wait
