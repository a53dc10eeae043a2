"""Ray Serve with a replica a core; its HTTP proxy is a process of its own, as it is by default."""

import os
import signal
from typing import Any

from fer_service.analysis.loading import load
from fer_service.contract.settings import Settings
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(
    num_replicas=os.cpu_count() or 1,
    max_ongoing_requests=8,
    ray_actor_options={"num_cpus": 1},
)
class Line:
    """The line as a deployment."""

    def __init__(self) -> None:
        self.analyzer = load(Settings(threads=1))

    async def __call__(self, request: Request) -> Any:
        """One image."""
        async with request.form() as form:
            upload: Any = form["file"]
            content = await upload.read()
        return Response(self.analyzer.analyze(content).model_dump_json(), media_type="application/json")


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Line.bind(), route_prefix="/predict")
    signal.pause()
