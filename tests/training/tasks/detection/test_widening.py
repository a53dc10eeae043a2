import pytest
import torch
from fer_training.tasks.detection.network import DetectorNetwork
from fer_training.tasks.detection.recipe import Widths
from fer_training.tasks.detection.widening import widen

from tests.training.tasks.detection.made import WIDTHS

NARROW = Widths.model_validate(WIDTHS | {"blocks": [2, 1, 1]})
WIDE = NARROW.model_copy(update={"stem": 12, "quarter": 16, "stages": (16, 24, 40), "neck": 24})


def trained(widths: Widths) -> DetectorNetwork:
    """A network with batch-norm statistics of images."""
    torch.manual_seed(1)
    network = DetectorNetwork(widths)
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(2, 3, 64, 64) * 255)
    return network


@pytest.mark.parametrize("training", [False, True])
def test_the_wider_network_answers_as_the_narrower_one(training: bool) -> None:
    narrow, wide = trained(NARROW).train(training), DetectorNetwork(WIDE).train(training)
    levels = torch.rand(2, 3, 96, 64) * 255
    widen(wide, narrow)
    for one, other in zip(narrow(levels), wide(levels), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_new_channels_are_trained() -> None:
    wide = DetectorNetwork(WIDE)
    widen(wide, trained(NARROW))
    optimizer = torch.optim.SGD(wide.parameters(), lr=0.1)
    before = {name: weights.clone() for name, weights in wide.named_parameters()}
    # After the first step the new channels are read; the second step changes them.
    for _ in range(2):
        optimizer.zero_grad()
        loss = torch.stack([part.square().mean() for part in wide(torch.rand(2, 3, 64, 64) * 255)]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    moved = {name: (weights - before[name]).abs() for name, weights in wide.named_parameters()}
    assert moved["stages.2.0.pointwise.0.weight"][:16, 16:].max() > 0
    assert moved["stages.1.0.pointwise.0.weight"][16:].max() > 0


def test_new_channels_differ() -> None:
    wide = DetectorNetwork(WIDE)
    widen(wide, trained(NARROW))
    further = wide.state_dict()["stages.2.0.pointwise.0.weight"][16:].flatten(1)
    assert torch.cdist(further, further).fill_diagonal_(1).min() > 0.01
