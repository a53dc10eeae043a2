"""A smoke test of each detector that can be chosen instead of the one that ships."""

import os
from pathlib import Path

import pytest
from fer_service.contract.schemas import Prediction
from fer_service.detection.weights import YUNET

from tests.e2e.server import StartServer
from tests.scenes import encode_image, two_faces

# YuNet's weights are not in the repository: they lie in the user's cache, or where this variable says.
YUNET_FILE = Path(os.environ.get("FER_TEST_YUNET", YUNET.path))
no_yunet = pytest.mark.skipif(
    not YUNET_FILE.is_file(),
    reason="no YuNet weights; run `fer-service detector pull` or set FER_TEST_YUNET to the file",
)


@pytest.mark.parametrize(
    ("setting", "name"),
    [("haar", "haar"), pytest.param(str(YUNET_FILE), f"yunet:{YUNET_FILE.stem}", marks=no_yunet, id="yunet")],
)
def test_another_detector_finds_two_happy_faces(start_server: StartServer, setting: str, name: str) -> None:
    server = start_server(FER_DETECTOR=setting)
    assert server.client.get("/model").json()["detector"] == name
    answer = server.client.post("/predict", content=encode_image(two_faces(), ".png"))
    left, right = sorted(Prediction.model_validate_json(answer.content).faces, key=lambda face: face.box.x)
    assert left.box.x + left.box.width < 512 < right.box.x
    assert left.emotion == right.emotion == "happy"
