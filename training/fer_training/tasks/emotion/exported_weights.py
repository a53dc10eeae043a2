"""Start a network from the weights of an exported file (`fer-train train --init`).

The exporter folds each batch norm into the convolution before it. Here the network gets both back: the folded
weights go into the convolution, and the batch norm takes the statistics of some training images and undoes them.
So the network answers as the file does, and trains as one with batch norms does.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from fer_service import assets
from fer_service.classification.classifier import open_classifier
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fer_training.data.doubts import rename_line, suggested_names
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.model import EmotionNetwork

STATISTICS_IMAGES = 512
_NETWORK = "network."  # where `ExportWrapper` keeps it
_FP16 = "_fp16"
_BATCH = 128


def exported_file(name: str) -> Path:
    """Return the file of `bundled`, `large` or a path; for a bundled model the one without INT8."""
    return assets.MODELS.get(name, Path(name))


def start_from(network: EmotionNetwork, model: Path, classes: Sequence[str], levels: Tensor) -> tuple[str, ...]:
    """Load the weights of an exported file into a network, in place.

    Args:
        network: Network of the same architecture as the exported one.
        model: A file made by `fer-train export`, with weights in fp32 or stored as fp16.
        classes: Classes of the network. Those that the file knows by name keep its weights.
        levels: float [N, C, S, S], 0 to 255: training images for the statistics of batch norms.

    Returns:
        Labels of the file. Classes that are none of them have random weights.

    Raises:
        BundleError: The file is missing or is not a bundle.
        RecipeError: The file is INT8, or its weights do not fit the network.
    """
    metadata = open_classifier(model, "cpu", 1).bundle.metadata
    if metadata.weight_bits is not None:
        raise RecipeError(f"--init {model}: INT8 files cannot be trained further; give the file without INT8")
    labels = metadata.labels
    weights = _weights(model)
    last = _last_layer(network)
    known = {name: labels.index(name) for name in classes if name in labels}
    for part in ("weight", "bias"):
        new = network.state_dict()[f"{last}.{part}"].clone()
        if f"{last}.{part}" in weights and weights[f"{last}.{part}"].shape[1:] == new.shape[1:]:
            for name, row in known.items():
                new[list(classes).index(name)] = weights[f"{last}.{part}"][row]
            weights[f"{last}.{part}"] = new
    network.eval()
    norms = _norms_of_convolutions(network, levels[:2])
    for convolution, norm in norms.items():
        if f"{norm}.weight" not in weights and f"{convolution}.weight_bias" in weights:
            weights |= _identity(norm, network.get_submodule(norm), weights[f"{convolution}.weight_bias"])
    _load(network, weights, model, metadata.recipe)
    _take_statistics([network.get_submodule(norm) for norm in norms.values()], network, levels)
    return labels


def describe_start(
    model: Path, labels: Sequence[str], classes: Sequence[str], rename: Mapping[str, str]
) -> Iterator[str]:
    """Yield a line about the classes that keep their weights, begin anew and are removed, and one about names.

    Args:
        model: The file.
        labels: Its labels.
        classes: Classes of the network.
        rename: Names that the recipe changes already.
    """
    removed = [label for label in labels if label not in classes]
    new = [name for name in classes if name not in labels]
    kept = [name for name in classes if name in labels]
    parts = {"kept": kept, "new (random weights)": new, "removed": removed}
    listed = (f"{what} {', '.join(names) or 'none'}" for what, names in parts.items())
    yield f"classes of {model.name}: {'; '.join(listed)}"
    if names := suggested_names(removed, new):
        alike = ", ".join(f"{name} may be its {label}" for name, label in names.items())
        yield f"{alike}. To keep its weights, put this into the recipe: {rename_line({**rename, **names})}"


def _weights(model: Path) -> dict[str, Tensor]:
    """Return the file's constants by their name in the network."""
    found = {}
    for constant in onnx.load(model).graph.initializer:
        if constant.name.startswith(_NETWORK):
            name = constant.name.removeprefix(_NETWORK).removesuffix(_FP16)
            found[name] = torch.from_numpy(onnx.numpy_helper.to_array(constant).copy()).float()
    return found


def _last_layer(network: EmotionNetwork) -> str:
    """Return the name of the layer with one output per class."""
    head = network.heads[0]
    layers = [module for module in head.modules() if isinstance(module, nn.Linear)]
    names: dict[nn.Module, str] = {module: name for name, module in network.named_modules()}
    return names[layers[-1]]


def _norms_of_convolutions(network: nn.Module, levels: Tensor) -> dict[str, str]:
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
        network(levels)
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


def _load(network: EmotionNetwork, weights: Mapping[str, Tensor], model: Path, recipe: str) -> None:
    """Load the entries.

    Raises:
        RecipeError: An entry is missing or has another shape.
    """
    own = network.state_dict()
    # The votes head is used only in training, and no file has it.
    unfit = f"--init {model} does not fit the recipe's network"
    way_out = f"copy the network section of the recipe {recipe}, with which the file was trained"
    needed = {name for name in own if not name.startswith("votes.") and not name.endswith("num_batches_tracked")}
    for name in sorted(needed):
        if name not in weights:
            raise RecipeError(f"{unfit}: it has no weights for {name}; {way_out}")
        if weights[name].shape != own[name].shape:
            shapes = [list(entry.shape) for entry in (weights[name], own[name])]
            raise RecipeError(
                f"{unfit}: {name} has the shape {shapes[0]} in the file and {shapes[1]} in the network; {way_out}"
            )
    network.load_state_dict({name: weights[name] for name in needed}, strict=False)


def _take_statistics(norms: Sequence[Any], network: nn.Module, levels: Tensor) -> None:
    """Give batch norms the statistics of images, without a change of their outputs.

    Args:
        norms: Batch norms of the network, of any dimension.
        network: Network in evaluation mode.
        levels: Input of the network.
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
        for first in range(0, len(levels), _BATCH):
            network(levels[first : first + _BATCH])
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
