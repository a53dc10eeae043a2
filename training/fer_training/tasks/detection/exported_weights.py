"""Start a detector network from the weights of an exported file (`fer-train train --init`)."""

from pathlib import Path

from fer_service import assets
from fer_service.contract.errors import DetectorError
from fer_service.detection.own import read_detector_metadata
from fer_service.onnx.session import Session
from torch import Tensor

from fer_training.engine.exported_weights import exported_weights, load_weights
from fer_training.tasks.detection.network import DetectorNetwork

_LEVELS = 255  # the exported graph takes levels from 0 to 255, the network's first convolution from 0 to 1
_FIRST = "stem.0.0.weight"


def exported_file(name: str | None) -> Path | None:
    """Return the file of `bundled`, which is the built-in detector, or of a path."""
    return assets.DETECTOR if name == "bundled" else Path(name) if name else None


def start_from(network: DetectorNetwork, model: Path, pixels: Tensor) -> None:
    """Load the weights of an exported detector into a network, in place.

    Args:
        network: Network of the same widths as the exported one.
        model: A file made by `fer-train export`.
        pixels: uint8 [N, H, W, 3]: training images for the statistics of batch norms.

    Raises:
        DetectorError: The file is missing or is not a detector of this project.
        RecipeError: Its weights do not fit the network.
    """
    session = Session.open(model, device="cpu", threads=1, failure=DetectorError)
    read_detector_metadata(session, str(model))
    weights = exported_weights(model)
    weights[_FIRST] = weights[_FIRST] * _LEVELS
    levels = pixels.permute(0, 3, 1, 2).float()
    load_weights(network, weights, levels, model=model, recipe="fine-tune-detector")
