"""Pixels → faces: the detectors, and which of them is used."""

import logging
from pathlib import Path

from fer_service import assets
from fer_service.contract.device import Device
from fer_service.detection.coarse_first import WORTH, CoarseFirst
from fer_service.detection.detector import Detector, Face
from fer_service.detection.haar import Haar
from fer_service.detection.tiny import TinyDetector, is_tiny_detector, open_tiny
from fer_service.detection.weights import YUNET
from fer_service.detection.yunet import YuNet, open_yunet
from fer_service.onnx.session import Gpu

__all__ = ["Detector", "Face", "choose_detector"]
logger = logging.getLogger(__name__)


def choose_detector(
    choice: str,
    side: int,
    *,
    coarse: int = 0,
    device: Device = "cpu",
    gpu: Gpu | None = None,
    own: Path = assets.DETECTOR,
) -> Detector:
    """The detector that the setting names.

    Args:
        choice: `auto` (YuNet where its file is in the cache, else ours where it comes with the package, else
            Haar), `own`, `yunet`, `haar`, or the path of a file of ours or YuNet's.
        side: Long side in pixels that networks work on; Haar, whose time grows faster, takes 320 at most.
        coarse: Long side in pixels of a network's first look (see `CoarseFirst`); 0, more than half of `side`, and
            a GPU leave it out.
        device: Where ours runs; YuNet and Haar are always on the CPU (docs/decisions/gpu.md).
        gpu: How a GPU is used, where it is one.
        own: Our file that comes with the package.

    Raises:
        DetectorError: the detector's file is missing or is none.
        ProviderError: the device that was asked for cannot be had.
    """
    if choice == "auto":
        choice = _best_there_is(own)
    if choice == "haar":
        return Haar(min(side, 320))
    network = _network(choice, side, device, gpu, own)
    # On a GPU a look costs hardly more than its transfer, and two of them two.
    on_gpu = isinstance(network, TinyDetector) and network.on_gpu
    if on_gpu or not 0 < coarse * WORTH <= side:
        return network
    return CoarseFirst(network.at(coarse), network)


def _network(choice: str, side: int, device: Device, gpu: Gpu | None, own: Path) -> TinyDetector | YuNet:
    if choice == "own":
        return open_tiny(own, side, device, gpu)
    if choice != "yunet" and is_tiny_detector(Path(choice)):
        return open_tiny(Path(choice), side, device, gpu)
    return open_yunet(YUNET.path if choice == "yunet" else Path(choice), side)


def _best_there_is(own: Path) -> str:
    """By what was measured: docs/decisions/detectors.md."""
    if YUNET.path.is_file():
        return "yunet"
    if own.is_file():
        return "own"
    logger.warning(
        "no YuNet weights in the cache: faces are found by OpenCV's Haar cascade, which misses most small and "
        "turned ones. `fer-service detector pull` fetches the weights (once, 300 kB)."
    )
    return "haar"
