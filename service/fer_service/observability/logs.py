"""Log format: JSON for machines or plain lines for people."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fer_service.contract.text import printable


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, the record's `fields`, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        # In ASCII, so that no character in it ends the line or commands a terminal.
        return json.dumps(entry)


class ConsoleFormatter(logging.Formatter):
    """Plain text; what a terminal would obey in a message is escaped."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line of a record without its traceback."""
        record.message = printable(record.message)
        return super().formatMessage(record)


class _NoWebSocketTraffic(logging.Filter):
    """Drops debug and info lines of the WebSocket libraries: they hold addresses, API keys and image bytes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep warnings, and lines from other files: websockets and uvicorn use the same logger name."""
        return record.levelno >= logging.WARNING or "websockets" not in Path(record.pathname).parts


def log_config(level: str, style: Literal["json", "console"], *, dated: bool = True) -> dict[str, object]:
    """Return a configuration for `logging.config.dictConfig` with the loggers of this package and of uvicorn.

    Args:
        level: Minimum level, as in FER_LOG_LEVEL.
        style: Format, as in FER_LOG_FORMAT.
        dated: False leaves time and logger out of plain lines, for a command that a person has typed.
    """
    plain = "%(asctime)s %(levelname)-7s %(name)s: %(message)s" if dated else "%(levelname)s: %(message)s"
    formatters = {"json": {"()": JsonFormatter}, "console": {"()": ConsoleFormatter, "format": plain}}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "filters": {"no_websocket_traffic": {"()": _NoWebSocketTraffic}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": style, "filters": ["no_websocket_traffic"]}
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "fer_service": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
            "python_multipart": {"level": "ERROR"},  # it warns of each body that a client gets wrong
        },
    }


def configure_logging(level: str, style: Literal["json", "console"], *, dated: bool = True) -> None:
    """Set up logging for this process (see `log_config`)."""
    logging.config.dictConfig(log_config(level, style, dated=dated))
