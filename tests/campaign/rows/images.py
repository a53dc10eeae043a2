"""Abuse by images that are small to send and costly to decode, and by many ordinary ones."""

from collections.abc import Callable

from tests.campaign import costly_images as costly
from tests.campaign.client import Client, batch_request, image_request, request
from tests.campaign.rows.row import AT_WORK, DECODING, HOLDING, Row, asking


def posting(*make: Callable[[], bytes]) -> Callable[[], Client]:
    """Return what prepares a client that posts these images in turn."""
    return lambda: asking([image_request(each()) for each in make])


def inflating() -> Client:
    """Images that inflate to hundreds of megabytes, and a compressed body that is none."""
    images = [costly.inflating_pixels(), costly.inflating_text(), costly.inflating_tiff()]
    coded = {"Content-Encoding": "deflate", "Content-Type": "image/png"}
    compressed = request("POST", "/predict", costly.inflating_pixels()[:100_000], coded)
    return asking([*map(image_request, images), compressed])


def costly_batches() -> Client:
    """Batches of as many images as allowed, each of which takes seconds."""
    images = [costly.scans(90), costly.avif(), costly.gif(), costly.animated_webp()] * 4
    return asking([batch_request(images)])


ROWS = (
    Row("chunk and tile claims", posting(costly.png_claim, costly.tiff_claim), clients=8),
    Row("1,000 scans", posting(lambda: costly.scans(1000)), clients=8),
    Row("100 scans", posting(lambda: costly.scans(100)), clients=8, memory=AT_WORK + DECODING),
    Row("AVIF of 49 megapixels", posting(costly.avif), clients=8, memory=AT_WORK + DECODING),
    Row("GIF of 49 megapixels", posting(costly.gif), clients=8, memory=AT_WORK + DECODING),
    Row("16-bit TIFF of 49 megapixels", posting(costly.deep_tiff), clients=8, memory=AT_WORK + DECODING),
    Row("APNG of 49 megapixels", posting(costly.animated_png), clients=8, memory=AT_WORK + DECODING),
    Row("animated WebP of 49 megapixels", posting(costly.animated_webp), clients=8, memory=AT_WORK + DECODING),
    Row("inflate bombs", inflating, clients=8),
    Row("batches of costly images", costly_batches, clients=8, memory=AT_WORK + DECODING + HOLDING),
    Row("overload of 12 megapixels", posting(costly.large_photo), clients=64, shares=False, memory=AT_WORK + HOLDING),
)
