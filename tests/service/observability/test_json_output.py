import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from fer_service.observability.json_output import json_output
for number in map(int, sys.argv[2:]):
    os.close(number)
    setattr(sys, ("stdin", "stdout", "stderr")[number], None)  # as Python has it if it was closed at its start
with json_output():
    os.write(1, b"one\\n")
    os.write(2, b"two\\n")
open(sys.argv[1], "w").write("ended")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs Unix")
@pytest.mark.parametrize("closed", [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_standard_files_may_be_closed(tmp_path: Path, closed: tuple[int, ...]) -> None:
    end = tmp_path / "end"
    command = [sys.executable, "-c", PROGRAM, str(end), *map(str, closed)]
    ended = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert end.read_text() == "ended"
    lines = [json.loads(line)["message"] for line in ended.stderr.splitlines()]
    assert lines == ([] if 2 in closed else ["one", "two"])
