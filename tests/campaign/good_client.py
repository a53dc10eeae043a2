"""A client that asks for the faces of ordinary images at a steady rate, and measures how it is served."""

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.campaign.client import HOST, Service, image_request

RATE = 20.0  # requests per second
PATIENCE = 20.0  # seconds for one answer


@dataclass
class Served:
    """How requests were answered.

    Attributes:
        outcomes: Number of requests by status, or by the name of what happened instead of an answer.
        seconds: Time of each answered request.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of requests."""
        return self.outcomes.total()

    @property
    def refused(self) -> int:
        """Number of requests without an answer of status 200."""
        return self.count - self.outcomes["200"]

    @property
    def p99(self) -> float:
        """99th percentile of the seconds of an answer: the smallest that 99 % do not exceed."""
        ordered = sorted(self.seconds)
        return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else math.inf


async def ask_steadily(port: int, image: bytes, seconds: float, source: str = HOST) -> Served:
    """Send requests when they are due, each on a connection of its own, whether earlier ones are answered or not.

    Args:
        port: The service's port.
        image: An ordinary image.
        seconds: Duration.
        source: Address of the client.
    """
    served, service, content = Served(), Service(port), image_request(image, close=True)

    async def ask() -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE), await service.connect(source) as connection:
                await connection.send(content)
                status, length, _ = await connection.head()
                await connection.reader.readexactly(length)
                outcome = str(status)
        except (OSError, EOFError, TimeoutError) as error:
            outcome = type(error).__name__
        served.outcomes[outcome] += 1
        served.seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(round(RATE * seconds)):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            group.create_task(ask())
    return served
