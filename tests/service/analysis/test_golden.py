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
        "upright": [0.003489, 0.000311, 0.004239, 0.961049, 0.004993, 0.005959, 0.01996],
        "mirrored": [0.002183, 0.000188, 0.003077, 0.970032, 0.002597, 0.006692, 0.01523],
        "dark": [0.003473, 0.000312, 0.00441, 0.960458, 0.00505, 0.006259, 0.020039],
        "hair": [0.087747, 0.003996, 0.09483, 0.388104, 0.254051, 0.006826, 0.164446],
    },
    "large": {
        "upright": [0.002168, 0.000083, 0.002632, 0.973416, 0.002241, 0.007655, 0.011805],
        "mirrored": [0.002168, 0.000083, 0.002632, 0.973416, 0.002241, 0.007655, 0.011805],
        "dark": [0.002435, 0.000097, 0.002914, 0.97081, 0.002533, 0.00837, 0.012841],
        "hair": [0.125462, 0.0093, 0.098409, 0.142534, 0.426759, 0.009692, 0.187844],
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
