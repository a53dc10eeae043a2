"""Pixels → faces: the detectors, and which of them is used."""

import logging
from pathlib import Path

from service.detectors.base import Detector, Face
from service.detectors.haar import Haar
from service.detectors.weights import YUNET
from service.detectors.yunet import open_yunet

__all__ = ["Detector", "Face", "choose_detector"]
logger = logging.getLogger(__name__)


def choose_detector(choice: str, side: int) -> Detector:
    """The detector that the setting names.

    Args:
        choice: `auto` (YuNet where its file is in the cache, else Haar), `yunet`, `haar`, or a YuNet file's path.
        side: Long side in pixels that YuNet works on; Haar, whose time grows faster, takes 320 at most.

    Raises:
        DetectorError: the detector's file is missing or is none.
    """
    if choice == "auto":
        if YUNET.path.is_file():
            return open_yunet(YUNET.path, side)
        logger.warning(
            "no YuNet weights in the cache: faces are found by OpenCV's Haar cascade, which misses most small and "
            "turned ones. `fer-service detector pull` fetches the weights (once, 300 kB)."
        )
        choice = "haar"
    if choice == "haar":
        return Haar(min(side, 320))
    return open_yunet(YUNET.path if choice == "yunet" else Path(choice), side)
