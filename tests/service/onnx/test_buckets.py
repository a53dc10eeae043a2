from pathlib import Path
from typing import cast

import numpy as np
import pytest
from fer_service.contract.errors import ProviderError
from fer_service.onnx.buckets import Buckets
from fer_service.onnx.session import Session

from tests.fakes import PretendedGpu

CROPS = list(np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), np.uint8))


def buckets_of(session: object, classes: int = 3) -> Buckets:
    return Buckets(cast(Session, session), "faces", (48, 48, 3), {"probabilities": (classes,)})


@pytest.mark.parametrize("count", [1, 3, 5, 8, 2])
def test_a_padded_batch_gives_the_outputs_of_a_plain_run(tiny_bundle: Path, count: int) -> None:
    session = Session.open(tiny_bundle, device="cpu", threads=1)
    found = buckets_of(session)(CROPS[:count])["probabilities"]
    (expected,) = session.run(["probabilities"], {"faces": np.stack(CROPS[:count])})
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_each_bucket_is_bound_once(tiny_bundle: Path) -> None:
    session = PretendedGpu(Session.open(tiny_bundle, device="cpu", threads=1))
    runs = buckets_of(session)
    runs.warm(5)
    for count in (1, 3, 8, 5):
        runs(CROPS[:count])
    assert session.graphs == [1, 2, 4, 8]


def test_a_device_that_cannot_run_is_an_error_of_the_start(tiny_bundle: Path) -> None:
    session = PretendedGpu(Session.open(tiny_bundle, device="cpu", threads=1))
    with pytest.raises(ProviderError, match="CUDAExecutionProvider cannot run a batch of 1: "):
        buckets_of(session, classes=4).warm(2)
