import pytest
import torch
from fer_training.data import FaceDataset
from fer_training.engine.device import build_fabric
from fer_training.tasks.emotion.inference import Split, predict_logits
from fer_training.tasks.emotion.model import EmotionNetwork
from lightning.fabric import Fabric

from tests.training.synthetic import NETWORK, make_recipe


def test_logits_are_those_of_evaluation_in_float32_and_in_order(faces: FaceDataset, fabric: Fabric) -> None:
    torch.manual_seed(0)
    recipe = make_recipe(network=NETWORK | {"dropout": 0.5, "input_size": 16})
    network = fabric.to_device(EmotionNetwork(recipe.network, 7)).train()
    split = Split(faces, fabric.device)
    logits = predict_logits(network, split, recipe, fabric)
    assert logits.shape == (len(faces), 7)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, predict_logits(network, split, recipe, fabric))
    last = faces.split("PublicTest")
    rows = torch.from_numpy(faces.splits == "PublicTest")
    alone = predict_logits(network, Split(last, fabric.device), recipe, fabric)
    torch.testing.assert_close(logits[rows], alone, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("processes", [1, 2])
def test_torchrun_decides_the_number_of_processes(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert build_fabric("cpu").world_size == processes


@pytest.mark.parametrize("amx", [True, False])
def test_a_cpu_computes_in_bf16_only_with_amx(monkeypatch: pytest.MonkeyPatch, amx: bool) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    assert build_fabric("cpu").strategy.precision.precision == ("bf16-mixed" if amx else "32-true")
