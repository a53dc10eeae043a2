"""Videos on a machine with many cores, of which FFmpeg would take a thread each."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.service.video.conftest import write_clip

CORES = """
#define _GNU_SOURCE
#include <sched.h>
#include <string.h>
int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set) {
    memset(set, 0, size);
    for (int core = 0; core < 48; core++) CPU_SET_S(core, size, set);
    return 0;
}
"""
READ = """
import json, sys
from pathlib import Path
from fer_service.video.isolated import IsolatedClip
with IsolatedClip(Path(sys.argv[1])) as clip:
    count = sum(1 for _ in clip.frames())
print(json.dumps([count, clip.damage]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the library is for Linux")
def test_a_video_is_read_within_its_memory_on_48_cores(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "cores.c").write_text(CORES)
    library = tmp_path / "cores.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "cores.c"], check=True)
    noise = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3)).astype(np.uint8)
    clip = write_clip(tmp_path / "clip.mp4", list(noise), [n / 30 for n in range(30)])
    environment = os.environ | {"LD_PRELOAD": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", READ, clip], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [30, []]
