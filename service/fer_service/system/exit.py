"""The end of a process whose threads do not end."""

import logging
import os
import threading
from typing import Final

_LOG_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


def end_after(seconds: float) -> None:
    """End this process with status 0 after a time, unless it has ended by itself.

    Python waits for the threads of an executor, however long they work.

    Args:
        seconds: The time.
    """

    def say() -> None:
        logger.warning("ending the process: threads still work %g s after the signal to stop", seconds)
        logging.shutdown()

    def end() -> None:
        # Nobody may read the log any more: then its write never returns.
        saying = threading.Thread(target=say, daemon=True)
        saying.start()
        saying.join(_LOG_SECONDS)
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
