"""LitServe with one worker per core, as its documentation advises for CPU-bound models."""

import os

import litserve
from fastapi import Request, Response
from fer_service.analysis.loading import load
from fer_service.contract.settings import Settings


class PipelineApi(litserve.LitAPI):  # type: ignore[misc]
    """The pipeline in LitServe's four steps."""

    def setup(self, device: str) -> None:
        """Load the pipeline, once per worker."""
        self.analyzer = load(Settings(threads=1))

    def decode_request(self, request: Request) -> bytes:
        """Return the uploaded bytes. For multipart, LitServe passes the form, not the request."""
        content: bytes = request["file"].file.read()
        return content

    def predict(self, x: bytes) -> str:
        """Return the prediction of one image as JSON."""
        return self.analyzer.analyze(x).model_dump_json()

    def encode_response(self, output: str) -> Response:
        """Return the JSON unchanged."""
        return Response(output, media_type="application/json")


if __name__ == "__main__":
    server = litserve.LitServer(PipelineApi(), accelerator="cpu", workers_per_device=os.cpu_count() or 1)
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
