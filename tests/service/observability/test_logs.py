import json
import logging
import sys
from datetime import datetime
from typing import Literal

import pytest
from fer_service.contract.errors import InvalidRequest
from fer_service.http.multipart import FormReader
from fer_service.observability.logs import JsonFormatter, configure_logging


def record(message: str, *arguments: object, failed: bool = False) -> logging.LogRecord:
    return logging.LogRecord(
        "fer_service.part", logging.WARNING, "part.py", 1, message, arguments, sys.exc_info() if failed else None
    )


def test_a_json_line_has_time_level_logger_and_message() -> None:
    line = JsonFormatter().format(record("größer als %d", 3))
    entry = json.loads(line)
    assert "\n" not in line
    assert datetime.fromisoformat(entry.pop("time")).tzinfo is not None
    assert entry == {"level": "warning", "logger": "fer_service.part", "message": "größer als 3"}


def test_the_fields_of_a_record_are_fields_of_the_json() -> None:
    entry = record("done")
    entry.fields = {"status": 200, "stages_ms": {"decode": 1.5}}
    line = json.loads(JsonFormatter().format(entry))
    assert (line["message"], line["status"], line["stages_ms"]) == ("done", 200, {"decode": 1.5})


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ArithmeticError("broken")
    except ArithmeticError:
        line = JsonFormatter().format(record("failed", failed=True))
    assert "\n" not in line
    assert "ArithmeticError: broken" in json.loads(line)["traceback"]


@pytest.mark.usefixtures("restored_logging")
def test_json_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    logging.getLogger("fer_service.part").info("ready")
    logging.getLogger("uvicorn.error").info("started")
    captured = capsys.readouterr()
    assert [json.loads(line)["message"] for line in captured.err.splitlines()] == ["ready", "started"]
    assert captured.out == ""


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(
    ("level", "path", "expected"),
    [
        (logging.DEBUG, "/site-packages/websockets/server.py", False),
        (logging.INFO, "/site-packages/uvicorn/protocols/websockets/websockets_sansio_impl.py", False),
        (logging.ERROR, "/site-packages/uvicorn/protocols/websockets/websockets_sansio_impl.py", True),
        (logging.INFO, "/site-packages/uvicorn/server.py", True),
    ],
)
def test_websocket_traffic_is_logged_from_warnings_on(
    level: int, path: str, expected: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("debug", "json")
    logging.getLogger("uvicorn.error").handle(logging.LogRecord("uvicorn.error", level, path, 1, "x", (), None))
    assert bool(capsys.readouterr().err) is expected


@pytest.mark.usefixtures("restored_logging")
def test_a_form_that_a_client_gets_wrong_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with pytest.raises(InvalidRequest):
        FormReader("multipart/form-data; boundary=x", 1, "").write(b"no boundary")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("restored_logging")
def test_the_console_format_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "console")
    logging.getLogger("fer_service.part").info("ready")
    assert "INFO    fer_service.part: ready" in capsys.readouterr().err


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("style", ["json", "console"])
def test_a_message_commands_no_terminal_and_stays_on_its_line(
    style: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", style)
    logging.getLogger("fer_service.part").info("%s", "\x1b[2J\x9b31m\u2028\nsecond line")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "second line" in line


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(
    ("level", "expected"), [("debug", ["d", "i", "w"]), ("info", ["i", "w"]), ("warning", ["w"]), ("error", [])]
)
def test_the_level_applies_to_this_package(
    level: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level, "json")
    logger = logging.getLogger("fer_service.part")
    logger.debug("d")
    logger.info("i")
    logger.warning("w")
    logging.getLogger("somebody.else").info("chatter")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == expected
