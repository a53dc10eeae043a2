"""This service's pipeline in one process, without HTTP; it runs in the service's own environment."""

from pathlib import Path

from fer_service import __version__
from fer_service.analysis.loading import load

from fer_benchmarks.peers.worker import run_worker

if __name__ == "__main__":
    analyzer = load()

    def analyze(image: str) -> int:
        """Return the number of faces in an image file."""
        return len(analyzer.analyze(Path(image).read_bytes()).faces)

    run_worker(analyze, f"fer-service {__version__}, {analyzer.detector.name}")
