"""Why a face is uncertain: what its quality and its probabilities say."""

from collections.abc import Mapping
from typing import Final

from fer_service.contract.schemas import Pose, Quality, Reason

# Beyond these limits the accuracy falls: docs/quality.md.
MIN_SIZE: Final = 24  # pixels
MAX_YAW: Final = 30.0  # degrees to either side
MAX_PITCH: Final = 25.0  # degrees up or down
MAX_TILT: Final = 25.0  # degrees from the nearest right angle
MIN_SHARPNESS: Final = 0.05
MIN_EXPOSURE: Final = 0.05
MAX_CLIPPED: Final = 0.4
MAX_CUT: Final = 0.25
CLOSE: Final = 0.5  # the second label's probability as a multiple of the first's


def flags_of(quality: Quality) -> list[Reason]:
    """Return what makes a face hard to read; empty if nothing does."""
    flags: dict[Reason, bool] = {
        "small": quality.size < MIN_SIZE,
        "turned": quality.pose is not None and _is_turned(quality.pose),
        "blurred": quality.sharpness < MIN_SHARPNESS,
        "dark": quality.exposure < MIN_EXPOSURE,
        "bright": quality.clipped > MAX_CLIPPED,
        "cut": quality.cut > MAX_CUT,
    }
    return [flag for flag, raised in flags.items() if raised]


def reasons_for(quality: Quality, probabilities: Mapping[str, float]) -> list[Reason]:
    """Return why an uncertain face is uncertain, at least one reason.

    Args:
        quality: Quality of the face.
        probabilities: Probability of each label; at least one.
    """
    reasons = flags_of(quality)
    best, second, *_ = *sorted(probabilities.values(), reverse=True), 0.0
    if second >= CLOSE * best:
        reasons.append("close call")
    return reasons or ["low confidence"]


def _is_turned(pose: Pose) -> bool:
    tilt = (pose.roll + 45) % 90 - 45
    return abs(pose.yaw) > MAX_YAW or abs(pose.pitch) > MAX_PITCH or abs(tilt) > MAX_TILT
