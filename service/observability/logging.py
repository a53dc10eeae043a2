"""Log lines for machines (JSON) or people."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Literal


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the record's `fields`, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def log_config(level: str, style: Literal["json", "console"]) -> dict[str, object]:
    """A configuration for `logging.config.dictConfig`, for this package's and uvicorn's loggers alike."""
    formatters = {
        "json": {"()": JsonFormatter},
        "console": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": style}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "service": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
        },
    }


def configure_logging(level: str, style: Literal["json", "console"]) -> None:
    """Set up logging for this process."""
    logging.config.dictConfig(log_config(level, style))
