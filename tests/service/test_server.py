import os
import subprocess
import sys

from service.settings import BUNDLED_MODEL

FROZEN = (
    "import gc; from service.server import replica; replica(); print(gc.get_freeze_count(), len(gc.get_objects()))"
)


def test_the_collector_does_not_go_through_what_lasts() -> None:
    environment = os.environ | {"FER_DETECTOR": "haar", "FER_DEVICE": "cpu", "FER_MODEL": str(BUNDLED_MODEL)}
    done = subprocess.run(
        [sys.executable, "-c", FROZEN], capture_output=True, text=True, check=True, env=environment
    )
    kept, left = map(int, done.stdout.split())
    assert kept > 20 * left
