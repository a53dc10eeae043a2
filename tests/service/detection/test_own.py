import logging
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from fer_service.contract.errors import DetectorError, ProviderError
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import BatchDetector, Detector
from fer_service.detection.own import INPUT_NAME, METADATA_KEY, DetectorMetadata, faces_of, open_own
from fer_service.detection.scales import Scales
from fer_service.detection.weights import YUNET
from fer_service.onnx.gpu_support import cuda_is_built_in
from onnx import TensorProto, helper, numpy_helper

# Two boxes on one face, one elsewhere, one with too low a score.
BOXES = [[10, 20, 30, 40], [11, 20, 30, 40], [50, 8, 10, 12], [0, 0, 5, 5]]
SCORES = [0.9, 0.8, 0.7, 0.1]
METADATA = DetectorMetadata.model_validate(
    {
        "schema": 1,
        "name": "planted",
        "version": "1.2.3",
        "description": "Sees the same everywhere.",
        "frame_scale": 1.1,
        "data": {
            "name": "made up", "images": [3, 1], "faces": 5, "sha256": ["0", "1"], "hold_out": 0.2, "seed": 0
        },
        "found": {"all": {"count": 1, "ap50": 1.0, "recall": 1.0}},
        "false_boxes": 0.0,
        "parity": 0.0,
        "epochs": 1,
        "created": "2026-01-01T00:00:00+00:00",
        "commit": "",
        "licence": "MIT",
    }
)  # fmt: skip


def write_detector(path: Path, text: str | None = None, *, input_name: str = INPUT_NAME) -> Path:
    """A file that returns the same boxes for every image."""
    boxes, scores = np.array([BOXES], np.float32), np.array([SCORES], np.float32)
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_planted"], [name]) for name in ("boxes", "scores")],
        "planted",
        [helper.make_tensor_value_info(input_name, TensorProto.UINT8, ["N", "H", "W", 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, boxes.shape),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, scores.shape),
        ],
        [numpy_helper.from_array(boxes, "boxes_planted"), numpy_helper.from_array(scores, "scores_planted")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(
        model, {METADATA_KEY: METADATA.model_dump_json(by_alias=True) if text is None else text}
    )
    onnx.save(model, path)
    return path


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "detector.onnx")


def detect(detector: Detector, width: int, height: int, min_score: float) -> list[tuple[float, ...]]:
    faces = detector.detect(np.zeros((height, width, 3), np.uint8), min_score)
    return [(face.box.x, face.box.y, face.box.width, face.box.height) for face in faces]


def test_each_face_is_reported_once(own_file: Path) -> None:
    assert detect(open_own(own_file, 100), 100, 80, 0.6) == [(10, 20, 30, 40), (50, 8, 10, 12)]


@pytest.mark.parametrize(("minimum", "expected"), [(0.05, 3), (0.6, 2), (0.75, 1), (0.95, 0), (0.0, 3)])
def test_faces_below_the_minimum_score_are_left_out(minimum: float, expected: int) -> None:
    boxes, scores = np.array(BOXES, np.float32), np.array(SCORES, np.float32)
    faces = faces_of(boxes, scores, minimum)
    assert len(faces) == expected
    assert all(face.landmarks is None and face.score is not None for face in faces)


def test_faces_of_a_larger_image_are_in_its_own_pixels(own_file: Path) -> None:
    assert detect(open_own(own_file, 100), 400, 200, 0.85) == [(40, 80, 120, 160)]


def test_the_file_holds_its_name_and_frame(own_file: Path) -> None:
    detector = open_own(own_file, 320)
    assert (detector.name, detector.side, detector.frame_scale) == ("own:planted:1.2.3", 320, 1.1)


def test_a_path_to_such_a_file_is_recognised_by_its_metadata(own_file: Path) -> None:
    renamed = Path(shutil.copy(own_file, own_file.with_name("anything.onnx")))
    assert choose_detector(str(renamed), 320).name == "own:planted:1.2.3"


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "name: missing"), ("[]", "the whole property"), ("nonsense", "the whole property")],
)
def test_invalid_metadata_is_an_error_that_names_the_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        open_own(write_detector(tmp_path / "bad.onnx", text), 320)


def test_a_file_with_another_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="which has the metadata property 'fer-detector', the input images"):
        open_own(write_detector(tmp_path / "bad.onnx", input_name="image"), 320)


@pytest.mark.skipif(cuda_is_built_in(), reason="this onnxruntime could take a GPU")
def test_a_gpu_that_does_not_bind_is_an_error(own_file: Path) -> None:
    with pytest.raises(ProviderError, match="FER_DEVICE=cuda"):
        choose_detector(str(own_file), 320, device="cuda")


def test_on_a_gpu_that_is_not_there_auto_is_the_cpu(own_file: Path) -> None:
    detector = choose_detector(str(own_file), 320, device="cpu" if cuda_is_built_in() else "auto")
    assert isinstance(detector, Scales)
    assert isinstance(detector.network, BatchDetector)
    assert not detector.network.on_gpu


def test_a_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no such detector file; .*fer-train export"):
        open_own(tmp_path / "nowhere.onnx", 320)


def test_it_is_used_without_a_warning_if_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="fer_service"):
        assert choose_detector("own", 320).name.startswith("own:detector:")
    assert not caplog.records


@pytest.mark.usefixtures("empty_cache")
def test_auto_prefers_downloaded_yunet(yunet_file: Path) -> None:
    YUNET.path.parent.mkdir(parents=True)
    shutil.copy(yunet_file, YUNET.path)
    assert choose_detector("auto", 320).name == f"yunet:{YUNET.path.stem}"
