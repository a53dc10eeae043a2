"""Write the reference tables of the documentation: `python -m tools.reference_tables README.md docs/api.md`.

The tables are generated from the settings, the metrics, the errors and the metadata of the model files. A table
stands between two comments, for example `<!-- settings -->` and `<!-- /settings -->`. `make docs` updates every
page.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from fer_service.assets import MODELS, int8_file
from fer_service.contract.settings import PREFIX, Settings
from fer_service.http.problems import PROBLEMS
from fer_service.observability.memory import MemoryCollector
from fer_service.observability.metrics import Metrics
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

# Defaults that differ between hosts.
_HOST_DEFAULTS = {
    "threads": "cores of the CPU quota",
    "tensorrt_cache": "in the user's cache folder",
    "session_key": "chosen at random",
}
_EMPTY: tuple[Any, ...] = (None, (), "")
_SUFFIXES = {"counter": "_total"}


def settings_table() -> str:
    """Return one row per setting: variable, default, description."""
    rows = ["| variable | default | description |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        given = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default).lower()
        default = _HOST_DEFAULTS.get(name) or ("–" if field.default in _EMPTY else given)
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """Return one row per metric: name and labels as Prometheus sees them, type, description."""
    rows = ["| metric | type | description |", "| --- | --- | --- |"]
    wrapped = [
        metric for metric in vars(Metrics(CollectorRegistry())).values() if isinstance(metric, MetricWrapperBase)
    ]
    for metric in wrapped:
        family = next(iter(metric.describe()))
        labels = ",".join(metric._labelnames)
        name = family.name + _SUFFIXES.get(family.type, "") + (f"{{{labels}}}" if labels else "")
        rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    rows += [f"| `{name}` | gauge | {text} |" for name, text in MemoryCollector.GAUGES.items()]
    return "\n".join(rows)


def errors_table() -> str:
    """Return one row per error of the HTTP API, ordered by status: status, code, meaning."""
    rows = ["| status | code | meaning |", "| --- | --- | --- |"]
    for error, problem in sorted(PROBLEMS.items(), key=lambda entry: entry[1]):
        rows.append(f"| {problem.status} | `{problem.code}` | {(error.__doc__ or '').splitlines()[0]} |")
    return "\n".join(rows)


def models_table() -> str:
    """Return one row per emotion model file: accuracy, macro-F1 and calibration error on its validation split."""
    rows = [
        "| `FER_MODEL` | device | file | accuracy | macro-F1 | ECE-15 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, fp16_file in MODELS.items():
        for device, file in (("CPU", int8_file(fp16_file)), ("GPU", fp16_file)):
            found = metadata(file)["metrics"]
            scores = f"{_percent(found['accuracy'])} | {found['macro_f1']:.3f} | {found['ece15']:.3f}"
            rows.append(f"| `{name}` | {device} | `{file.name}` | {scores} |")
    return "\n".join(rows)


def robustness_table() -> str:
    """Return the accuracy of the bundled INT8 model on degraded images, one row per degradation."""
    about = metadata(int8_file(MODELS["bundled"]))
    rows = ["| images | accuracy |", "| --- | --- |", f"| as given | {_percent(about['metrics']['accuracy'])} |"]
    rows += [f"| {name} | {_percent(accuracy)} |" for name, accuracy in about["robustness"].items()]
    found = about["end_to_end"]
    share = _percent(found["found"])
    rows.append(
        f"| placed in a larger image, then detected ({share}) and cropped: accuracy over the detected faces "
        f"| {_percent(found['accuracy'])} |"
    )
    rows.append(f"| the same faces, original crops | {_percent(found['direct'])} |")
    return "\n".join(rows)


def metadata(file: Path) -> dict[str, Any]:
    """Return the metadata of a model file."""
    (text,) = [entry.value for entry in onnx.load(file).metadata_props if entry.key == "fer"]
    found: dict[str, Any] = json.loads(text)
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "metrics": metrics_table,
    "errors": errors_table,
    "models": models_table,
    "robustness": robustness_table,
}


def updated(text: str) -> str:
    """Return the page with its tables replaced by newly generated ones.

    Args:
        text: Markdown of the page.

    Raises:
        ValueError: A table has an opening comment without a closing one, or the page contains no table.
    """
    names = [name for name in re.findall(r"<!-- /?(\w+) -->", text) if name in TABLES]
    if not names:
        raise ValueError(f"no table in this page: expected the comment of one of {', '.join(TABLES)}")
    for name in dict.fromkeys(names):
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        count = len(re.findall(rf"{opening}.*?{closing}", text, re.DOTALL))
        if count != 1:
            raise ValueError(f"expected one pair of comments for the table {name!r}, found {count}")
        before, _, rest = text.partition(opening)
        text = f"{before}{opening}{TABLES[name]()}\n{closing}{rest.partition(closing)[2]}"
    return text


def main(pages: list[Path]) -> None:
    """Update the tables of these pages in place."""
    for page in pages:
        page.write_text(updated(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
