import numpy as np
import pytest

from service.analyzer import Analyzer, Options
from service.inference.classifier import open_classifier
from service.settings import BUNDLED_MODEL
from tests.conftest import encode_image
from tests.fakes import FakeDetector
from tests.service.conftest import Pixels

# What the shipped file answered when it was exported: angry, disgust, fear, happy, sad, surprise, neutral.
GOLDEN = {
    "upright": [0.004166, 0.000528, 0.006549, 0.947282, 0.005978, 0.016157, 0.01934],
    "mirrored": [0.002815, 0.000312, 0.004399, 0.957384, 0.004037, 0.013376, 0.017677],
    "dark": [0.00315, 0.000275, 0.004124, 0.945555, 0.006152, 0.006277, 0.034467],
    "hair": [0.125829, 0.013241, 0.122689, 0.273301, 0.279298, 0.024586, 0.161057],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_shipped_file_answers_as_it_did_when_it_was_exported(astronaut: Pixels, name: str) -> None:
    face = astronaut[64:162, 174:272]
    pictures = {"upright": face, "mirrored": face[:, ::-1], "dark": face // 3, "hair": astronaut[0:98, 174:272]}
    analyzer = Analyzer(FakeDetector(), open_classifier(BUNDLED_MODEL, "cpu", threads=1))
    picture = encode_image(np.ascontiguousarray(pictures[name]), ".png")
    (found,) = analyzer.analyze(picture, Options(detect=False)).faces
    # Another processor's float32 kernels add up in another order; INT8 kernels would differ more.
    np.testing.assert_allclose(list(found.probabilities.values()), GOLDEN[name], atol=2e-3)
