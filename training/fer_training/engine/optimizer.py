"""Optimiser of a phase, and training mode with frozen layers."""

from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim import Optimizer as TorchOptimizer

from fer_training.engine.recipe import Optimizer


def train_mode(network: nn.Module) -> None:
    """Set training mode, but keep frozen batch norms in evaluation mode so that their statistics stay."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in own):
            module.eval()


def build_optimizer(network: nn.Module, config: Optimizer) -> TorchOptimizer:
    """Build an optimiser. Biases and normalisation layers have no weight decay."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)
    if config.name == "adam":
        return Adam(groups, lr=config.lr)
    return AdamW(groups, lr=config.lr)
