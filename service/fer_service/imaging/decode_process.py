"""The child process of `fer_service.imaging.isolated`: it decodes one image after the other."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import InsufficientMemory, UndecodableImage
from fer_service.imaging.decode import decode
from fer_service.imaging.header import Header
from fer_service.system.child_loop import limit_cpu_time, limit_memory, serve

_NICE: Final = 10  # costly images are slower for it, and ordinary ones are not


def answer(content: dict[str, Any], data: bytes) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
    """Decode an image within its limits.

    Args:
        content: `header`, `reduction`, `memory` in bytes, and `seconds` of CPU time.
        data: The encoded image.

    Returns:
        The pixels, or `undecodable` with a sentence, or `memory`.
    """
    limit_memory(content["memory"])
    limit_cpu_time(content["seconds"])
    try:
        return {}, decode(data, Header(**content["header"]), content["reduction"])
    except UndecodableImage as error:
        return {"undecodable": str(error)}, None
    except (InsufficientMemory, MemoryError):
        return {"memory": True}, None


if __name__ == "__main__":
    cv2.setNumThreads(1)
    serve(answer, nice=_NICE)
