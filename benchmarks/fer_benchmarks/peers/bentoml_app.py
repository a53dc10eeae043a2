"""BentoML 1.4 with one worker per core, as its guide to workers advises for CPU-bound services."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bentoml
from fer_service.analysis.loading import load
from fer_service.contract.settings import Settings


@bentoml.service(workers="cpu_count", traffic={"timeout": 60})
class PipelineService:
    """The pipeline as a BentoML service."""

    def __init__(self) -> None:
        self.analyzer = load(Settings(threads=1))

    @bentoml.api(route="/predict")
    def predict(self, file: Path) -> dict[str, Any]:
        """Answer one image."""
        return self.analyzer.analyze(file.read_bytes()).model_dump(mode="json")


if __name__ == "__main__":
    bento = str(Path(sys.executable).parent / "bentoml")
    command = [bento, "serve", "fer_benchmarks.peers.bentoml_app:PipelineService", "--port", os.environ["PORT"]]
    sys.exit(subprocess.call(command))  # noqa: S603 (our own command)
