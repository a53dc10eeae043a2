"""Abuse by images that are small to send and costly to decode, and by many ordinary ones."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2

from tests.campaign import costly_images as costly
from tests.campaign.client import Client, Service, batch_request, image_request, request
from tests.campaign.rows.row import AT_WORK, DECODING, HOLDING, Row, asking
from tests.scenes import astronaut
from tests.service.video.conftest import write_clip

_CROPS = 512


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


def covered_images() -> Client:
    """Images of a crowd whose faces are covered, and looked for again, until no face is found."""
    content = costly.crowd()
    wanted = {"Accept": "image/png", "Content-Type": "application/octet-stream"}
    return asking([request("POST", f"/predict?draw={how}", content, wanted) for how in ("blur", "pixelate")])


def videos() -> Client:
    """Videos of 1920×1080 pixels, all of whose frames are analysed."""
    with tempfile.TemporaryDirectory() as folder:
        frames = [cv2.resize(astronaut(), (1920, 1080)) for _ in range(30)]
        clip = write_clip(Path(folder) / "clip.mp4", frames, [number / 30 for number in range(30)]).read_bytes()
    content = request("POST", "/predict/video", clip, {"Content-Type": "video/mp4"})

    async def ask(service: Service) -> None:
        while True:
            async with await service.connect() as connection:
                await connection.send(content)
                with contextlib.suppress(asyncio.IncompleteReadError, TimeoutError):
                    async with asyncio.timeout(5):  # then it hangs up
                        await connection.silence()

    return ask


def crops() -> Client:
    """As many crops as allowed, as numbers in JSON and as bytes behind it."""
    tensor = {"name": "input", "datatype": "UINT8", "shape": [_CROPS, 48, 48, 3]}
    values = bytes(range(1, 49)) * (48 * 3 * _CROPS)
    listed = json.dumps({"inputs": [{**tensor, "data": list(values)}]}).encode()
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(values)}}]}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    path, kind = "/v2/models/emotion/infer", {"Content-Type": "application/json"}
    return asking([request("POST", path, listed, kind), request("POST", path, head + values, kind | length)])


ROWS = (
    Row("chunk and tile claims", posting(costly.png_claim, costly.tiff_claim), clients=8),
    Row("1,000 scans", posting(lambda: costly.scans(1000)), clients=8),
    Row("100 scans", posting(lambda: costly.scans(100)), clients=8, memory=AT_WORK + DECODING),
    Row("AVIF of 49 megapixels", posting(costly.avif), clients=8, memory=AT_WORK + DECODING),
    Row("GIF of 49 megapixels", posting(costly.gif), clients=8, memory=AT_WORK + DECODING),
    Row("16-bit TIFF of 49 megapixels", posting(costly.deep_tiff), clients=8, memory=AT_WORK + DECODING),
    Row("APNG of 49 megapixels", posting(costly.animated_png), clients=8, memory=AT_WORK + DECODING),
    Row("animated WebP of 49 megapixels", posting(costly.animated_webp), clients=8, memory=AT_WORK + DECODING),
    Row("HEIC of 49 megapixels", posting(costly.heic_tiles), clients=8, memory=AT_WORK + DECODING),
    Row("inflate bombs", inflating, clients=8),
    Row("batches of costly images", costly_batches, clients=8, memory=AT_WORK + DECODING + HOLDING),
    Row("covered images", covered_images, clients=8, memory=AT_WORK + HOLDING),
    Row("videos", videos, clients=8, memory=AT_WORK + DECODING),
    Row("crops as tensors", crops, clients=8, memory=AT_WORK + HOLDING),
    Row(
        "overload of 12 megapixels",
        posting(costly.large_photo),
        clients=64,
        shares=False,
        memory=AT_WORK + HOLDING,
    ),
)
