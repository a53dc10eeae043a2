"""The rows of abuse: what a single client may do to the others."""

import asyncio

from tests.campaign.client import Client, Service
from tests.campaign.rows import connections, images, streams
from tests.campaign.rows.row import Row


def _nothing() -> Client:
    async def wait(service: Service) -> None:
        await asyncio.sleep(60)

    return wait


# The first row shows how fast the machine is.
ROWS: tuple[Row, ...] = (Row("no abuse", _nothing), *images.ROWS, *streams.ROWS, *connections.ROWS)
