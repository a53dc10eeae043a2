"""The rows of abuse: what a single client may do to the others."""

from tests.campaign.rows import connections, images, streams
from tests.campaign.rows.row import Row

ROWS: tuple[Row, ...] = (*images.ROWS, *streams.ROWS, *connections.ROWS)
