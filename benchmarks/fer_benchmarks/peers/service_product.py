"""This project's line in process, as `import service` gives it; it runs in the service's own environment."""

from pathlib import Path

from fer_service.analysis.loading import load

import service
from fer_benchmarks.peers.in_process import take_turns

if __name__ == "__main__":
    analyzer = load()

    def analyze(image: str) -> int:
        """From the file to the prediction."""
        return len(analyzer.analyze(Path(image).read_bytes()).faces)

    take_turns(analyze, f"fer-service {service.__version__}, {analyzer.detector.name}")
