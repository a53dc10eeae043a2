import asyncio
import functools
import io
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from fer_service.contract.job import Job
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.fakes import FakeClassifier

Pixels = NDArray[np.uint8]
SECONDS = 10
STRIDES = (8, 16, 32)
YUNET_CHANNELS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("FER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A user whose cache folder is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def yunet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with YuNet's inputs and outputs that sees one face in every image of at most 64×64."""
    arrays = {
        f"{kind}_{stride}": np.zeros((1, (64 // stride) ** 2, channels), np.float32)
        for kind, channels in YUNET_CHANNELS.items()
        for stride in STRIDES
    }
    arrays["cls_32"][0, 0] = arrays["obj_32"][0, 0] = 1
    path = tmp_path_factory.mktemp("yunet") / "planted.onnx"
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_planted"], [name]) for name in arrays],
        "planted",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "H", "W"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in arrays.items()],
        [numpy_helper.from_array(array, f"{name}_planted") for name, array in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Undo what the test configures."""
    loggers = [logging.getLogger(name) for name in (None, "fer_service", "uvicorn")]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


class HeldClassifier(FakeClassifier):
    """Answers only while it is free."""

    def __init__(self) -> None:
        super().__init__()
        self.began = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def classify(self, crops: Sequence[Pixels], job: Job | None = None) -> NDArray[np.float32]:
        self.began.release()
        assert self.free.wait(SECONDS)
        return super().classify(crops, job)

    def hold(self) -> None:
        """From now on no batch ends; `busy` tells when one has begun."""
        while self.began.acquire(blocking=False):
            pass
        self.free.clear()

    async def busy(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=SECONDS)


def encoded(image: Image.Image | Pixels, kind: str, **options: object) -> bytes:
    """Encode by Pillow."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def costly() -> bytes:
    """A valid progressive JPEG of 16 megapixels whose 90 scans take seconds."""
    data = encoded(Image.new("L", (4000, 4000), 128), "JPEG", progressive=True, quality=50)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 80 + data[-2:]


def plain(colour: str, width: int = 64, height: int = 64) -> bytes:
    """A JPEG of one colour."""
    return encoded(Image.new("RGB", (width, height), colour), "JPEG")
