import os
import subprocess
import sys
from pathlib import Path

import pytest
from fer_service.contract.errors import StartError
from fer_service.observability.replica_metrics import forget_gauges, replica_metrics

REPLICA = """
import sys
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from fer_service.observability.metrics import Metrics
from fer_service.observability.replica_metrics import share_metrics
share_metrics(int(sys.argv[1]))
metrics = Metrics(CollectorRegistry())
metrics.in_flight.set(2)
metrics.rejected.labels("client").inc()
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def scraped_by(number: int) -> list[str]:
    """Run a replica with two requests in flight that has refused one, and return its metrics."""
    ended = subprocess.run(
        [sys.executable, "-c", REPLICA, str(number)], capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout.splitlines()


def test_replicas_add_up_and_a_replacement_continues_the_counts(tmp_path: Path) -> None:
    with replica_metrics(2) as folder:
        sizes = {path: path.stat().st_size for path in folder.iterdir()}
        scraped_by(0)
        scraped = scraped_by(1)
        assert "fer_requests_in_flight 4.0" in scraped
        assert 'fer_rejected_total{reason="client"} 2.0' in scraped
        forget_gauges(folder, 0)
        forget_gauges(folder, 1)
        scraped = scraped_by(1)
        assert "fer_requests_in_flight 2.0" in scraped
        assert 'fer_rejected_total{reason="client"} 3.0' in scraped
        assert {path: path.stat().st_size for path in folder.iterdir()} == sizes
        # The room is taken, not only promised.
        assert all(path.stat().st_blocks * 512 >= size for path, size in sizes.items())
    assert not folder.exists()


def test_the_variable_names_the_folder_that_holds_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gauge_livesum_1.db").write_text("of an earlier run")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with replica_metrics(1) as folder:
        assert folder.parent == tmp_path
        assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(tmp_path)


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "missing"))
    with pytest.raises(StartError, match=r"FER_WORKERS=2: .* needs 832 KiB in .*missing: No such file"):
        replica_metrics(2).__enter__()
