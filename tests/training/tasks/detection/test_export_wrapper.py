import numpy as np
import pytest
import torch
from fer_service.detection.own import ANSWERS
from fer_training.tasks.detection.export_wrapper import DetectorExportWrapper, TorchDetector
from fer_training.tasks.detection.network import DetectorNetwork, anchor_points, decode_boxes, flatten_maps
from fer_training.tasks.detection.recipe import Widths

from tests.training.tasks.detection.made import WIDTHS, make_assets


@pytest.fixture
def network() -> DetectorNetwork:
    torch.manual_seed(0)
    made = DetectorNetwork(Widths.model_validate(WIDTHS))
    # A few batches give the batch norms non-trivial statistics.
    for _ in range(3):
        made(torch.rand(4, 3, 64, 96) * 255)
    return made.eval()


def test_the_served_graph_answers_with_the_networks_boxes_best_first(network: DetectorNetwork) -> None:
    images = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        boxes, scores = DetectorExportWrapper(network)(images)
        logits, numbers = flatten_maps(network(images.permute(0, 3, 1, 2).float()))
    expected = decode_boxes(numbers, anchor_points(64, 96, torch.device("cpu")))
    count = logits.shape[1]
    assert boxes.shape == (2, ANSWERS, 4)
    for row in range(2):
        order = logits[row].argsort(descending=True, stable=True)
        assert scores[row, :count].numpy() == pytest.approx(logits[row, order].sigmoid().numpy(), abs=1e-5)
        best = expected[row, order[0]]
        corner = torch.cat([boxes[row, 0, :2], boxes[row, 0, :2] + boxes[row, 0, 2:]])
        assert corner.numpy() == pytest.approx(best.numpy(), abs=1e-2)
    assert (scores[:, count:] == 0).all()


def test_the_calibration_changes_scores_and_no_boxes(network: DetectorNetwork) -> None:
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        boxes, scores = DetectorExportWrapper(network)(images)
        same, surer = DetectorExportWrapper(network, 2.0, 1.0)(images)
    assert torch.equal(boxes[:, :84], same[:, :84])
    logits = torch.logit(scores[:, :84])
    assert surer[:, :84].numpy() == pytest.approx((logits * 2 + 1).sigmoid().numpy(), abs=1e-4)


def test_the_network_itself_is_left_as_it_is(network: DetectorNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    DetectorExportWrapper(network, 2.0, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_network_in_training_can_be_asked_for_faces(network: DetectorNetwork) -> None:
    pixels = make_assets().train[0].pixels
    faces = TorchDetector(network, 80).detect(pixels, 0.001)
    assert faces
    assert all(face.score is not None and face.score >= 0.001 for face in faces)
    assert np.array([face.box.x for face in faces]).max() > 40
