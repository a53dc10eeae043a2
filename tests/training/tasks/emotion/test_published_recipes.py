import pytest
import torch
from fer_training.data.labels import FER2013_LABELS
from fer_training.engine.optimizer import build_optimizer, train_mode
from fer_training.tasks.emotion.freezing import set_trainable
from fer_training.tasks.emotion.losses import compute_loss
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.recipe import load_recipe
from torch import nn

PUBLISHED = (
    "deepfer-cnn",
    "deepfer-resnet50v2",
    "resnet152-transfer",
    "resnet50-last50",
    "resnet50-progressive",
    "resnet50-scratch",
)
SIDE = 64  # so that the largest network takes seconds
# Eight images give a coarse gradient, so the step is shorter by these factors. Adam's step does not grow with the
# gradient, which is huge in an untrained network.
SHORTER = {"adam": 20, "adamw": 20, "sgd": 2000}


@pytest.mark.trains
@pytest.mark.parametrize("name", PUBLISHED)
def test_one_step_of_each_phase_learns_its_batch(name: str) -> None:
    torch.manual_seed(0)
    recipe = load_recipe(name)
    config = recipe.network.model_copy(update={"input_size": min(recipe.network.input_size, SIDE)})
    classes = len(recipe.data.labels or FER2013_LABELS)
    network = EmotionNetwork(config, classes, from_scratch=True)
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0  # so that both losses are of the same function
    levels = torch.rand(8, config.channels, config.input_size, config.input_size) * 255
    targets = torch.eye(classes)[torch.arange(8) % classes]
    for phase in recipe.phases:
        set_trainable(network, phase)
        train_mode(network)
        rate = phase.optimizer.lr / SHORTER[phase.optimizer.name]
        shorter = phase.optimizer.model_copy(update={"lr": rate})
        optimizer = build_optimizer(network, shorter)
        before = compute_loss(network(levels), targets, recipe.loss)
        before.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        assert compute_loss(network(levels), targets, recipe.loss) < before
