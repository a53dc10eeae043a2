"""JSON lines also from those who write to standard output or standard error without the logger.

Libraries in C do (libjpeg, libpng, OpenCV, onnxruntime), and so does a process that crashes.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fer_service.observability import json_filter
from fer_service.system.descriptors import open_standard_streams


@contextlib.contextmanager
def json_output() -> Iterator[None]:
    """Send standard output and standard error, from now on until this process ends, to a filter.

    The filter (see `json_filter`) writes to what was standard error before. Child processes write to it too. At
    the end of the block it has written all that came before; a container ends with its first process.
    """
    open_standard_streams()
    _flush()
    (reader, writer), (done, mark) = os.pipe(), os.pipe()
    # A group of its own: Ctrl-C ends the service, and the filter writes its last lines.
    command = [sys.executable, "-I", "-S", str(Path(json_filter.__file__))]
    program = subprocess.Popen(command, stdin=reader, stdout=2, stderr=mark, process_group=0)  # noqa: S603 (ours)
    for number in (1, 2):
        os.dup2(writer, number)
    for number in (reader, writer, mark):
        os.close(number)
    try:
        yield
    finally:
        _flush()
        with contextlib.suppress(OSError):  # the filter has ended
            os.write(2, b"\n" + json_filter.MARK + b"\n")
        os.read(done, 1)  # returns when the filter has come to the mark
        os.close(done)
        program.returncode = 0  # it ends after this process


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed when Python started
            stream.flush()
