import json
import subprocess
import sys
from typing import Any

import pytest
from fer_service.observability import json_filter
from fer_service.observability.json_filter import MARK, entries

OURS = b'{"time": "2026-01-01T00:00:00.000+00:00", "level": "info", "logger": "x", "message": "ready"}'


def read(line: bytes) -> list[dict[str, Any]]:
    """The objects for a line; the time of those that are made is left out."""
    found = [json.loads(entry) for entry in entries(line)]
    return [{name: value for name, value in entry.items() if name != "time"} for entry in found]


def wrapped(message: str) -> dict[str, str]:
    """The object for a line that is no JSON."""
    return {"level": "warning", "logger": "stderr", "message": message}


@pytest.mark.parametrize("line", [b"", b" \t", b"\r"])
def test_an_empty_line_is_dropped(line: bytes) -> None:
    assert entries(line) == []


def test_a_line_of_the_logger_stays_as_it_is() -> None:
    assert entries(OURS) == [OURS.decode()]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"libpng warning: bad CRC\r", "libpng warning: bad CRC"),
        (b'  File "x.py", line 1', '  File "x.py", line 1'),
        (b"\xff\x00\x1b[31m", "\\xff\x00\x1b[31m"),
        (b"[1, 2]", "[1, 2]"),
        (b'"text"', '"text"'),
        (b"{", "{"),
        (b'{"time": broken', '{"time": broken'),
        ("größer".encode(), "größer"),
    ],
)
def test_another_line_becomes_a_message(line: bytes, message: str) -> None:
    assert read(line) == [wrapped(message)]


def test_a_line_in_the_middle_of_another_is_found() -> None:
    first, second = read(b"libpng warning: " + OURS)
    assert first == wrapped("libpng warning:")
    assert second["message"] == "ready"


def filtered(content: bytes) -> list[dict[str, Any]]:
    """What the program makes of its input."""
    command = [sys.executable, "-I", "-S", json_filter.__file__]
    ended = subprocess.run(command, input=content, capture_output=True, check=True, timeout=30)
    assert ended.stderr == b""
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_program_ends_with_its_input() -> None:
    assert [entry["message"] for entry in filtered(b"one\n\n" + OURS + b"\nlast")] == ["one", "ready", "last"]


def test_at_the_mark_all_before_it_has_been_written() -> None:
    command = [sys.executable, "-I", "-S", json_filter.__file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as program:
        assert program.stdin
        assert program.stdout
        assert program.stderr
        program.stdin.write(b"one\n" + MARK + b"\n")
        program.stdin.flush()
        assert program.stderr.read() == b""
        assert b"one" in program.stdout.readline()
        program.stdin.write(b"later")
        program.stdin.close()
        assert b"later" in program.stdout.readline()


def test_a_line_without_end_takes_bounded_memory() -> None:
    lines = [entry["message"] for entry in filtered(b"x" * 3_000_000)]
    assert len(lines) > 1
    assert "".join(lines) == "x" * 3_000_000
