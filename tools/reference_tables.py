"""Writes the tables of docs/operations.md from the settings and metrics: `python -m tools.reference_tables`.

A table stands between two comments, `<!-- settings -->` and `<!-- /settings -->`; `make docs` writes it anew.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_service.contract.settings import PREFIX, Settings
from fer_service.observability.memory import MemoryCollector
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

# Defaults that differ from host to host.
_OF_THE_HOST = {"threads": "cores of the CPU quota", "tensorrt_cache": "in the user's cache folder"}
_EMPTY: tuple[Any, ...] = (None, ())
_ENDINGS = {"counter": "_total"}


def settings_table() -> str:
    """A row a setting: its variable, default and description."""
    rows = ["| variable | default | what |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = _OF_THE_HOST.get(name) or ("–" if field.default in _EMPTY else str(field.default).lower())
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """A row a metric: its name as it is scraped, with its labels, its kind and its description."""
    rows = ["| metric | kind | what |", "| --- | --- | --- |"]
    wrapped = [
        metric for metric in vars(Metrics(CollectorRegistry())).values() if isinstance(metric, MetricWrapperBase)
    ]
    for metric in wrapped:
        family = next(iter(metric.describe()))
        labels = ",".join(metric._labelnames)
        name = family.name + _ENDINGS.get(family.type, "") + (f"{{{labels}}}" if labels else "")
        rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    rows += [f"| `{name}` | gauge | {text} |" for name, text in MemoryCollector.GAUGES.items()]
    return "\n".join(rows)


TABLES: dict[str, Callable[[], str]] = {"settings": settings_table, "metrics": metrics_table}


def written(text: str) -> str:
    """The page with its tables made anew.

    Args:
        text: Of the page.

    Raises:
        ValueError: a table's two comments are not there, once each.
    """
    for name, table in TABLES.items():
        between = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        text, count = between.subn((table() + "\n").replace("\\", r"\\"), text)
        if count != 1:
            raise ValueError(f"the page has the comments of {name!r} {count} times")
    return text


def main(page: Path) -> None:
    """Write the page's tables anew."""
    page.write_text(written(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
