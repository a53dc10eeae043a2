"""Ray Serve with one replica per core and the default HTTP proxy in its own process."""

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
class PipelineDeployment:
    """The pipeline as a Ray Serve deployment."""

    def __init__(self) -> None:
        self.analyzer = load(Settings(threads=1))

    async def __call__(self, request: Request) -> Any:
        """Answer one image."""
        async with request.form() as form:
            upload: Any = form["file"]
            content = await upload.read()
        return Response(self.analyzer.analyze(content).model_dump_json(), media_type="application/json")


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(PipelineDeployment.bind(), route_prefix="/predict")
    signal.pause()
