"""The Open Inference Protocol: requests as bytes, and what clients may get wrong."""

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fer_service.analysis.options import Limits
from starlette.testclient import TestClient

from tests.service.conftest import HeldClassifier, plain
from tests.service.http.conftest import FACE, FIRST, Serve, build

RED, GREEN = (plain(colour, 80, 60) for colour in ("red", "lime"))
INFER = "/v2/models/emotion/infer"
SIDE = 48
OUTPUTS = ["image_index", "boxes", "scores", "emotions", "probabilities", "json"]


@pytest.fixture(scope="module")
def small() -> Iterator[TestClient]:
    """A service that takes three images per request."""
    with TestClient(build(FACE, max_batch_images=3)) as client:
        yield client


def text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def images(*data: object, shape: object = None, **fields: object) -> dict[str, Any]:
    return {
        "inputs": [{"name": "images", "datatype": "BYTES", "shape": shape or [len(data)], "data": data, **fields}]
    }


def elements(*data: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(each)) + each for each in data)


def binary(name: str, datatype: str, shape: list[int], data: bytes, **request: object) -> dict[str, Any]:
    """A request with one input in the binary extension."""
    sized = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [sized], **request}).encode()
    return {"content": head + data, "headers": {"Inference-Header-Content-Length": str(len(head))}}


