"""Log lines for machines (JSON) or people."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from pathlib import Path
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


class _NoConversations(logging.Filter):
    """Leaves out what libraries tell of WebSockets: addresses, query strings, keys, and bytes of images."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is a warning, or from elsewhere; websockets and uvicorn log under the same name."""
        return record.levelno >= logging.WARNING or "websockets" not in Path(record.pathname).parts


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
        "filters": {"no_conversations": {"()": _NoConversations}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": style, "filters": ["no_conversations"]}
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "fer_service": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
        },
    }


def configure_logging(level: str, style: Literal["json", "console"]) -> None:
    """Set up logging for this process."""
    logging.config.dictConfig(log_config(level, style))
