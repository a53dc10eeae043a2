import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from fer_service.contract.errors import (
    DeadlineExceeded,
    InsufficientMemory,
    InternalError,
    TooManyPixels,
    UndecodableImage,
)
from fer_service.contract.job import Job
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import EncodedImage, open_image
from fer_service.imaging.isolated import IsolatedDecoder
from fer_service.system.child import SUPPORTED
from PIL import Image

from tests.service.conftest import Pixels, costly, encoded

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="needs Unix")
MEMORY = 2**30
LIMIT = 60_000_000


@pytest.fixture
def decoder() -> Iterator[IsolatedDecoder]:
    made = IsolatedDecoder(MEMORY)
    yield made
    made.close()


def decoded(decoder: IsolatedDecoder, image: EncodedImage, reduction: int, job: Job) -> Pixels:
    with decoder.decoding(job) as decode:
        return decode(image, reduction)


def opened(kind: str, width: int = 90, height: int = 60, **options: object) -> EncodedImage:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return open_image(encoded(Image.fromarray(pixels), kind, **options), LIMIT)


def slow() -> EncodedImage:
    return open_image(costly(), LIMIT)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "AVIF", "PNG", "JPEG", "WEBP"])
def test_the_pixels_are_those_of_a_decoder_in_this_process(decoder: IsolatedDecoder, kind: str) -> None:
    image = opened(kind)
    for reduction in (1, 2) if kind == "JPEG" else (1,):
        np.testing.assert_array_equal(
            decoded(decoder, image, reduction, Job()), decode(image.data, image.header, reduction)
        )


def test_an_image_is_turned_upright(decoder: IsolatedDecoder) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decoded(decoder, opened("JPEG", exif=exif), 1, Job()).shape == (90, 60, 3)


def test_a_damaged_image_is_refused_and_the_child_goes_on(decoder: IsolatedDecoder) -> None:
    image = opened("GIF")
    with pytest.raises(UndecodableImage, match="GIF"):
        decoded(decoder, replace(image, data=image.data[:200]), 1, Job())
    (child,) = decoder._idle
    decoded(decoder, image, 1, Job())
    assert decoder._idle == [child]


def test_the_deadline_ends_the_work(decoder: IsolatedDecoder, caplog: pytest.LogCaptureFixture) -> None:
    decoded(decoder, opened("AVIF"), 1, Job())
    image = slow()
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="4000×4000"):
        decoded(decoder, image, 1, Job(began + 0.2))
    assert time.monotonic() - began < 5
    assert "JPEG" in caplog.text
    assert decoder._idle == []
    assert decoder._free == MEMORY


def test_a_cancelled_job_ends_the_work_without_a_warning(
    decoder: IsolatedDecoder, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job()
    threading.Timer(0.3, job.cancel).start()
    with caplog.at_level("INFO"), pytest.raises(DeadlineExceeded):
        decoded(decoder, slow(), 1, job)
    assert caplog.text == ""


def test_an_image_that_needs_more_than_all_may_take_is_refused() -> None:
    decoder = IsolatedDecoder(20 * 2**20)
    with pytest.raises(TooManyPixels, match=r"4000×4000.* takes about .* MiB, the maximum is 20 MiB"):
        decoded(decoder, slow(), 1, Job())
    assert decoder._idle == []


def test_images_wait_for_memory_and_for_no_longer_than_their_deadline(decoder: IsolatedDecoder) -> None:
    image, job = slow(), Job()
    crowded = replace(image, header=replace(image.header, memory=MEMORY))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(decoded, decoder, crowded, 1, job)
        while decoder._free:
            time.sleep(0.01)
        with pytest.raises(DeadlineExceeded, match="waiting for memory"):
            decoded(decoder, opened("GIF"), 1, Job(time.monotonic() + 0.1))
        job.cancel()
        assert isinstance(first.exception(60), DeadlineExceeded)
    assert decoder._free == MEMORY


def test_what_is_decoded_takes_its_memory_until_it_is_no_longer_used(decoder: IsolatedDecoder) -> None:
    image = opened("JPEG")
    with decoder.decoding(Job()) as decode:
        assert decoder._free == MEMORY
        for reduction in (2, 1):
            decode(image, reduction)
            assert decoder._free == MEMORY - image.header.memory
    assert decoder._free == MEMORY


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_decoder_without_memory_is_not_the_images_fault(
    decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("fer_service.imaging.isolated._LIMIT_FACTOR", 0)
    monkeypatch.setattr("fer_service.imaging.isolated._LIMIT_SPARE", 2**20)
    with pytest.raises(InsufficientMemory, match="not enough memory"):
        decoded(decoder, opened(kind, 4000, 2000), 1, Job())


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGKILL, InsufficientMemory),
        (signal.SIGSEGV, UndecodableImage),
        (signal.SIGABRT, UndecodableImage),
        (signal.SIGXCPU, DeadlineExceeded),
    ],
)
def test_a_child_that_ends_is_explained_and_replaced(
    decoder: IsolatedDecoder, number: signal.Signals, error: type[Exception]
) -> None:
    decoded(decoder, opened("AVIF"), 1, Job())
    pid = decoder._idle[0]._process.pid
    threading.Timer(0.3, os.kill, (pid, number)).start()
    with pytest.raises(error):
        decoded(decoder, slow(), 1, Job())
    assert decoded(decoder, opened("GIF"), 1, Job()).shape == (60, 90, 3)


def test_a_child_that_cannot_start_is_an_internal_error(
    decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_service.imaging.isolated._MODULE", "fer_service.missing")
    with pytest.raises(InternalError):
        decoded(decoder, opened("GIF"), 1, Job())
