import os
import subprocess
import sys

from fer_service import assets

FROZEN = (
    "import gc; from fer_service.http.server import replica; replica(); "
    "print(gc.get_freeze_count(), len(gc.get_objects()))"
)


def test_the_collector_does_not_go_through_what_lasts() -> None:
    environment = os.environ | {
        "FER_DETECTOR": "haar",
        "FER_DEVICE": "cpu",
        "FER_MODEL": str(assets.MODELS["bundled"]),
    }
    done = subprocess.run(
        [sys.executable, "-c", FROZEN], capture_output=True, text=True, check=True, env=environment
    )
    kept, left = map(int, done.stdout.split())
    assert kept > 20 * left
