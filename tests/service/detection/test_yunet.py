from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from fer_service.contract.errors import DetectorError
from fer_service.detection.detector import Face
from fer_service.detection.yunet import YuNet, open_yunet
from fer_service.onnx.session import Session
from numpy.typing import NDArray

from tests.service.conftest import STRIDES, YUNET_CHANNELS, Pixels

Shape = Sequence[int | str | None]


@dataclass(frozen=True)
class Plant:
    """One cell's outputs."""

    stride: int
    row: int
    column: int
    classes: float = 1.0
    objectness: float = 1.0
    box: tuple[float, float, float, float] = (0, 0, 0, 0)


@dataclass
class PlantedSession:
    """A session that answers with planted cells, whatever the image."""

    plants: Sequence[Plant] = ()
    shape: Shape = (1, 3, "H", "W")
    names: Sequence[str] = tuple(f"{kind}_{stride}" for kind in YUNET_CHANNELS for stride in STRIDES)
    blobs: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="input", type="tensor(float)", shape=list(self.shape))]

    @property
    def outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name, type="tensor(float)", shape=[]) for name in self.names]

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        blob = feeds["input"]
        self.blobs.append(blob)
        height, width = blob.shape[2:]
        arrays = {
            f"{kind}_{stride}": np.zeros((1, (height // stride) * (width // stride), channels), np.float32)
            for kind, channels in YUNET_CHANNELS.items()
            for stride in STRIDES
        }
        for plant in self.plants:
            cell = plant.row * (width // plant.stride) + plant.column
            values = {"cls": plant.classes, "obj": plant.objectness, "bbox": plant.box}
            for kind, value in values.items():
                arrays[f"{kind}_{plant.stride}"][0, cell] = value
        return [arrays[name] for name in outputs]


def yunet(*plants: Plant, side: int = 640) -> tuple[YuNet, PlantedSession]:
    session = PlantedSession(plants)
    return YuNet(cast(Session, session), "yunet:planted", side), session


def image(height: int, width: int) -> Pixels:
    return np.zeros((height, width, 3), np.uint8)


def assert_box(face: Face, x: float, y: float, width: float, height: float) -> None:
    assert tuple(face.box) == pytest.approx((x, y, width, height), abs=1e-3)


@pytest.mark.parametrize("stride", STRIDES)
def test_a_box_is_decoded_from_cell_offset_and_logarithm_of_the_size(stride: int) -> None:
    detector, _ = yunet(Plant(stride, row=2, column=3, box=(0.5, 0.25, np.log(2), np.log(4))))
    (face,) = detector.detect(image(320, 320), 0.5)
    centre_x, centre_y, width, height = 3.5 * stride, 2.25 * stride, 2 * stride, 4 * stride
    assert_box(face, centre_x - width / 2, centre_y - height / 2, width, height)


def test_the_score_is_the_geometric_mean_of_class_and_objectness() -> None:
    detector, _ = yunet(Plant(8, 1, 1, classes=0.9, objectness=0.4), Plant(32, 5, 5, classes=1.5, objectness=1.2))
    scores = sorted(face.score or 0 for face in detector.detect(image(320, 320), 0.1))
    assert scores == pytest.approx([0.6, 1.0])


@pytest.mark.parametrize(("min_score", "count"), [(0.0, 2), (0.59, 2), (0.61, 1), (0.95, 0), (1.0, 0)])
def test_faces_below_the_minimum_score_are_left_out(min_score: float, count: int) -> None:
    detector, _ = yunet(Plant(8, 1, 1, classes=0.6, objectness=0.6), Plant(32, 5, 5, classes=0.9, objectness=0.9))
    assert len(detector.detect(image(320, 320), min_score)) == count


def test_an_image_without_faces_has_none() -> None:
    assert yunet()[0].detect(image(48, 64), 0.0) == []


def test_of_overlapping_boxes_the_best_is_kept() -> None:
    wide = (0.0, 0.0, float(np.log(4)), float(np.log(4)))
    detector, _ = yunet(
        Plant(16, 5, 5, classes=0.8, box=wide),
        Plant(16, 5, 6, classes=1.0, box=wide),
        Plant(16, 5, 15, classes=0.7, box=wide),
    )
    faces = detector.detect(image(320, 320), 0.1)
    assert [round(face.box.x + face.box.width / 2) for face in faces] == [6 * 16, 15 * 16]


@pytest.mark.parametrize(
    ("shape", "padded"), [((320, 320), (320, 320)), ((100, 33), (128, 64)), ((1, 1), (32, 32))]
)
def test_images_are_padded_to_multiples_of_32(shape: tuple[int, int], padded: tuple[int, int]) -> None:
    detector, session = yunet()
    detector.detect(image(*shape), 0.5)
    assert session.blobs[0].shape == (1, 3, *padded)


def test_the_network_gets_bgr_from_0_to_255() -> None:
    detector, session = yunet()
    pixels = image(40, 20)
    pixels[:] = (10, 100, 200)
    detector.detect(pixels, 0.5)
    blob = session.blobs[0][0]
    np.testing.assert_array_equal(blob[:, :40, :20], np.broadcast_to([[[200]], [[100]], [[10]]], (3, 40, 20)))


@pytest.mark.parametrize("shape", [(40, 20), (64, 20), (40, 64)])
def test_padding_is_black_in_reused_memory(shape: tuple[int, int]) -> None:
    height, width = shape
    detector, _ = yunet()
    white = np.full((64, 64, 3), 255, np.uint8)
    for _ in range(20):
        assert detector.blob(white).min() == 255  # its memory is the next blob's
        blob = detector.blob(white[:height, :width])[0]
        assert blob[:, :height, :width].min() == 255
        assert not blob[:, height:].any()
        assert not blob[:, :, width:].any()


def test_only_the_best_cells_are_compared() -> None:
    cells = [Plant(8, row, column, classes=0.5 + row / 1000) for row in range(60) for column in range(60)]
    detector, _ = yunet(*cells, side=480)
    faces = detector.detect(image(480, 480), 0.1)
    assert len(faces) == 2000
    assert min(face.score or 0 for face in faces) == pytest.approx((0.5 + 26 / 1000) ** 0.5, abs=1e-4)


@pytest.mark.parametrize(("side", "network"), [(160, (96, 160)), (64, (64, 64)), (1000, (480, 800))])
def test_large_images_are_shrunk_to_the_side_and_small_ones_are_not_enlarged(
    side: int, network: tuple[int, int]
) -> None:
    detector, session = yunet(side=side)
    detector.detect(image(480, 800), 0.5)
    assert session.blobs[0].shape[2:] == network


def test_boxes_come_back_in_the_images_own_pixels() -> None:
    detector, _ = yunet(Plant(32, row=1, column=2), side=160)
    (face,) = detector.detect(image(480, 800), 0.5)
    assert_box(face, 5 * (64 - 16), 5 * (32 - 16), 5 * 32, 5 * 32)


def test_a_file_with_other_outputs_is_refused() -> None:
    with pytest.raises(DetectorError, match=r"not a YuNet file .outputs: boxes, scores"):
        YuNet(cast(Session, PlantedSession(names=("scores", "boxes"))), "other", 640)


@pytest.mark.parametrize("shape", [(1, 3, 640, 640), (1, 3, "H", 640)])
def test_a_file_with_a_fixed_input_is_refused(shape: Shape) -> None:
    with pytest.raises(DetectorError, match=r"fixed input size \[.*640\]"):
        YuNet(cast(Session, PlantedSession(shape=shape)), "fixed", 640)


def test_a_real_file_is_opened_and_answers(yunet_file: Path) -> None:
    detector = open_yunet(yunet_file, 64)
    (face,) = detector.detect(image(128, 128), 0.5)
    assert (detector.name, detector.side) == ("yunet:planted", 64)
    assert_box(face, -32, -32, 64, 64)


def test_a_bundle_is_not_a_detector(tiny_bundle: Path) -> None:
    with pytest.raises(DetectorError, match=r"tiny: not a YuNet file .outputs: probabilities"):
        open_yunet(tiny_bundle, 640)


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(DetectorError, match=r"garbage\.onnx: not an ONNX file"):
        open_yunet(path, 640)
