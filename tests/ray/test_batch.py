"""`fer-service batch` on real Ray nodes: workers, drivers and nodes that end in the middle."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("ray")

from numpy.typing import NDArray

from tests.e2e.test_outgoing import alone
from tests.ray.cluster import Cluster, environment, kill, until
from tests.scenes import encode_image

PART = 10
FILES = 200
CORRUPT = 2
BATCH = [sys.executable, "-m", "fer_service", "batch"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """Images of which 1 in 100 is corrupt."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(FILES):
        image = encode_image(np.roll(astronaut, number % 40, axis=1), ".jpg")
        (folder / f"{number:04}.jpg").write_bytes(b"corrupt" if number % (FILES // CORRUPT) == 7 else image)
    return folder


def start(photos: Path, out: Path, cluster: Cluster | None, *options: str) -> "subprocess.Popen[str]":
    address = ["--ray", cluster.address] if cluster else []
    return subprocess.Popen(
        [*BATCH, str(photos), "--out", str(out), "--part-files", str(PART), *address, *options],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )


def parts(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}


def counted(out: Path) -> tuple[Counter[str], int]:
    """How many rows each file has, and how many have an error."""
    table = pq.read_table(out)
    return Counter(Path(name).name for name in table["file"].to_pylist()), len(table["error"].drop_null())


def check_complete(out: Path) -> None:
    rows, errors = counted(out)
    assert len(rows) == FILES
    assert set(rows.values()) == {1}  # one face per image
    assert errors == CORRUPT


@dataclass(frozen=True)
class Resumed:
    """A job that was killed in the middle, and continued."""

    out: Path
    before: dict[str, int]  # parts when it was killed
    status: int
    text: str


@pytest.fixture(scope="module")
def resumed(cluster: Cluster, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    out = tmp_path_factory.mktemp("resumed")
    job = start(photos, out, cluster)
    until(lambda: len(parts(out)) >= 4 or job.poll() is not None, "the fourth part")
    kill(job.pid)
    job.communicate()
    assert job.returncode == -9
    # Ray ends the workers of a driver that has gone.
    until(lambda: not cluster.pids("MapWorker"), "the end of the workers")
    before = parts(out)
    again = start(photos, out, cluster, "--resume")
    _, text = again.communicate(timeout=120)
    return Resumed(out, before, again.returncode, text)


def test_a_job_killed_in_the_middle_and_resumed_has_every_file_once(resumed: Resumed) -> None:
    assert resumed.status == 1, resumed.text
    assert 4 <= len(resumed.before) < FILES // PART
    assert f"{FILES - PART * len(resumed.before)} files analysed" in resumed.text
    assert f"{PART * len(resumed.before)} had results" in resumed.text
    assert resumed.before.items() <= parts(resumed.out).items()
    check_complete(resumed.out)


def test_the_columns_are_those_of_predict(photos: Path, tmp_path: Path, resumed: Resumed) -> None:
    names = [str(photos / name) for name in ("0000.jpg", "0001.jpg", "0007.jpg")]
    plain = [sys.executable, "-m", "fer_service", "predict", *names, "--out", str(tmp_path / "plain.parquet")]
    subprocess.run(plain, env=environment(), check=False, capture_output=True)
    same = pq.read_table(resumed.out, filters=[("file", "in", names)]).sort_by("file")
    assert same.equals(pq.read_table(tmp_path / "plain.parquet"))
    assert len(same["error"].drop_null()) == 1


def test_a_worker_killed_and_a_node_removed_do_not_end_the_job(
    cluster: Cluster, photos: Path, tmp_path: Path
) -> None:
    node = cluster.nodes[-1]
    job = start(photos, tmp_path, cluster)
    until(lambda: len(parts(tmp_path)) >= 2 and len(cluster.pids("MapWorker")) == 2, "two workers")
    kill(cluster.pids("MapWorker")[0])
    until(lambda: len(parts(tmp_path)) >= 6, "the sixth part")
    node.remove()
    cluster.nodes.remove(node)
    assert job.poll() is None
    _, text = job.communicate(timeout=120)
    assert job.returncode == 1, text
    check_complete(tmp_path)
    cluster.add_node()


ALONE = """
import json, re, subprocess, sys
from pathlib import Path
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
from tests.ray.cluster import environment
command = [sys.executable, "-m", "fer_service", "batch", sys.argv[1], "--out", sys.argv[2]]
variables = environment(HOME=sys.argv[3], RAY_AUTH_MODE="", RAY_AUTH_TOKEN="")
job = subprocess.run(command, env=variables, capture_output=True, text=True)
heads, numbers = re.findall(r"^Ip: (.*)$", Path("/proc/net/snmp").read_text(), re.MULTILINE)
unroutable = dict(zip(heads.split(), numbers.split()))["OutNoRoutes"]
print(json.dumps({"status": job.returncode, "text": job.stderr, "unroutable": int(unroutable),
                  "left": [str(path) for path in Path(sys.argv[3]).rglob("*")]}))
"""


def test_ray_on_this_machine_works_without_a_network_and_sends_nothing(photos: Path, tmp_path: Path) -> None:
    listed = tmp_path / "one.txt"
    listed.write_text(f"{photos / '0000.jpg'}\n")
    home = tmp_path / "home"
    home.mkdir()
    found = json.loads(alone(ALONE, listed, tmp_path / "out", home))
    # Ray asks the network for its cloud, and writes a key into the user's home, unless it is told otherwise.
    assert (found["status"], found["unroutable"], found["left"]) == (0, 0, []), found["text"]
