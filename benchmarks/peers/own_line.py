"""This project's line in process, as `import service` gives it; it runs in the service's own environment."""

from pathlib import Path

import service
from benchmarks.peers.in_process import take_turns
from service.loading import load

if __name__ == "__main__":
    analyzer = load()

    def analyze(picture: str) -> int:
        """From the file to the prediction."""
        return len(analyzer.analyze(Path(picture).read_bytes()).faces)

    take_turns(analyze, f"fer-service {service.__version__}, {analyzer.detector.name}")
