"""A process that does what one row says: `python -m tests.campaign.attack NAME`.

It prints "ready" when it has made its files, reads a port from standard input, and attacks until standard input
ends. Then it prints how often the service answered, by status, as JSON.
"""

import asyncio
import contextlib
import json
import os
import sys

from PIL import Image

from tests.campaign.client import Client, Service
from tests.campaign.rows import ROWS

_PAUSE = 0.05  # seconds between two connections of a client
_NICE = 5  # a real client has a machine of its own


async def attack(client: Client, count: int, service: Service) -> None:
    """Run clients until this is cancelled; each begins again when its connection has ended."""

    async def run() -> None:
        while True:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                await client(service)
            await asyncio.sleep(_PAUSE)

    await asyncio.gather(*(run() for _ in range(count)))


async def _until_the_end(client: Client, count: int, service: Service) -> None:
    attacking = asyncio.ensure_future(attack(client, count, service))
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([attacking, ended], return_when=asyncio.FIRST_COMPLETED)
    attacking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await attacking  # raises what is wrong with the row


def main() -> None:
    """Run the program."""
    Image.MAX_IMAGE_PIXELS = None
    os.nice(_NICE)
    row = next(row for row in ROWS if row.name == sys.argv[1])
    client = row.prepare()
    print("ready", flush=True)
    service = Service(int(sys.stdin.readline()))
    asyncio.run(_until_the_end(client, row.clients, service))
    print(json.dumps(service.answers))


if __name__ == "__main__":
    main()
