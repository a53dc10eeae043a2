"""The detector that the settings name."""

import logging
from pathlib import Path

from fer_service import assets
from fer_service.contract.device import Device
from fer_service.detection.detector import Detector
from fer_service.detection.haar import Haar
from fer_service.detection.orientations import Orientations
from fer_service.detection.own import METADATA_KEY, OwnDetector, open_own
from fer_service.detection.scales import Scales
from fer_service.detection.weights import YUNET, pull_command
from fer_service.detection.yunet import YuNet, open_yunet
from fer_service.onnx.model_file import property_names
from fer_service.onnx.session import Gpu

logger = logging.getLogger(__name__)

_HAAR_SIDE = 320  # pixels; its time grows faster with the side than a network's


def choose_detector(
    choice: str,
    side: int,
    *,
    coarse_first: bool = True,
    orientations: bool = False,
    device: Device = "cpu",
    gpu: Gpu | None = None,
) -> Detector:
    """Open a detector.

    Args:
        choice: `auto` (YuNet if its file was downloaded, else the built-in detector), `own`, `yunet`, `haar`,
            or the path of a YuNet file or of a file of the built-in detector.
        side: Long side in pixels at which networks search; Haar uses 320 at most.
        coarse_first: Skip the full scale of an image if smaller ones are conclusive (see `Scales`). A GPU always
            searches all scales, because most of the time is the transfer; Haar searches its own.
        orientations: Also find the faces of turned images (see `Orientations`). Haar finds only upright ones.
        device: Device of the built-in detector; YuNet and Haar always run on the CPU (docs/decisions/gpu.md).
        gpu: GPU options.

    Raises:
        DetectorError: the file is missing or is not a detector.
        ProviderError: the requested device is not available.
    """
    if choice == "haar":
        return Haar(min(side, _HAAR_SIDE))
    if falls_back(choice):
        logger.warning(
            "YuNet finds more small faces. FER_DETECTOR=own hides this line. To install YuNet: %s",
            pull_command(),
        )
        choice = "own"
    network = _open_network("yunet" if choice == "auto" else choice, side, device, gpu)
    on_gpu = isinstance(network, OwnDetector) and network.on_gpu
    scales = Scales(network, coarse_first=coarse_first and not on_gpu)
    return Orientations(scales, upright_score=network.upright_score) if orientations else scales


def falls_back(choice: str) -> bool:
    """Return True if this choice is `auto` and YuNet, the better detector, is not installed.

    Measured in docs/decisions/detectors.md.
    """
    return choice == "auto" and not YUNET.is_cached


def _open_network(choice: str, side: int, device: Device, gpu: Gpu | None) -> OwnDetector | YuNet:
    if choice == "own":
        return open_own(assets.DETECTOR, side, device, gpu)
    if choice != "yunet" and METADATA_KEY in property_names(Path(choice)):
        return open_own(Path(choice), side, device, gpu)
    return open_yunet(YUNET.path if choice == "yunet" else Path(choice), side)
