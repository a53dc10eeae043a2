"""Start a network from the weights of an exported file (`fer-train train --init`)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fer_service.classification.classifier import open_classifier
from torch import Tensor, nn

from fer_training.data.doubts import rename_line, suggested_names
from fer_training.engine.exported_weights import exported_weights, load_weights
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.model import EmotionNetwork

STATISTICS_IMAGES = 512


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
    weights = exported_weights(model)
    last = _last_layer(network)
    known = {name: labels.index(name) for name in classes if name in labels}
    for part in ("weight", "bias"):
        new = network.state_dict()[f"{last}.{part}"].clone()
        if f"{last}.{part}" in weights and weights[f"{last}.{part}"].shape[1:] == new.shape[1:]:
            for name, row in known.items():
                new[list(classes).index(name)] = weights[f"{last}.{part}"][row]
            weights[f"{last}.{part}"] = new
    # The votes head is used only in training.
    load_weights(network, weights, levels, model=model, recipe=metadata.recipe, unused=["votes."])
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
        alike = ", ".join(f"class {name} may be the file's {label}" for name, label in names.items())
        yield f"{alike}. To keep the weights, put this into the recipe: {rename_line({**rename, **names})}"


def _last_layer(network: EmotionNetwork) -> str:
    """Return the name of the layer with one output per class."""
    head = network.heads[0]
    layers = [module for module in head.modules() if isinstance(module, nn.Linear)]
    names: dict[nn.Module, str] = {module: name for name, module in network.named_modules()}
    return names[layers[-1]]
