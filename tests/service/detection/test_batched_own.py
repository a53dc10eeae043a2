"""The detector as on a GPU, with square inputs and batches, but run on the CPU."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from fer_service import assets
from fer_service.detection.batched import BatchedDetector
from fer_service.detection.detector import Face
from fer_service.detection.own import OwnDetector, open_own
from fer_service.onnx.session import Session

from tests.fakes import PretendedGpu
from tests.scenes import Pixels

SIDE, THREADS, SCORE = 170, 8, 0.3


@pytest.fixture
def images(astronaut: Pixels) -> list[Pixels]:
    """Images with a face, in several sizes and aspect ratios, and one without."""
    cut = [astronaut[10 * n : 250 + 20 * n, 60 : 300 + 50 * n] for n in range(5)]
    shrunk = [astronaut[::n, ::n] for n in (1, 2, 3)]
    return [np.ascontiguousarray(image) for image in (*cut, *shrunk, astronaut[:, ::-1], astronaut[300:])]


def on_gpu(path: Path, side: int = SIDE) -> OwnDetector:
    session = PretendedGpu(Session.open(path, device="cpu", threads=1))
    return OwnDetector(cast(Session, session), 1.0, path.stem, side)


@pytest.fixture
def shared() -> Iterator[tuple[BatchedDetector, list[int]]]:
    sizes: list[int] = []
    made = BatchedDetector(on_gpu(assets.DETECTOR), max_batch=THREADS, max_queue=THREADS, on_batch=sizes.append)
    made.runs.start()
    yield made, sizes
    made.runs.stop()


def numbers(faces: list[Face]) -> list[tuple[float, ...]]:
    """Boxes and scores of the faces, from left to right."""
    return sorted((face.box.x, face.box.y, face.box.width, face.box.height, face.score or 0) for face in faces)


def test_together_images_answer_as_they_do_one_by_one(
    shared: tuple[BatchedDetector, list[int]], images: list[Pixels]
) -> None:
    alone = on_gpu(assets.DETECTOR)
    expected = [numbers(alone.detect(image, SCORE)) for image in images]
    detector, sizes = shared
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda image: numbers(detector.detect(image, SCORE)), images))
    assert max(sizes) > 1
    assert sum(sizes) == len(images)
    assert sum(map(len, expected)) > 7
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other)
        np.testing.assert_allclose(one, other, atol=1e-2)


def test_the_square_changes_what_is_found_no_more_than_its_padding_does(astronaut: Pixels) -> None:
    square, plain = on_gpu(assets.DETECTOR, 320), open_own(assets.DETECTOR, 320)
    for image in (astronaut, astronaut[:, 60:400], astronaut[:300]):
        one, other = (numbers(detector.detect(np.ascontiguousarray(image), 0.8)) for detector in (square, plain))
        assert len(one) == len(other) == 1
        assert np.abs(np.subtract(one[0][:4], other[0][:4])).max() < 0.1 * other[0][3]
        assert one[0][4] == pytest.approx(other[0][4], abs=0.1)


def test_every_image_is_put_into_the_same_square(images: list[Pixels]) -> None:
    detector = on_gpu(assets.DETECTOR)
    assert {detector.preprocess(image).shape for image in images} == {(192, 192, 3)}
