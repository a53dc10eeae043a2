"""The weights of an exported file, for training a network further.

The exporter folds each batch norm into the convolution before it. Here the network gets both back: the folded
weights go into the convolution, and the batch norm takes the statistics of some training images and undoes them.
So the network answers as the file does, and trains as one with batch norms does.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fer_training.errors import RecipeError

_NETWORK = "network."  # where export wrappers keep it
_FP16 = "_fp16"
_BATCH = 128


def exported_weights(model: Path) -> dict[str, Tensor]:
    """Return the constants of a file's network by their name in the network, as float32."""
    found = {}
    for constant in onnx.load(model).graph.initializer:
        if constant.name.startswith(_NETWORK):
            name = constant.name.removeprefix(_NETWORK).removesuffix(_FP16)
            found[name] = torch.from_numpy(onnx.numpy_helper.to_array(constant).copy()).float()
    return found


def load_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    inputs: Tensor,
    *,
    model: Path,
    recipe: str,
    unused: Iterable[str] = (),
) -> None:
    """Load the weights of an exported file into a network, in place.

    Args:
        network: Network of the same architecture as the exported one.
        weights: Weights of `exported_weights`.
        inputs: Input of the network, of which the batch norms get the statistics.
        model: The exported file, for errors.
        recipe: Name of a recipe whose network it fits, for errors.
        unused: Beginnings of the names that no file has.

    Raises:
        RecipeError: An entry is missing or has another shape.
    """
    network.eval()
    entries = dict(weights)
    norms = _norms_of_convolutions(network, inputs[:2])
    for convolution, norm in norms.items():
        shift = entries.get(f"{convolution}.weight_bias", entries.get(f"{convolution}.bias"))
        if f"{norm}.weight" not in entries and shift is not None:
            entries |= _identity(norm, network.get_submodule(norm), shift)
    if reason := _load(network, entries, tuple(unused)):
        raise RecipeError(
            f"--init {model} does not fit the recipe's network: {reason}; "
            f"copy the network section of the recipe {recipe}"
        )
    _take_statistics([network.get_submodule(norm) for norm in norms.values()], network, inputs)


def _norms_of_convolutions(network: nn.Module, inputs: Tensor) -> dict[str, str]:
    """Return the name of the batch norm that follows each convolution, as a run of the network shows."""
    made: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no output takes the place of another one in memory
    pairs: dict[str, str] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):

            def remember(_: nn.Module, __: Any, output: Tensor, name: str = name) -> None:
                made[id(output)] = name
                kept.append(output)

            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, _BatchNorm):

            def pair(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                if id(inputs[0]) in made:
                    pairs[made[id(inputs[0])]] = name

            hooks.append(module.register_forward_pre_hook(pair))
    with torch.inference_mode():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return pairs


def _identity(name: str, norm: nn.Module, shift: Tensor) -> dict[str, Tensor]:
    """Return the entries of a batch norm that only adds a shift."""
    assert isinstance(norm, _BatchNorm)  # noqa: S101 (found by its type)
    ones = torch.ones_like(shift)
    return {
        f"{name}.weight": ones,
        f"{name}.bias": shift,
        f"{name}.running_mean": torch.zeros_like(shift),
        f"{name}.running_var": ones * (1 - norm.eps),
    }


def _load(network: nn.Module, weights: Mapping[str, Tensor], unused: tuple[str, ...]) -> str:
    """Load the entries; return why they do not fit, or nothing."""
    own = network.state_dict()
    needed = {name for name in own if not name.startswith(unused) and not name.endswith("num_batches_tracked")}
    for name in sorted(needed):
        if name not in weights:
            return f"it has no weights for {name}"
        if weights[name].shape != own[name].shape:
            shapes = [list(entry.shape) for entry in (weights[name], own[name])]
            return f"{name} has the shape {shapes[0]} in the file and {shapes[1]} in the network"
    network.load_state_dict({name: weights[name] for name in needed}, strict=False)
    return ""


def _take_statistics(norms: Sequence[Any], network: nn.Module, inputs: Tensor) -> None:
    """Give batch norms the statistics of images, without a change of their outputs.

    Args:
        norms: Batch norms of the network, of any dimension.
        network: Network in evaluation mode.
        inputs: Input of the network.
    """
    sums = {norm: [torch.zeros(()), torch.zeros(())] for norm in norms}
    counts = dict.fromkeys(norms, 0)

    def count(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double().transpose(0, 1).flatten(1)
        counts[norm] += values.shape[1]
        sums[norm][0] = sums[norm][0] + values.sum(dim=1)
        sums[norm][1] = sums[norm][1] + values.square().sum(dim=1)

    hooks = [norm.register_forward_pre_hook(count) for norm in norms]
    with torch.inference_mode():
        for first in range(0, len(inputs), _BATCH):
            network(inputs[first : first + _BATCH])
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        for norm in norms:
            mean = (sums[norm][0] / counts[norm]).float()
            variance = (sums[norm][1] / counts[norm] - mean.double().square()).clamp_min(0).float()
            # Before and after, an output is scale · (input - running_mean) + bias.
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias += scale * (mean - norm.running_mean)
            norm.weight.copy_(scale * (variance + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
