"""The pipeline behind uvicorn, without framework, checks or metrics: the minimum cost of HTTP."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from fer_service.analysis.loading import load
from fer_service.contract.settings import Settings
from fer_service.system.process import set_up_process

set_up_process()
cores = os.cpu_count() or 1
analyzer = load(Settings(threads=1))
pool = ThreadPoolExecutor(cores)


def answer(body: bytes) -> bytes:
    """Return the prediction for a multipart body as JSON. Everything after the part's header counts as image."""
    return analyzer.analyze(body[body.index(b"\r\n\r\n") + 4 :]).model_dump_json().encode()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer each HTTP request."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    content = await asyncio.get_running_loop().run_in_executor(pool, answer, body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", lifespan="off", access_log=False)