def crops(*colours: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    return np.stack([np.full((SIDE, SIDE, 3), colour, np.uint8) for colour in colours])


def tensors(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {tensor["name"]: tensor for tensor in answer.json()["outputs"]}


def test_images_in_base64_give_a_row_per_face_and_the_json_of_predict(client: TestClient) -> None:
    found = tensors(client.post(INFER, json=images(text(RED), text(GREEN), text(b"none"))))
    assert list(found) == OUTPUTS
    assert found["image_index"] == {"name": "image_index", "datatype": "INT32", "shape": [2], "data": [0, 1]}
    assert found["boxes"]["shape"] == [2, 4]
    assert found["emotions"]["data"] == ["angry", "happy"]
    assert (found["probabilities"]["shape"], found["scores"]["data"]) == ([2, 3], [0.9, 0.9])
    first, second, third = map(json.loads, found["json"]["data"])
    assert [first, second] == [client.post("/predict", content=image).json() for image in (RED, GREEN)]
    box = first["faces"][0]["box"]
    assert found["boxes"]["data"][:4] == [box[name] for name in ("x", "y", "width", "height")]
    assert third["error"]["code"] == "undecodable_image"


def test_images_as_bytes_are_the_same(client: TestClient) -> None:
    listed = client.post(INFER, json=images(text(RED), text(GREEN)))
    sent = client.post(INFER, **binary("images", "BYTES", [2, 1], elements(RED, GREEN)))
    assert tensors(sent) == tensors(listed)


@pytest.mark.parametrize("nested", [True, False])
def test_crops_are_classified_as_they_are(client: TestClient, nested: bool) -> None:
    given = crops((255, 0, 0), (0, 0, 255))
    sent = client.post(INFER, **binary("faces", "UINT8", [2, SIDE, SIDE, 3], given.tobytes()))
    found = tensors(sent)
    assert found["emotions"]["data"] == ["angry", "neutral"]
    assert (found["image_index"]["data"], found["scores"]["data"]) == ([0, 1], [-1, -1])
    assert json.loads(found["json"]["data"][1])["faces"][0]["box"] == {
        "x": 0,
        "y": 0,
        "width": SIDE,
        "height": SIDE,
    }
    data = (given if nested else given.ravel()).tolist()
    listed = {"name": "faces", "datatype": "UINT8", "shape": [2, SIDE, SIDE, 3], "data": data}
    assert tensors(client.post(INFER, json={"inputs": [listed]})) == found


def test_more_crops_than_a_batch_keep_their_order(serve: Serve) -> None:
    client = serve(FACE, max_batch=2)
    given = crops(*[(255, 0, 0), (0, 255, 0), (0, 0, 255)] * 3)
    found = tensors(client.post(INFER, **binary("faces", "UINT8", [9, SIDE, SIDE, 3], given.tobytes())))
    assert found["emotions"]["data"] == ["angry", "happy", "neutral"] * 3
    assert 'fer_predictions_total{emotion="angry"} 3.0' in client.get("/metrics").text


def test_outputs_are_chosen_and_sent_as_bytes(client: TestClient) -> None:
    wanted = [{"name": "emotions", "parameters": {"binary_data": True}}, {"name": "boxes"}]
    answer = client.post(INFER, json={**images(text(RED)), "outputs": wanted, "id": "seven"})
    length = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    head, rest = json.loads(answer.content[:length]), answer.content[length:]
    assert (head["id"], head["model_name"], head["model_version"]) == ("seven", "emotion", "1.2.3")
    assert [tensor["name"] for tensor in head["outputs"]] == ["emotions", "boxes"]
    assert head["outputs"][0]["parameters"] == {"binary_data_size": len(rest)}
    assert rest == elements(b"angry")


def test_all_outputs_as_bytes(client: TestClient) -> None:
    request = {**images(text(RED)), "parameters": {"binary_data_output": True}}
    answer = client.post(INFER, json=request)
    length = int(answer.headers["inference-header-content-length"])
    sizes = [each["parameters"]["binary_data_size"] for each in json.loads(answer.content[:length])["outputs"]]
    assert len(answer.content) == length + sum(sizes)
    assert sizes[:2] == [4, 16]


def test_parameters_are_those_of_predict_and_others_are_ignored(client: TestClient) -> None:
    request = {**images(text(RED)), "parameters": {"detect": False, "sequence_id": 7, "timeout": 5}}
    assert tensors(client.post(INFER, json=request))["boxes"]["data"] == [0, 0, 80, 60]


def test_server_and_model_are_described(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for name in ("emotion", "tiny", "tiny/versions/1.2.3"):
        assert client.get(f"/v2/models/{name}/ready").json()["ready"] is True
        about = client.get(f"/v2/models/{name}").json()
        assert about["versions"] == ["1.2.3"]
        assert [(each["name"], each["datatype"], each["shape"]) for each in about["inputs"]] == [
            ("images", "BYTES", [-1]),
            ("faces", "UINT8", [-1, SIDE, SIDE, 3]),
        ]
        assert [each["name"] for each in about["outputs"]] == OUTPUTS
        assert client.head(f"/v2/models/{name}").status_code == 200
        assert tensors(client.post(f"/v2/models/{name}/infer", json=images(text(RED))))


def test_a_service_that_is_not_ready_says_so() -> None:
    client = TestClient(build(FACE))
    for path in ("/v2/health/ready", "/v2/models/emotion/ready"):
        answer = client.get(path)
        assert (answer.status_code, list(answer.json())) == (503, ["error"])


def sized(**fields: object) -> dict[str, Any]:
    """A request in the binary extension whose input has other fields."""
    data = elements(RED)
    about = {"name": "images", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [{**about, **fields}]}).encode()
    return {"content": head + data, "headers": {"Inference-Header-Content-Length": str(len(head))}}


def with_length(value: str) -> dict[str, Any]:
    return {"content": sized()["content"], "headers": {"Inference-Header-Content-Length": value}}


def faces(data: object, shape: object = (1, SIDE, SIDE, 3), datatype: str = "UINT8") -> dict[str, Any]:
    return {"json": {"inputs": [{"name": "faces", "datatype": datatype, "shape": shape, "data": data}]}}


@pytest.mark.parametrize(
    ("request_of", "named"),
    [
        ({"content": b""}, "JSON"),
        ({"content": b"{"}, "JSON"),
        ({"content": b"[" * 60_000}, "JSON"),
        ({"content": b'{"a":' * 10_000}, "JSON"),
        ({"content": b"[]," * 100_000}, "more than 65,536 bytes"),
        ({"content": b'{"data":[],' * 1000}, "16 tensors"),
        ({"content": b'{"inputs":[{"data":["' + b"A" * 100_000}, "data must be a list"),
        ({"content": b'{"inputs":[{"data":[[[[[[[[[['}, "data must be a list"),
        ({"json": []}, "JSON"),
        ({"json": {}}, "inputs: missing"),
        ({"json": {"inputs": []}}, "inputs"),
        ({"json": {"inputs": [3]}}, "inputs.0"),
        ({"json": {"inputs": "images"}}, "inputs"),
        ({"json": {"inputs": images(text(RED))["inputs"] * 2}}, "send one input"),
        ({"json": {**images(text(RED)), "id": 7}}, "id"),
        ({"json": {**images(text(RED)), "id": "7" * 200}}, "id"),
        ({"json": {**images(text(RED)), "parameters": [1]}}, "parameters"),
        ({"json": {**images(text(RED)), "parameters": {"min_score": 7}}}, "min_score"),
        ({"json": {**images(text(RED)), "outputs": [{"name": "logits"}]}}, "unknown output 'logits'"),
        (
            {"json": {**images(text(RED)), "outputs": [{"name": "json", "parameters": {"classification": 3}}]}},
            "classif",
        ),
        ({"json": images(text(RED), name="image")}, "unknown input 'image'"),
        ({"json": images(text(RED), datatype="UINT8")}, "BYTES"),
        ({"json": images(text(RED), datatype=3)}, "datatype"),
        ({"json": images(text(RED), shape=[2])}, "2 values"),
        ({"json": images(text(RED), text(RED), shape=[1])}, "1 values"),
        ({"json": images(text(RED), shape=[-1])}, "shape"),
        ({"json": images(text(RED), shape=[0])}, "shape"),
        ({"json": images(text(RED), shape=[1.0])}, "shape"),
        ({"json": images(text(RED), shape=[True])}, "shape"),
        ({"json": images(text(RED), shape=[2**40])}, "shape"),
        ({"json": images(text(RED), shape=[2**30] * 8)}, "FER_MAX_BATCH_IMAGES"),
        ({"json": images(text(RED), shape=[1] * 9)}, "shape"),
        ({"json": images(text(RED), shape="1")}, "shape"),
        ({"json": images(*[text(RED)] * 4)}, "FER_MAX_BATCH_IMAGES"),
        ({"json": images(text(RED), data=text(RED))}, "data"),
        ({"json": images(text(RED), data=[text(RED), 3], shape=[2])}, "number 1"),
        ({"json": images(text(RED), data=[[text(RED)]])}, "list of texts"),
        ({"json": images(text(RED), data=0)}, "data must be a list"),
        ({"json": images(text(RED), data=-1)}, "data must be a list"),
        ({"json": images(text(RED), data=None)}, "data must be a list"),
        ({"json": images(text(RED), data=[])}, "list of texts"),
        (faces([1] * 100), "6,912 values"),
        (faces([1] * 6_913), "6,912 values"),
        (faces([256] * 6_912), "0 to 255"),
        (faces([-1] * 6_912), "0 to 255"),
        (faces([1.5] * 6_912), "0 to 255"),
        (faces([10**30] * 6_912), "0 to 255"),
        (faces(["AA=="]), "0 to 255"),
        (faces([1] * 6_912, [1, 3, SIDE, SIDE]), "the shape must be [N, 48, 48, 3]"),
        (faces([1] * 6_912, [0, SIDE, SIDE, 3]), "shape"),
        (faces([1] * 6_912, [2**31 - 1, SIDE, SIDE, 3]), "FER_MAX_FACES"),
        (faces([1] * 6_912, datatype="FP32"), "UINT8"),
        ({"content": b'{"inputs":[{"name":"faces","datatype":"UINT8","shape":[1,48,48,3],"data":[1 2]}]}'}, "255"),
        (with_length("-1"), "must be one number"),
        (with_length("1e3"), "must be one number"),
        (with_length(""), "must be one number"),
        (with_length("9" * 30), "must be one number"),
        (with_length("999999999999"), "but the body has"),
        (with_length("0"), "JSON"),
        (with_length("3"), "JSON"),
        (sized(parameters={}), "binary_data_size"),
        (sized(parameters={"binary_data_size": -1}), "binary_data_size"),
        (sized(parameters={"binary_data_size": 2**70}), "binary_data_size"),
        (sized(parameters={"binary_data_size": "12"}), "binary_data_size"),
        (sized(parameters={"shared_memory_region": "a"}), "shared memory"),
        (sized(shape=[2]), "2 values"),
        (sized(data=[text(RED)]), "data and binary_data_size"),
        (sized(name="faces", datatype="UINT8", shape=[1, SIDE, SIDE, 3]), "6,912 values"),
        (binary("images", "BYTES", [1], struct.pack("<I", 2**32 - 1) + b"abc"), "longer than the data"),
        (binary("images", "BYTES", [1], b"abc"), "longer than the data"),
        (binary("images", "BYTES", [1], elements(RED, RED)), "1 values"),
        (binary("images", "BYTES", [3], elements(RED, RED)), "3 values"),
    ],
)
def test_hostile_requests_are_refused(small: TestClient, request_of: dict[str, Any], named: str) -> None:
    answer = small.post(INFER, **request_of)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert named in answer.json()["error"]


def test_two_different_lengths_are_refused(client: TestClient) -> None:
    request = sized()
    length = request["headers"]["Inference-Header-Content-Length"]
    headers = [("Inference-Header-Content-Length", value) for value in (length, "3")]
    assert client.post(INFER, content=request["content"], headers=headers).status_code == 400


def test_every_error_has_the_form_of_the_protocol(serve: Serve, key_file: Path) -> None:
    client = serve(FACE, max_image_bytes=5_000, max_batch_images=1)
    for path in ("/v2/models/resnet/infer", "/v2/models/emotion/versions/9/infer"):
        answer = client.post(path, json=images(text(RED)))
        assert (answer.status_code, list(answer.json())) == (404, ["error"])
    for answer, status in (
        (client.get("/v2/models/resnet"), 404),
        (client.get("/v2/models/resnet/ready"), 404),
        (client.get("/v2/nothing"), 404),
        (client.get(INFER), 405),
        (client.post(INFER, content=bytes(80_000)), 413),
        (client.post(INFER, content=b"", headers={"Content-Encoding": "gzip"}), 415),
        (serve(FACE, allowed_hosts="a.example").get("/v2"), 421),
        (serve(FACE, api_keys_file=key_file).post(INFER, json=images(text(RED))), 401),
        (serve(FACE, api_keys_file=key_file).get("/v2/models/emotion"), 401),
    ):
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
        assert answer.headers["content-type"] == "application/json"
    with_key = serve(FACE, api_keys_file=key_file)
    assert with_key.post(INFER, json=images(text(RED)), headers={"X-API-Key": FIRST}).status_code == 200
    assert with_key.get("/v2/health/ready").status_code == 200


def test_limits_of_single_images_fail_only_these(serve: Serve) -> None:
    client = serve(FACE, max_image_bytes=5_000, limits=Limits(max_pixels=6_000))
    sent = elements(RED, bytes(5_001), b"", plain("red", 200, 101))
    found = tensors(client.post(INFER, **binary("images", "BYTES", [4], sent)))
    assert found["image_index"]["data"] == [0]
    codes = [json.loads(each).get("error", {}).get("code") for each in found["json"]["data"]]
    assert codes == [None, "image_too_large", "missing_image", "too_many_pixels"]


def test_admission_and_deadlines_hold(serve: Serve) -> None:
    classifier = HeldClassifier()
    client = serve(FACE, classifier=classifier, request_timeout=0.2)
    classifier.hold()
    given = crops((255, 0, 0))
    for request in ({"json": images(text(RED))}, binary("faces", "UINT8", list(given.shape), given.tobytes())):
        answer = client.post(INFER, **request)
        assert (answer.status_code, answer.json()) == (504, {"error": "request timed out (FER_REQUEST_TIMEOUT)"})
    classifier.free.set()
    full = serve(FACE)
    admission = full.app.state.service.admission  # type: ignore[attr-defined]
    for number in range(admission._max_requests):
        admission._in_progress[str(number)] += 1
    answer = full.post(INFER, json=images(text(RED)))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    admission._in_progress.clear()
    assert admission.ledger.held == 0
