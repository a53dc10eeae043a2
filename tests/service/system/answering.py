"""A child process for the tests: it does what the message says."""

import os
import signal
import time
from typing import Any

import numpy as np
from fer_service.system.child_loop import limit_cpu_time, limit_memory, serve
from numpy.typing import NDArray


def answer(content: dict[str, Any], data: bytes) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
    match content["do"]:
        case "echo":
            return {"said": content["say"], "size": len(data), "pid": os.getpid()}, None
        case "array":
            return {}, np.frombuffer(data, np.uint8).reshape(content["as"])
        case "allocate":
            limit_memory(content["limit"])
            try:
                return {"sum": int(np.ones(content["bytes_"], np.uint8).sum())}, None
            except MemoryError:
                return {"refused": True}, None
        case "spin":
            limit_cpu_time(-5.0)
            while True:
                pass
        case "sleep":
            time.sleep(3600)
        case "die":
            os.kill(os.getpid(), content["signal"])
            signal.pause()
        case "niceness":
            return {"nice": os.nice(0)}, None
    raise ValueError(content)


if __name__ == "__main__":
    serve(answer, nice=7)
