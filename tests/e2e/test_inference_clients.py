"""Triton's client as its makers ship it; skipped where it is not installed."""

import json
from typing import Any

import numpy as np
import pytest

from tests.e2e.server import Server

SIDE = 48


def crops() -> np.ndarray[Any, Any]:
    return np.stack([np.full((SIDE, SIDE, 3), level, np.uint8) for level in (0, 255, 90)])


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_sends_images_and_crops(server: Server, astronaut_jpeg: bytes, binary: bool) -> None:
    http = pytest.importorskip("tritonclient.http")
    client = http.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("emotion")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    about = client.get_model_metadata("emotion")
    assert [each["name"] for each in about["inputs"]] == ["images", "faces"]

    predicted = server.client.post("/predict", content=astronaut_jpeg).json()
    image = http.InferInput("images", [1], "BYTES")
    image.set_data_from_numpy(np.array([astronaut_jpeg], np.object_))
    wanted = [http.InferRequestedOutput(each["name"], binary_data=binary) for each in about["outputs"]]
    result = client.infer("emotion", [image], outputs=wanted, request_id="7")
    assert json.loads(result.as_numpy("json")[0]) == predicted
    assert result.get_response()["id"] == "7"
    (face,) = predicted["faces"]
    assert result.as_numpy("boxes").tolist() == [list(face["box"].values())]
    assert result.as_numpy("probabilities").dtype == np.float32
    assert result.as_numpy("probabilities")[0] == pytest.approx(list(face["probabilities"].values()))

    given = crops()
    faces = http.InferInput("faces", list(given.shape), "UINT8")
    faces.set_data_from_numpy(given, binary_data=binary)
    result = client.infer("emotion", [faces])
    assert result.as_numpy("probabilities").shape == (3, 7)
    assert result.as_numpy("image_index").tolist() == [0, 1, 2]


def test_tritonclient_reads_errors(server: Server) -> None:
    http = pytest.importorskip("tritonclient.http")
    from tritonclient.utils import InferenceServerException

    client = http.InferenceServerClient(server.url.removeprefix("http://"))
    wrong = http.InferInput("images", [1], "FP32")
    wrong.set_data_from_numpy(np.zeros(1, np.float32))
    with pytest.raises(InferenceServerException, match="datatype must be BYTES") as caught:
        client.infer("emotion", [wrong])
    assert caught.value.status() == "400"
    with pytest.raises(InferenceServerException, match="unknown model 'resnet'"):
        client.infer("resnet", [wrong])
