from pathlib import Path

import numpy as np
import pytest

from service.analyzer import Analyzer, Options
from service.inference.classifier import open_classifier
from service.settings import BUNDLED_CPU_MODEL, BUNDLED_MODEL
from tests.conftest import encode_image
from tests.fakes import FakeDetector
from tests.service.conftest import Pixels

# What the shipped files answered when they were exported: angry, disgust, fear, happy, sad, surprise, neutral.
GOLDEN = {
    "upright": [0.001886, 0.000117, 0.002613, 0.963079, 0.00275, 0.006667, 0.022888],
    "mirrored": [0.001886, 0.000117, 0.002613, 0.963079, 0.00275, 0.006667, 0.022888],
    "dark": [0.001843, 0.000114, 0.002612, 0.962741, 0.002759, 0.007009, 0.022923],
    "hair": [0.053309, 0.003436, 0.069851, 0.40614, 0.264195, 0.01069, 0.19238],
}


@pytest.mark.parametrize(
    ("path", "tolerance"),
    # Another processor's float32 kernels add up in another order; INT8 rounds, and its kernels differ more.
    [pytest.param(BUNDLED_MODEL, 2e-3, id="half"), pytest.param(BUNDLED_CPU_MODEL, 0.1, id="int8")],
)
@pytest.mark.parametrize("name", GOLDEN)
def test_the_shipped_files_answer_as_they_did_when_they_were_exported(
    astronaut: Pixels, name: str, path: Path, tolerance: float
) -> None:
    face = astronaut[64:162, 174:272]
    pictures = {"upright": face, "mirrored": face[:, ::-1], "dark": face // 3, "hair": astronaut[0:98, 174:272]}
    analyzer = Analyzer(FakeDetector(), open_classifier(path, "cpu", threads=1))
    picture = encode_image(np.ascontiguousarray(pictures[name]), ".png")
    (found,) = analyzer.analyze(picture, Options(detect=False)).faces
    np.testing.assert_allclose(list(found.probabilities.values()), GOLDEN[name], atol=tolerance)
