"""A program that copies lines from standard input to standard output and turns lines of plain text into JSON.

It is run by its path, as a process of its own: what a process writes just before it crashes is not lost. It
imports the standard library alone, so that it takes little time and memory.
"""

import contextlib
import json
import os
import signal
from datetime import UTC, datetime

MARK = b"\0mark\0"  # after this line the program closes its standard error: all before it has been written
_OURS = '{"time": '  # how each line of `JsonFormatter` begins
_MAX_LINE = 2**20  # bytes; a longer line is cut


def main() -> None:
    """Copy until the end of the input."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # sent to whole groups, whose last lines still have to come
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    rest = b""
    while chunk := os.read(0, 2**16):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line == MARK:
                os.close(2)
            else:
                _write(line)
        if len(rest) > _MAX_LINE:
            _write(rest)
            rest = b""
    _write(rest)


def entries(line: bytes) -> list[str]:
    """Return the JSON objects for a line, which a library and the logger may have written at the same time."""
    text = line.decode("utf-8", "backslashreplace").rstrip()
    at = text.find(_OURS)
    if at >= 0 and _is_object(text[at:]):
        return [*entries(text[:at].encode()), text[at:]]
    if not text.strip():
        return []
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [json.dumps({"time": time, "level": "warning", "logger": "stderr", "message": text})]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _write(line: bytes) -> None:
    content = "".join(f"{entry}\n" for entry in entries(line)).encode()
    with contextlib.suppress(OSError):  # the log has no reader any more; the service must go on
        while content:
            content = content[os.write(1, content) :]


if __name__ == "__main__":
    main()
