import numpy as np
import pytest
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer, Options
from fer_service.classification.classifier import open_classifier

from tests.conftest import encode_image
from tests.fakes import FakeDetector
from tests.service.conftest import Pixels

# Probabilities of the fp16-stored files: angry, disgust, fear, happy, sad, surprise, neutral.
GOLDEN = {
    "bundled": {
        "upright": [0.007328, 0.002465, 0.006919, 0.943476, 0.010217, 0.008334, 0.021262],
        "mirrored": [0.004613, 0.002328, 0.005052, 0.954332, 0.007727, 0.009418, 0.016531],
        "dark": [0.007657, 0.00254, 0.007202, 0.940748, 0.01077, 0.008792, 0.022289],
        "hair": [0.144666, 0.006966, 0.195797, 0.164409, 0.246613, 0.009992, 0.231558],
    },
    "large": {
        "upright": [0.009665, 0.00461, 0.009555, 0.934134, 0.009595, 0.011483, 0.020958],
        "mirrored": [0.009403, 0.00418, 0.010298, 0.935579, 0.009638, 0.012167, 0.018735],
        "dark": [0.010178, 0.004781, 0.010229, 0.928102, 0.010412, 0.012712, 0.023585],
        "hair": [0.041054, 0.015298, 0.055751, 0.131543, 0.521485, 0.015661, 0.219208],
    },
}


@pytest.mark.parametrize(
    ("int8", "tolerance"),
    # Float kernels of other CPUs add in another order. INT8 files round; with 7-bit weights they never saturate.
    [pytest.param(False, 2e-3, id="half"), pytest.param(True, 0.03, id="int8")],
)
@pytest.mark.parametrize(("model", "name"), [(model, name) for model in GOLDEN for name in GOLDEN[model]])
def test_the_shipped_files_give_the_golden_probabilities(
    astronaut: Pixels, model: str, name: str, int8: bool, tolerance: float
) -> None:
    path = assets.int8_file(assets.MODELS[model]) if int8 else assets.MODELS[model]
    face = astronaut[64:162, 174:272]
    images = {"upright": face, "mirrored": face[:, ::-1], "dark": face // 3, "hair": astronaut[0:98, 174:272]}
    analyzer = Analyzer(FakeDetector(), open_classifier(path, "cpu", threads=1))
    image = encode_image(np.ascontiguousarray(images[name]), ".png")
    (found,) = analyzer.analyze(image, Options(detect=False)).faces
    np.testing.assert_allclose(list(found.probabilities.values()), GOLDEN[model][name], atol=tolerance)
