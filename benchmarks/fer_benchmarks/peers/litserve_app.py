"""LitServe with a worker a core: lightning.ai's pages advise `workers_per_device` for CPU-bound models."""

import os

import litserve
from fastapi import Request, Response
from fer_service.analysis.loading import load
from fer_service.contract.settings import Settings


class Line(litserve.LitAPI):  # type: ignore[misc]
    """The line in LitServe's four steps."""

    def setup(self, device: str) -> None:
        """Once a worker."""
        self.analyzer = load(Settings(threads=1))

    def decode_request(self, request: Request) -> bytes:
        """The uploaded bytes; LitServe hands over a multipart request's form, whatever the annotation says."""
        content: bytes = request["file"].file.read()
        return content

    def predict(self, x: bytes) -> str:
        """One image's JSON."""
        return self.analyzer.analyze(x).model_dump_json()

    def encode_response(self, output: str) -> Response:
        """As it is."""
        return Response(output, media_type="application/json")


if __name__ == "__main__":
    server = litserve.LitServer(Line(), accelerator="cpu", workers_per_device=os.cpu_count() or 1)
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
